"""The intake process: the only writer of snapshots, without a network, started for one file at a time."""

import json
import os
import subprocess
import sys
from pathlib import Path

from exchange.sandbox.node import confine, users
from exchange.sandbox.node.confine import CannotConfine, Confinement
from exchange.sandbox.node.home import NAME, BadConfiguration, Home, load

MEMORY_MB = 16_384


def start(home: Home, resource: str, source: Path, schema: Path, append: bool = False) -> int:
    """Take `source` in, in a process of its own; its exit code, 0 or 1 where intake refused.

    The report, or why it refused, goes to stdout as JSON, what happens to stderr. Raises BadConfiguration,
    CannotConfine.
    """
    confine.require()
    if not NAME.fullmatch(resource):
        raise BadConfiguration(f"{resource!r} is no name for a resource")
    if not home.settings.exists():
        raise BadConfiguration(f"{home.root} is no node's home")
    settings = load(home)
    home.intake.mkdir(mode=0o700, exist_ok=True)
    if home.endpoint.exists():
        chosen = users.current(home)
        users.own_intake(home, chosen)
    else:
        chosen = users.choose(home)
        users.own(home, chosen)
    files = (str(path.resolve()) for path in (source, schema))
    numbers = (os.getpid(), int(append), settings.memory_mb, settings.threads)
    command = [sys.executable, "-P", "-m", __name__, str(home.root), resource, *files, *map(str, numbers)]
    done = subprocess.run(
        command, env=users.environment(), cwd="/", stdin=subprocess.DEVNULL, **users.as_user(chosen.intake)
    )
    if done.returncode >= 0:
        return done.returncode
    print(f"sluice: intake was killed by signal {-done.returncode}; the old snapshot stays in service", file=sys.stderr)
    return 128 - done.returncode


def main(
    home: Home, resource: str, source: Path, schema: Path, parent: int, append: int, memory_mb: int, threads: int
) -> int:
    """The confined half: read one file, write snapshots, manifests and what is intake's own."""
    confine.die_with(parent)
    try:
        law, declared, secret = (path.read_bytes() for path in (home.policy, schema, home.row_secret))
        if not os.access(source, os.R_OK):
            raise BadConfiguration(f"{source} cannot be read by user {os.getuid()}")
        writes = (home.snapshots, home.manifests, home.intake)
        confine.confine(Confinement("intake", reads=(source,), writes=writes, memory_mb=MEMORY_MB))
        return _take(home, resource, source, law, declared, secret, bool(append), memory_mb, threads)
    except (BadConfiguration, CannotConfine, OSError) as error:
        print(f"sluice intake: {error}", file=sys.stderr)
        return os.EX_CONFIG


def _take(
    home: Home, resource: str, source: Path, law: bytes, declared: bytes, secret: bytes, append: bool,
    memory_mb: int, threads: int,
) -> int:  # fmt: skip
    from exchange.errors import Problem
    from exchange.sandbox import intake
    from exchange.sandbox.node import policy
    from exchange.sandbox.query import Profile
    from exchange.sandbox.schema import SchemaError, schema_from_json

    progress = intake.Progress(sys.stderr)
    try:
        offered = policy.offered(policy.parse(law), resource)
        whom, profile = offered.population, offered.population.profile
        schema = schema_from_json(json.loads(declared))
        task = intake.Task(
            resource, schema, profile, append, whom.least_batch, offered.most_rows, offered.one_row,
            population="" if profile is Profile.OPEN else whom.name,
        )  # fmt: skip
        progress.say(f"{'adding' if append else 'reading'} {source.name} as {resource} ({profile.value})")
        area = intake.Area(home.snapshots, home.manifests, home.intake, memory_mb * 3 // 4, threads)
        report = intake.take_in(source, task, area, secret, progress)
    except Problem:
        progress.say(f"policy.toml does not offer {resource}")
        return 1
    except (SchemaError, json.JSONDecodeError, UnicodeDecodeError) as error:
        progress.say(f"refused: the schema: {error}")
        return 1
    except intake.IntakeRefused as refused:
        progress.say(f"refused: {refused}")
        print(json.dumps(refused.to_json(), ensure_ascii=False))
        return 1
    except OSError as error:
        progress.say(f"stopped: {error.strerror or 'a file could not be written'}; the old snapshot stays in service")
        return 1
    print(json.dumps(report.to_json(), ensure_ascii=False))
    return 0


if __name__ == "__main__":
    _home, _resource, _source, _schema, *_numbers = sys.argv[1:]
    sys.exit(main(Home(Path(_home)), _resource, Path(_source), Path(_schema), *map(int, _numbers)))

"""The intake process: the only writer of snapshots, without a network, started for one file at a time."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

from exchange.sandbox.node import confine, users
from exchange.sandbox.node.confine import CannotConfine, Confinement
from exchange.sandbox.node.home import NAME, BadConfiguration, Home

MEMORY_MB = 16_384


def start(home: Home, resource: str, source: Path, schema: Path) -> int:
    """Take `source` in, in a process of its own; its exit code, 0 or 1 where intake refused.

    The report goes to stdout as JSON, what happens to stderr. Raises BadConfiguration, CannotConfine.
    """
    confine.require()
    if not NAME.fullmatch(resource):
        raise BadConfiguration(f"{resource!r} is no name for a resource")
    if not home.settings.exists():
        raise BadConfiguration(f"{home.root} is no node's home")
    if home.endpoint.exists():
        chosen = users.current(home)
    else:
        chosen = users.choose(home)
        users.own(home, chosen)
    files = (str(path.resolve()) for path in (source, schema))
    command = [sys.executable, "-P", "-m", __name__, str(home.root), resource, *files, str(os.getpid())]
    done = subprocess.run(
        command, env=users.environment(), cwd="/", stdin=subprocess.DEVNULL, **users.as_user(chosen.intake)
    )
    return done.returncode


def main(home: Home, resource: str, source: Path, schema: Path, parent: int) -> int:
    """The confined half: read one file, write snapshots and manifests."""
    confine.die_with(parent)
    try:
        law, declared, secret = (path.read_bytes() for path in (home.policy, schema, home.row_secret))
        if not os.access(source, os.R_OK):
            raise BadConfiguration(f"{source} cannot be read by user {os.getuid()}")
        confine.confine(
            Confinement("intake", reads=(source,), writes=(home.snapshots, home.manifests), memory_mb=MEMORY_MB)
        )
        return _take(home, resource, source, law, declared, secret)
    except (BadConfiguration, CannotConfine, OSError) as error:
        print(f"sluice intake: {error}", file=sys.stderr)
        return os.EX_CONFIG


def _take(home: Home, resource: str, source: Path, law: bytes, declared: bytes, secret: bytes) -> int:
    from exchange.errors import Problem
    from exchange.sandbox import intake
    from exchange.sandbox.node import policy
    from exchange.sandbox.schema import SchemaError, schema_from_json

    try:
        profile = policy.offered(policy.parse(law), resource).population.profile
        schema = schema_from_json(json.loads(declared))
        print(f"sluice intake: reading {source.name} as {resource} ({profile.value})", file=sys.stderr, flush=True)
        report = intake.take_in(source, schema, resource, profile, secret, home.snapshots, home.manifests)
    except Problem:
        print(f"sluice intake: policy.toml does not offer {resource}", file=sys.stderr)
        return 1
    except (SchemaError, ValueError, intake.IntakeRefused) as error:
        print(f"sluice intake: refused: {error}", file=sys.stderr)
        return 1
    print(json.dumps(dataclasses.asdict(report), ensure_ascii=False))
    return 0


if __name__ == "__main__":
    sys.exit(main(Home(Path(sys.argv[1])), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]), int(sys.argv[5])))

"""Real nodes for tests: a home folder, the processes, and intake by its command."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from exchange.crypto.keys import from_jwk
from exchange.sandbox.client import Node
from exchange.sandbox.node import home as homes
from exchange.sandbox.node.home import Home
from exchange.sandbox.schema import Schema

ROOT = Path(__file__).parents[1]
SECONDS = 60.0


def make_node(
    home: Path, *, populations: Mapping[str, Mapping[str, Any]], resources: Mapping[str, Mapping[str, Any]],
    exchange_key: str, exchange: str = "sluice", name: str = "node", **settings: Any,
) -> Home:  # fmt: skip
    """Make a node's home with that law; `exchange_key` is the x of the exchange's JWK, `settings` node.toml's.

    The node listens on a free port of its choice. Vaults have little capacity to declare here: tests share
    the machine, and an overrun would block a plan.
    """
    at = Home(home)
    homes.create(at, name, settings.pop("listen", "127.0.0.1:0"))
    quick = {"vaults": 2, "memory_mb": 512, "rows_per_second": 500_000, "start_ms": 500} | settings
    with at.settings.open("a") as file:
        file.writelines(f"{key} = {_toml(value)}\n" for key, value in quick.items())
    tables = {f"populations.{key}": value for key, value in populations.items()}
    tables |= {f"resources.{key}": value for key, value in resources.items()}
    write_policy(at, tables | {f"exchanges.{exchange}": {"x": exchange_key}})
    return at


def write_policy(home: Home, tables: Mapping[str, Mapping[str, Any]]) -> None:
    lines = []
    for table, entries in tables.items():
        lines += [f"[{table}]", *(f"{key} = {_toml(value)}" for key, value in entries.items()), ""]
    homes.write_atomic(home.policy, "\n".join(lines).encode(), 0o644)


def take_in(home: Path | Home, resource: str, source: Path, schema: Schema, *options: str) -> dict[str, Any]:
    """Take `source` in by the command; its report. Raises RuntimeError with its stderr where it refuses."""
    root = home.root if isinstance(home, Home) else home
    with tempfile.TemporaryDirectory() as folder:
        declared = Path(folder) / "schema.json"
        declared.write_text(json.dumps(schema.to_json()))
        command = [sys.executable, "-m", "exchange.sandbox", "intake", str(root), resource, str(source)]
        done = subprocess.run(
            [*command, "--schema", str(declared), *options], cwd=ROOT, capture_output=True, text=True, timeout=120
        )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"intake ended with {done.returncode}: {done.stderr}")
    return dict(json.loads(done.stdout))


def take_over(home: Path | Home, other: Home) -> None:
    """Give `home` what `other` took in, and the secrets that go with it: quicker than another intake."""
    at = home if isinstance(home, Home) else Home(home)
    for name in ("secrets", "manifests", "snapshots", "intake"):
        shutil.copytree(getattr(other, name), getattr(at, name), dirs_exist_ok=True)


@contextmanager
def running(home: Path | Home, environment: Mapping[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """Run the node of `home` until the block ends; the launcher's process. Where the block fails, or the node
    does not start, its stderr is printed."""
    at = home if isinstance(home, Home) else Home(home)
    log = at.run / "launcher.log"
    with log.open("ab") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "exchange.sandbox", "run", str(at.root)], cwd=ROOT, stdin=subprocess.DEVNULL,
            stderr=stderr, env=os.environ | (environment or {}),
        )  # fmt: skip
        try:
            wait_until_ready(at, process)
            yield process
        except BaseException:
            print(f"{at.root}:\n{log.read_text(errors='replace')}", file=sys.stderr)
            raise
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(SECONDS)


def wait_until_ready(home: Home, process: subprocess.Popen[bytes]) -> None:
    """Raises RuntimeError where the node ends or is not there in time."""
    until = time.monotonic() + SECONDS
    while not home.endpoint.exists() or endpoint(home)["pid"] != process.pid:
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"the node did not start, exit code {process.poll()}")
        time.sleep(0.02)


def endpoint(home: Home) -> dict[str, Any]:
    return dict(json.loads(home.endpoint.read_bytes()))


def client(home: Home, **options: Any) -> Node:
    """A client of the running node."""
    said = endpoint(home)
    return Node(said["url"], said["node"], from_jwk(said["public_jwk"]), **{"seconds": SECONDS} | options)


def children(process: subprocess.Popen[bytes], kind: str) -> list[int]:
    """Pids of a launcher's processes of `kind`: gate or vault."""
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [int(pid) for pid in listed if f"exchange.sandbox.node.{kind}".encode() in _command(pid)]


def wait_for_vaults(process: subprocess.Popen[bytes]) -> None:
    """Until every vault of a launcher is in service. Raises RuntimeError."""
    until = time.monotonic() + SECONDS
    while not (pids := children(process, "vault")) or not all(map(_in_service, pids)):
        if time.monotonic() > until:
            raise RuntimeError("a vault did not come into service")
        time.sleep(0.02)


def _in_service(vault: int) -> bool:
    """A vault closes its stderr last."""
    return os.path.realpath(f"/proc/{vault}/fd/2") == os.devnull


def _command(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _toml(value: Any) -> str:
    return json.dumps(value)

"""What the demo and `load_system` share: an empty var/, a node with its tables, and the people's logins."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import connection, connections

from exchange.audit import keys
from exchange.crypto.keys import b64url, raw
from exchange.parties.models import Party, User
from exchange.sandbox.node import home as node_home
from fixtures.tables import Source, policy

MARK = "made-by-demo"
PATIENCE_SECONDS = 120.0
START_MS = 500  # what such a node declares: it may run on a slow machine


class Opening:
    """One run that opens an exchange; `name` is its folder in var/. `say` prints a line."""

    def __init__(self, name: str, say: Callable[[str], Any]) -> None:
        self.say = say
        self.folder: Path = settings.VAR / name
        self.log = self.folder / "serve.log"

    def clear(self) -> None:
        """Start from an empty exchange: remove what is in var/ if an earlier run made it, and touch nothing else.

        A database elsewhere is never emptied. Raises SystemExit where there is an exchange that stays.
        """
        ours = (settings.VAR / MARK).exists()
        if not (ours and _within_var()) and _holds_an_exchange():
            raise SystemExit(
                f"{settings.VAR} or its database holds an exchange that no demo made; "
                "set SLUICE_VAR to another folder, or DATABASE_URL to another database"
            )
        if ours:
            connections.close_all()
            for child in settings.VAR.iterdir():
                shutil.rmtree(child) if child.is_dir() else child.unlink()
        self.folder.mkdir(parents=True, exist_ok=True)
        (settings.VAR / MARK).touch()

    def make_node(self, domain: str, sources: Sequence[Source], number: int = 0) -> node_home.Home:
        """A node: its home, its keys, its holders' law."""
        home = node_home.Home(settings.VAR / "node" / domain)
        host, _, port = os.environ.get("SLUICE_DEMO_NODE", node_home.DEFAULT_LISTEN).rpartition(":")
        node_home.create(home, domain, f"{host}:{int(port) + number}")
        with home.settings.open("a") as file:
            file.write(f"start_ms = {START_MS}\n")
        x = b64url(raw(keys.current("order").public))
        node_home.write_atomic(home.policy, policy(sources, settings.SLUICE.name, x).encode(), 0o644)
        return home

    def take_in(self, source: Source, home: node_home.Home) -> dict[str, Any]:
        """Intake's report."""
        file, schema = self.folder / f"{source.code}.parquet", self.folder / f"{source.code}.schema.json"
        rows = source.write(file)
        schema.write_text(json.dumps(source.schema.to_json(), ensure_ascii=False, indent=1))
        command = [sys.executable, "-m", "exchange.sandbox", "intake", str(home.root), source.code, str(file)]
        intake = subprocess.Popen([*command, "--schema", str(schema)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.wait(f"taking in {rows:,} rows", lambda: intake.poll() is not None)
        out, err = intake.communicate()
        if intake.returncode:
            raise SystemExit(err.decode())
        report = dict(json.loads(out))
        entities = f", {report['entities']:,} {source.population}" if source.schema.entity else ""
        self.say(f"   {report['rows_read']:,} rows read, {report['rows_kept']:,} kept{entities}")
        return report

    def write_logins(self, title: str, logins: Sequence[tuple[str, str]]) -> Path:
        """Names with their passwords, where only their owner reads them."""
        path = self.folder / "logins.txt"
        lines = [f"# {title}", *("\t".join(login) for login in logins)]
        node_home.write_atomic(path, "\n".join(lines).encode() + b"\n", 0o600)
        return path

    def wait(self, what: str, done: Callable[[], bool], process: "subprocess.Popen[bytes] | None" = None) -> None:
        """Wait until `done`, with a bar on a terminal; give up when `process` ends or patience does."""
        started = time.monotonic()
        while not done():
            waited = time.monotonic() - started
            if waited > PATIENCE_SECONDS or (process is not None and process.poll() is not None):
                raise SystemExit(f"{what}: did not happen; see {self.log}")
            if sys.stdout.isatty():
                bar = "█" * int(waited * 4 % 20)
                print(f"\r   {what} [{bar:<20}] {waited:.0f} s", end="", flush=True)
            time.sleep(0.1)
        if sys.stdout.isatty():
            print("\r\033[K", end="")
        self.say(f"   {what}: {time.monotonic() - started:.1f} s")


def _within_var() -> bool:
    """Whether the database is a file of var/."""
    return connection.vendor == "sqlite" and settings.VAR in Path(connection.settings_dict["NAME"]).parents


def _holds_an_exchange() -> bool:
    """Whether anybody is in the database; it is looked at, and not changed."""
    if connection.vendor == "sqlite" and not Path(connection.settings_dict["NAME"]).exists():
        return False
    tables = connection.introspection.table_names()
    return any(model._meta.db_table in tables and model.objects.exists() for model in (Party, User))

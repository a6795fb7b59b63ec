"""Databases for tests that really commit: one migrated template per run, and a fresh copy for each test.

A test's transactions are real, so `atomic(durable=True)`, locks, triggers and other processes behave as in
service. PostgreSQL is a cluster of our own in a temporary folder, reached by its Unix socket only.
"""

import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol
from urllib.parse import quote
from weakref import WeakSet

import psycopg
from psycopg.sql import SQL, Identifier

from exchange.portal.supervisor import die_with_parent

NOWHERE = "ask_for_the_db_fixture"


class Databases(Protocol):
    """Where a run's databases live; a name is also what Django calls NAME."""

    def make_template(self, folder: Path) -> str: ...
    def use_template(self, folder: Path) -> None: ...
    def url(self, name: str) -> str: ...
    def copy(self, number: int) -> str: ...
    def drop(self, name: str) -> None: ...
    def close(self) -> None: ...


class Sqlite:
    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def make_template(self, folder: Path) -> str:
        return str(folder / "template.sqlite3")

    def use_template(self, folder: Path) -> None:
        self.template = self.make_template(folder)

    def url(self, name: str) -> str:
        return f"sqlite:///{name}"

    def copy(self, number: int) -> str:
        name = str(self.folder / f"test-{number}.sqlite3")
        with closing(sqlite3.connect(self.template)) as source, closing(sqlite3.connect(name)) as target:
            source.backup(target)
        return name

    def drop(self, name: str) -> None:
        for suffix in ("", "-wal", "-shm", "-queue"):
            Path(name + suffix).unlink(missing_ok=True)

    def close(self) -> None:
        pass


class Postgres:
    """`server` is the URL of a server without a database name; its role may create databases. Workers of one run
    share it and the template."""

    template = "sluice_template"

    def __init__(self, server: str, cluster: "Cluster | None" = None, worker: str = "") -> None:
        self.server = server
        self.cluster = cluster
        self.worker = worker

    def make_template(self, folder: Path) -> str:
        self.drop(self.template)
        self._do(SQL("CREATE DATABASE {}").format(Identifier(self.template)))
        return self.template

    def use_template(self, folder: Path) -> None:
        """It is on the server, whoever made it."""

    def url(self, name: str) -> str:
        return f"{self.server}/{name}"

    def copy(self, number: int) -> str:
        name = f"sluice_test_{self.worker}_{number}"
        self.drop(name)
        self._do(SQL("CREATE DATABASE {} TEMPLATE {}").format(Identifier(name), Identifier(self.template)))
        return name

    def drop(self, name: str) -> None:
        self._do(SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(Identifier(name)))

    def close(self) -> None:
        if self.cluster is not None:
            self.cluster.stop()

    def _do(self, statement: SQL) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement)


class Cluster:
    """A throwaway PostgreSQL, durable like a real one, that dies with this process.

    PostgreSQL refuses to run as root, so root runs it as the user `postgres`. The tests' role owns its
    databases but is no superuser, like the application's in service.
    """

    def __init__(self, programs: Path) -> None:
        self.programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="sluice-pg-"))
        self.data = self.folder / "data"
        self.who: dict[str, object] = {}
        if os.geteuid() == 0:
            self.who = {"user": "postgres", "group": "postgres", "extra_groups": []}
            shutil.chown(self.folder, "postgres", "postgres")

    def url(self, role: str) -> str:
        return f"postgresql://{role}@{quote(str(self.folder), safe='')}"

    def start(self) -> None:
        """Raises RuntimeError with the server's own words where it does not come up."""
        init = [self.programs / "initdb", "-D", self.data, "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        self._run([*init, "--locale=C", "--no-sync"])
        settings = {"listen_addresses": "", "unix_socket_directories": self.folder, "max_connections": 200}
        settings["autovacuum"] = "off"  # its worker is a superuser's, in whose way no database can be dropped
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [self.programs / "postgres", "-D", self.data, *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.folder,
                preexec_fn=die_with_parent, **self.who,
            )  # fmt: skip
        self._await()

    def stop(self) -> None:
        self.process.send_signal(signal.SIGINT)  # fast shutdown: sessions are ended, data are kept
        self.process.wait(30)
        shutil.rmtree(self.folder)

    def _await(self) -> None:
        until = time.monotonic() + 30
        while True:
            try:
                with psycopg.connect(f"{self.url('postgres')}/postgres", autocommit=True) as connection:
                    connection.execute("CREATE ROLE sluice LOGIN CREATEDB")
                return
            except psycopg.OperationalError as error:
                if self.process.poll() is not None or time.monotonic() > until:
                    raise RuntimeError((self.folder / "log").read_text()) from error
                time.sleep(0.05)

    def _run(self, command: list[object]) -> None:
        found = subprocess.run(command, capture_output=True, text=True, cwd=self.folder, **self.who)
        if found.returncode:
            raise RuntimeError(f"{command[0]}: {found.stderr}")


def postgres_programs() -> Path | None:
    """The folder of the newest PostgreSQL server's programs on this machine."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if found:
        return max(found, key=lambda path: float(path.parent.name))
    path = shutil.which("initdb")
    return Path(path).parent if path else None


def start_postgres() -> Postgres:
    """A cluster with a template database. Raises RuntimeError where there is no PostgreSQL to start."""
    programs = postgres_programs()
    if programs is None:
        raise RuntimeError("PostgreSQL is not installed (Debian: apt-get install postgresql)")
    cluster = Cluster(programs)
    cluster.start()
    return Postgres(cluster.url("sluice"), cluster)


_opened: "WeakSet[object]" = WeakSet()


def remember(connection: object, **_: object) -> None:
    """Receiver of Django's `connection_created`: whichever thread opened it, `switched_to` closes it."""
    _opened.add(connection)


@contextmanager
def switched_to(name: str) -> Iterator[None]:
    """Every thread's connection goes to the database `name`; afterwards all of them are closed."""
    from django.db import connections

    settings = connections.settings["default"]  # one dictionary, shared by the connections of all threads
    settings["NAME"] = name
    try:
        yield
    finally:
        settings["NAME"] = NOWHERE
        for connection in list(_opened):
            connection.inc_thread_sharing()
            connection.close()
            connection.dec_thread_sharing()
        _opened.clear()

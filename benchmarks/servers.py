"""The two servers under load, each in processes of its own: roapi, and the exchange as a city would run it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from benchmarks import table
from benchmarks.load import Job
from exchange.portal.supervisor import die_with_parent
from exchange.sandbox.schema import Column, Kind, Role, Schema
from tests.servers import free_port

OPEN, GUARDED = "bench_open", "bench_guarded"
PURPOSE = "benchmark"
PLENTY = 10**12

G = Column("g", Kind.STRING, Role.DIMENSION, table.GROUPS)
X = Column("x", Kind.INTEGER, Role.MEASURE, low=0, high=table.X_MOST)
SCHEMAS = {
    OPEN: Schema((G, X, Column("v", Kind.INTEGER, Role.DIMENSION, tuple(range(table.V_VALUES))))),
    GUARDED: Schema((G, X, Column("v", Kind.INTEGER, Role.ENTITY)), row_key=("n",)),
}

POLICY = """\
[populations.nobody]
profile = "open"

[populations.somebody]
profile = "guarded"
entity = "v"
threshold = 10
queries = 1000000

[resources.bench_open]
population = "nobody"
columns = ["g", "x", "v"]

[resources.bench_guarded]
population = "somebody"
columns = ["g", "x", "v"]

[exchanges.{exchange}]
x = "{x}"
"""


class Roapi:
    """A served table without governance; `pid` leads its processes."""

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self.pid = pid

    def job(self, queries: list[str], seconds: float, connections: int) -> Job:
        return Job(self.port, "/api/sql", queries, seconds, connections)


class Exchange:
    """A served exchange, and the token of its buyer; `pid` leads its processes, the node's among them."""

    def __init__(self, port: int, pid: int, client: tuple[str, str], home: Any) -> None:
        self.port = port
        self.pid = pid
        self.home = home
        answer = requests.post(
            f"http://127.0.0.1:{port}/oauth/token", data={"grant_type": "client_credentials"}, auth=client, timeout=30
        )
        answer.raise_for_status()
        self.headers = {
            "Authorization": f"Bearer {answer.json()['access_token']}",
            "Content-Type": "application/json",
            "Accept": "application/json",
        }

    def job(self, queries: list[str], seconds: float, connections: int, late: str = "") -> Job:
        bodies = [self.body(sql) for sql in queries]
        return Job(self.port, "/v1/queries", bodies, seconds, connections, self.headers, keyed=True, late=late)

    @staticmethod
    def body(sql: str) -> str:
        return json.dumps({"sql": sql, "purpose": PURPOSE})


@contextmanager
def roapi(source: Path, log: Path) -> Iterator[Roapi]:
    """roapi on `source` as table bench_open."""
    port = free_port()
    program = Path(sys.executable).with_name("roapi")
    command = [str(program), "--table", f"{OPEN}={source}", "-a", f"127.0.0.1:{port}"]
    with _running(command, log) as process:
        _wait(lambda: _answers(f"http://127.0.0.1:{port}/api/schema"), process, log)
        yield Roapi(port, process.pid)


@contextmanager
def exchange(source: Path, folder: Path, log: Path) -> Iterator[Exchange]:
    """An exchange with one node, an open and a guarded product on `source`, and a licensed buyer.

    Its state is in SLUICE_VAR and DATABASE_URL; the process must not have set up Django before.
    """
    port, node_port = free_port(), free_port()
    os.environ["SLUICE_LISTEN"] = f"127.0.0.1:{port}"
    home = _found(f"127.0.0.1:{node_port}")
    with _running([sys.executable, "manage.py", "serve"], log) as process:
        _wait(lambda: home.endpoint.exists() and _answers(f"http://127.0.0.1:{port}/health"), process, log)
        for code, schema in SCHEMAS.items():
            _take_in(home, code, schema, source, folder)
        yield Exchange(port, process.pid, _list(home), home)


def _found(listen: str) -> Any:
    """An empty database, and the node's home with the holder's law."""
    import django

    django.setup()
    from django.conf import settings
    from django.core.management import call_command

    from exchange.audit import keys
    from exchange.crypto.keys import b64url, raw
    from exchange.sandbox.node import home as node_home

    call_command("migrate", verbosity=0)
    home = node_home.Home(settings.VAR / "node" / "bench")
    node_home.create(home, "bench", listen)
    x = b64url(raw(keys.current("order").public))
    law = POLICY.format(exchange=settings.SLUICE.name, x=x)
    node_home.write_atomic(home.policy, law.encode(), 0o644)
    return home


def _take_in(home: Any, code: str, schema: Schema, source: Path, folder: Path) -> None:
    declared = folder / f"{code}.json"
    declared.write_text(json.dumps(schema.to_json()))
    command = [sys.executable, "-m", "exchange.sandbox", "intake", str(home.root), code, str(source)]
    subprocess.run([*command, "--schema", str(declared)], check=True, stdout=subprocess.DEVNULL)


def _list(home: Any) -> tuple[str, str]:
    """Register, authorize, offer and license both products; the buyer's client."""
    from catalog import snapshots
    from fixtures import city

    people = city.found_city()
    domain = city.join(json.loads(home.endpoint.read_text()), "bench", "测试域", "Bench domain")
    authorization = city.authorize(people, "bench")
    for code, profile in ((OPEN, "open"), (GUARDED, "guarded")):
        resource = city.register(code, code, code, people.holder, domain)
        snapshots.refresh(resource, actor=str(people.holder.pk))
        product = city.offer(people, code, authorization, resource, ["g", "x", "v"], profile=profile)
        city.license_to(people.buyer, product, [PURPOSE], quota=10**9)
    city.fund(people.buyer, PLENTY)
    return city.client_of(people.buyer)


@contextmanager
def _running(command: list[str], log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=die_with_parent
        )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=2).ok
    except requests.RequestException:
        return False


def _wait(ready: Callable[[], bool], process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + 180
    while not ready():
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"the server did not start:\n{log.read_text()[-2000:]}")
        time.sleep(0.1)

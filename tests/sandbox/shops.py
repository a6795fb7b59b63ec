"""A node with two small snapshots, and an exchange that may send it orders."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from exchange.crypto.keys import SigningKey, b64url, raw, signing_key
from exchange.errors import Problem
from exchange.ids import new_id
from exchange.sandbox import query, sql
from exchange.sandbox.client import Answer, Node
from exchange.sandbox.node.home import Home
from exchange.sandbox.orders import Order, OrderKind, Outcome
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Column, Kind, Role, Schema
from exchange.sandbox.terms import Terms
from tests import nodes, scratch

KEY = signing_key(Ed25519PrivateKey.from_private_bytes(bytes(32)))
SCHEMA = Schema(
    (
        Column("town", Kind.STRING, Role.DIMENSION, ("east", "west")),
        Column("firm", Kind.STRING, Role.ENTITY),
        Column("sales", Kind.INTEGER, Role.MEASURE, low=0, high=1000),
    ),
    row_key=("firm", "day"),
)
ROWS_PER_SECOND = 3_000  # little: a busy machine's pause must be no overrun
OPEN, GUARDED, PRIVATE = Terms("open"), Terms("guarded", 10), Terms("private", rows=2, rho=10_000)
TOTALS = "SELECT town, COUNT(*) AS n, SUM(sales) AS s FROM shops GROUP BY town"
POPULATIONS = {
    "firms": {"profile": "guarded", "entity": "firm", "threshold": 10, "queries": 40},
    "people": {"profile": "private", "entity": "firm", "rho": 50_000, "rho_per_day": 30_000},
    "public": {"profile": "open"},
}
RESOURCES = {
    "shops": {"population": "firms", "columns": ["town", "firm", "sales"]},
    "staff": {"population": "people", "columns": ["town", "firm", "sales"], "most_rows": 2_000},
    "stalls": {"population": "public", "columns": ["town", "sales"]},
    "empty": {"population": "public", "columns": ["town"]},
}


@dataclass
class Running:
    """A node in service, and an exchange that may send it orders."""

    home: Home
    process: subprocess.Popen[bytes]
    client: Node
    snapshots: dict[str, str]

    def order(self, text: str = TOTALS, terms: Terms = GUARDED, **changes: Any) -> Order:
        question = sql.parse(text)
        bound = query.bind(question, SCHEMA, Profile(terms.profile))
        now = int(time.time())
        order = Order(
            id=str(new_id()), exchange="sluice", node="node", issued_at=now, expires_at=now + 60,
            kind=OrderKind.QUERY, resource=question.product, snapshot=self.snapshots[question.product],
            terms=terms, query=query.to_json(bound.query), columns=("town", "firm", "sales"),
        )  # fmt: skip
        return replace(order, **changes)

    def open_order(self, **changes: Any) -> Order:
        changes = {"columns": ("town", "sales")} | changes
        return self.order("SELECT town, COUNT(*) AS n, SUM(sales) AS s FROM stalls GROUP BY town", OPEN, **changes)

    def about(self, kind: OrderKind, **changes: Any) -> Order:
        now = int(time.time())
        return replace(Order(str(new_id()), "sluice", "node", now, now + 60, kind), **changes)

    def send(self, order: Order, key: SigningKey = KEY) -> Answer:
        return self.client.execute(order, key)

    def code(self, order: Order) -> tuple[Outcome, str]:
        release = self.send(order).release
        return release.outcome, release.code

    def entries(self, since: int = 0) -> list[dict[str, Any]]:
        return json.loads(self.send(self.about(OrderKind.JOURNAL, since=since)).result)["entries"]

    def described(self, resource: str = "shops") -> dict[str, Any]:
        return json.loads(self.send(self.about(OrderKind.DESCRIBE, resource=resource)).result)


def make(folder: Path, **settings: Any) -> tuple[Home, dict[str, str]]:
    """A home with snapshots of 1,000 rows: 100 firms, of which 96 in the east and 4 in the west."""
    filled = scratch.once("shops", _take_in)
    home = _empty(folder, **settings)
    nodes.take_over(home, Home(filled / "home"))
    return home, json.loads((filled / "snapshots.json").read_text())


def _empty(folder: Path, **settings: Any) -> Home:
    x = b64url(raw(KEY.public))
    settings = {"rows_per_second": ROWS_PER_SECOND} | settings
    return nodes.make_node(folder / "home", populations=POPULATIONS, resources=RESOURCES, exchange_key=x, **settings)


def _take_in(folder: Path) -> None:
    home = _empty(folder)
    rows = [(f"firm{i % 100}", i // 100, "west" if i % 100 < 4 else "east", i) for i in range(1000)]
    source = folder / "source.csv"
    source.write_text("firm,day,town,sales\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    schemas = {"shops": SCHEMA, "stalls": SCHEMA.only({"town", "sales"}), "staff": SCHEMA}
    taken = {name: nodes.take_in(home, name, source, of)["snapshot"] for name, of in schemas.items()}
    (folder / "snapshots.json").write_text(json.dumps(taken))


def table(answer: Answer) -> list[dict[str, Any]]:
    return pa.ipc.open_stream(answer.result).read_all().to_pylist()


def patiently(call: Callable[[], Any]) -> Any:
    """The result of `call`, repeated while the node cannot be reached."""
    until = time.monotonic() + nodes.SECONDS
    while True:
        try:
            return call()
        except Problem as problem:
            if problem.code != "node_unreachable" or time.monotonic() > until:
                raise
            time.sleep(0.05)


def switch(node: Running, *words: str) -> None:
    """The holder's command on the node's machine: stop, or resume."""
    command = [sys.executable, "-m", "exchange.sandbox", words[0], str(node.home.root), *words[1:]]
    subprocess.run(command, check=True, cwd=nodes.ROOT, timeout=60)

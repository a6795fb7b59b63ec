"""Joins at the node, by real processes: what an exchange may have joined, and what no exchange may."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from exchange.crypto.keys import b64url, raw
from exchange.ids import new_id
from exchange.sandbox import query, sql
from exchange.sandbox.node import stops
from exchange.sandbox.orders import Joined, Order, Outcome
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Column, Kind, Manifest, Role, Schema, manifest_from_json
from exchange.sandbox.terms import Terms
from tests import nodes
from tests.sandbox.shops import GUARDED, KEY, OPEN, ROWS_PER_SECOND, SCHEMA, Running, table

TOWNS = Schema(
    (
        Column("name", Kind.STRING, Role.DIMENSION),
        Column("county", Kind.STRING, Role.DIMENSION),
        Column("people", Kind.INTEGER, Role.MEASURE, low=0, high=1_000_000),
    )
)
POPULATIONS = {
    "firms": {"profile": "guarded", "entity": "firm", "threshold": 10, "queries": 100},
    "public": {"profile": "open"},
    "counted": {"profile": "open", "queries": 5},
}
RESOURCES = {
    "shops": {"population": "firms", "columns": ["town", "firm", "sales"]},
    "stalls": {"population": "public", "columns": ["town", "sales"]},
    "towns": {"population": "public", "columns": ["name", "county", "people"]},
    "hidden": {"population": "public", "columns": ["name"]},
    "twice": {"population": "public", "columns": ["name", "county", "people"]},
    "counted": {"population": "counted", "columns": ["name", "county", "people"]},
}
BY_COUNTY = "SELECT county, COUNT(*) AS n FROM {} JOIN towns ON town = name GROUP BY county"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """100 firms in the east, where a county is known, and 100 in the west, where none is."""
    folder = tmp_path_factory.mktemp("joins")
    home = nodes.make_node(
        folder / "home", populations=POPULATIONS, resources=RESOURCES, exchange_key=b64url(raw(KEY.public)),
        rows_per_second=ROWS_PER_SECOND,
    )  # fmt: skip
    rows = [f"firm{i % 200},{i // 200},{'west' if i % 200 < 100 else 'east'},{i}" for i in range(600)]
    texts = {
        "shops": "firm,day,town,sales\n" + "\n".join(rows),
        "towns": "name,county,people\neast,Haizhou,400000\nsouth,Haizhou,5\n,Haizhou,\n",
        "twice": "name,county,people\n" + "east,Haizhou,1\n" * 199,
    }
    snapshots = {}
    for name in RESOURCES:
        source = folder / f"{name}.csv"
        source.write_text(texts.get(name, texts["shops" if name == "stalls" else "towns"]))
        schema = {"shops": SCHEMA, "stalls": SCHEMA.only({"town", "sales"})}.get(name, TOWNS)
        snapshots[name] = nodes.take_in(home, name, source, schema)["snapshot"]
    with nodes.running(home) as process:
        yield Running(home, process, nodes.client(home), snapshots)


def order(
    node: Running, resource: str = "shops", joined: str = "towns", terms: Terms = GUARDED, **changes: Any
) -> Order:
    """An order of the shops, or stalls, by county."""
    text = BY_COUNTY.format(resource)
    others = {"towns": replace(manifest(node, "towns"), unique=("name",))}
    columns = ("town", "firm", "sales") if resource == "shops" else ("town", "sales")
    asked = query.bind(sql.parse(text), manifest(node, resource).schema, Profile(terms.profile), others).query
    join = Joined("towns", joined, node.snapshots[joined], ("name", "county", "people"))
    plain = node.order(terms=GUARDED)
    changes = {"query": query.to_json(asked), "joins": (join,), "resource": resource, "terms": terms} | changes
    return replace(plain, id=str(new_id()), snapshot=node.snapshots[resource], columns=columns, **changes)


def manifest(node: Running, resource: str) -> Manifest:
    return manifest_from_json(node.described(resource)["manifest"])


def released(node: Running, order: Order) -> dict[str | None, Any]:
    return {row["towns.county"]: row["count"] for row in table(node.send(order)) if row["status"] == "released"}


def test_an_open_table_is_joined_exactly(node: Running) -> None:
    assert released(node, order(node, "stalls", terms=OPEN)) == {"Haizhou": 300}


def test_a_guarded_table_is_joined_with_the_noise_of_its_own_records(node: Running) -> None:
    alone = table(node.send(node.order("SELECT COUNT(*) FROM shops WHERE town = 'east'")))
    assert released(node, order(node)) == {"Haizhou": alone[0]["count"]}


def test_the_node_says_what_is_unique_of_open_tables(node: Running) -> None:
    assert {name: manifest(node, name).unique for name in RESOURCES} == {
        "shops": (), "stalls": (), "twice": (), "towns": ("name",), "hidden": ("name",), "counted": ("name",),
    }  # fmt: skip


def test_an_order_with_joins_is_answered_once_and_the_same(node: Running) -> None:
    asked = order(node)
    first, again = node.send(asked), node.send(asked)
    assert (first.release_jws, first.result) == (again.release_jws, again.result)
    assert node.entries()[-1]["cost"] == 1


def one(node: Running, **changes: Any) -> tuple[Joined, ...]:
    return (replace(order(node).joins[0], **changes),)


REFUSED: dict[str, tuple[Any, str]] = {
    "a protected table": (lambda node: order(node, joined="shops"), "join_not_allowed"),
    "an open one whose queries are limited": (lambda node: order(node, joined="counted"), "join_not_allowed"),
    "a key that repeats": (lambda node: order(node, joined="twice"), "join_not_allowed"),
    "no snapshot for the join": (lambda node: order(node, joins=()), "field_invalid"),
    "a snapshot for no join": (lambda node: order(node, joins=one(node) + one(node, name="more")), "field_invalid"),
    "two snapshots for one": (lambda node: order(node, joins=2 * one(node)), "field_invalid"),
    "another name": (lambda node: order(node, joins=one(node, name="elsewhere")), "field_invalid"),
    "a column the holder hides": (lambda node: order(node, joined="hidden"), "policy_refused"),
    "a column the product hides": (lambda node: order(node, joins=one(node, columns=("name",))), "column_unknown"),
    "a key the product hides": (lambda node: order(node, joins=one(node, columns=("county",))), "policy_refused"),
    "a resource nobody offers": (lambda node: order(node, joins=one(node, resource="none")), "policy_refused"),
    "a snapshot that is gone": (lambda node: order(node, joins=one(node, snapshot="none")), "snapshot_gone"),
    "another's snapshot": (
        lambda node: order(node, joins=one(node, snapshot=node.snapshots["twice"])),
        "snapshot_gone",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_node_judges_every_join_by_itself(node: Running, name: str) -> None:
    make, code = REFUSED[name]
    spent = node.described()["policy"]["spent"]
    assert node.code(make(node)) == (Outcome.NOT_EXECUTED, code)
    assert node.described()["policy"]["spent"] == spent


def test_a_name_that_is_no_name_reaches_no_sql(node: Running) -> None:
    asked = order(node)
    named = 'towns" FROM x; --'
    joins = [asked.query["joins"][0] | {"name": named}]
    forged = asked.query | {"joins": joins, "dimensions": [f"{named}.county"]}
    assert node.code(replace(asked, query=forged, joins=one(node, name=named)))[1] == "policy_refused"


def test_stopping_what_is_joined_stops_the_next_order_and_nothing_else(node: Running) -> None:
    stops.stop(node.home, "towns")
    try:
        assert node.code(order(node)) == (Outcome.NOT_EXECUTED, "stopped_by_holder")
        assert node.code(node.order()) == (Outcome.RELEASED, "")
    finally:
        stops.resume(node.home, "towns")
    assert node.code(order(node))[0] is Outcome.RELEASED


def test_a_new_snapshot_of_what_is_joined_gives_a_new_answer(node: Running, tmp_path: Path) -> None:
    source = tmp_path / "towns.csv"
    source.write_text("name,county,people\neast,Beiling,1\nwest,Beiling,2\n")
    before = order(node, "stalls", terms=OPEN)
    report = nodes.take_in(node.home, "towns", source, TOWNS)
    later = replace(order(node, "stalls", terms=OPEN), joins=one(node, snapshot=report["snapshot"]))
    assert released(node, later) == {"Beiling": 600}
    assert released(node, before) == {"Haizhou": 300}

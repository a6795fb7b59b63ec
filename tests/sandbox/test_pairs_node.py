"""Joins by the entity at the node, by real processes: what the holder's policy allows, and what it costs."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from exchange.crypto.keys import b64url, raw
from exchange.sandbox import query, sql
from exchange.sandbox.node import stops
from exchange.sandbox.orders import Joined, Order, OrderKind, Outcome
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Manifest, manifest_from_json
from exchange.sandbox.terms import Terms
from tests import nodes, samples
from tests.sandbox.pairs import REGISTRY, SALES, WHOLE, bare, registry, sales
from tests.sandbox.shops import GUARDED, KEY, ROWS_PER_SECOND, Running, table

PRIVATE = Terms("private", rows=3, rho=2_000)
POPULATIONS = {
    "firms": {"profile": "guarded", "entity": "firm", "threshold": 10, "queries": 100},
    "others": {"profile": "guarded", "entity": "firm", "threshold": 10, "queries": 100},
    "people": {"profile": "private", "entity": "firm", "rho": 100_000},
}
SIDE = {"columns": ["sector", "firm", "staff", "size"], "one_row": True}
MAIN = {"columns": ["town", "firm", "amount"]}
RESOURCES: dict[str, dict[str, Any]] = {
    "sales": MAIN | {"population": "firms", "joins": ["registry", "older"]},
    "visits": MAIN | {"population": "firms"},
    "registry": SIDE | {"population": "firms"},
    "older": SIDE | {"population": "firms"},
    "whole": {"population": "firms", "columns": [column.name for column in WHOLE.columns]},
    "elsewhere": SIDE | {"population": "others"},
    "rides": MAIN | {"population": "people", "joins": ["riders"], "most_rows": 2_000},
    "riders": SIDE | {"population": "people", "most_rows": 500},
}
BY_SECTOR = "SELECT sector, COUNT(*) AS n, SUM(amount) FROM sales JOIN registry USING (firm) GROUP BY sector"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("pairs")
    made = {"populations": POPULATIONS, "exchange_key": b64url(raw(KEY.public)), "rows_per_second": 5 * ROWS_PER_SECOND}
    both = pd.DataFrame(sales()).merge(pd.DataFrame(registry()), on="firm")
    frames = {"whole": (both, WHOLE), "registry": (pd.DataFrame(registry()), REGISTRY)}
    frames |= dict.fromkeys(("older", "elsewhere", "riders"), frames["registry"])
    frames |= dict.fromkeys(("sales", "visits", "rides"), (pd.DataFrame(sales()), SALES))
    before = {name: rules | {"one_row": False, "joins": []} for name, rules in RESOURCES.items()}
    home = nodes.make_node(folder / "home", resources=before, **made)  # type: ignore[arg-type]
    snapshots = {}
    for step in (["older"], sorted({*frames} - {"older"})):  # the first before its holder declared anything
        for name in step:
            source = samples.write(frames[name][0].astype({"staff": "Int64"} if "staff" in frames[name][0] else {}),
                                   folder / f"{name}.parquet")  # fmt: skip
            snapshots[name] = nodes.take_in(home, name, source, frames[name][1])["snapshot"]
        tables = {f"populations.{name}": value for name, value in POPULATIONS.items()}
        tables |= {f"resources.{name}": value for name, value in RESOURCES.items()}
        nodes.write_policy(home, tables | {"exchanges.sluice": {"x": b64url(raw(KEY.public))}})
    with nodes.running(home) as process:
        yield Running(home, process, nodes.client(home), snapshots)


def manifest(node: Running, resource: str) -> Manifest:
    return manifest_from_json(node.described(resource)["manifest"])


def order(
    node: Running, text: str = BY_SECTOR, main: str = "sales", side: str = "registry", terms: Terms = GUARDED,
    **changes: Any,
) -> Order:  # fmt: skip
    """An order of `text`, whose sales are `main` and whose registry is `side`, whatever their manifests say."""
    others = {"registry": replace(manifest(node, "registry"), resource=side)}
    asked = query.bind(sql.parse(text), SALES, Profile(terms.profile), others).query
    join = Joined("registry", side, node.snapshots[side], ("sector", "firm", "staff", "size"))
    changes = {"columns": ("town", "firm", "amount"), "joins": (join,)} | changes
    return node.about(
        OrderKind.QUERY, resource=main, snapshot=node.snapshots[main], terms=terms, query=query.to_json(asked),
        **changes,
    )  # fmt: skip


def spent(node: Running, resource: str = "sales") -> int:
    return int(node.described(resource)["policy"]["spent"])


def test_the_answer_is_that_of_the_table_joined_beforehand_with_the_same_noise(node: Running) -> None:
    found = bare(pd.DataFrame(table(node.send(order(node)))))
    text = BY_SECTOR.replace(" JOIN registry USING (firm)", "").replace("sales", "whole")
    whole = query.bind(sql.parse(text), WHOLE, Profile.GUARDED).query
    asked = replace(
        order(node), resource="whole", snapshot=node.snapshots["whole"], joins=(), query=query.to_json(whole),
        columns=tuple(column.name for column in WHOLE.columns),
    )  # fmt: skip
    due = pd.DataFrame(table(node.send(asked)))
    assert found[due.columns].equals(due)
    assert set(found["status"]) == {"released"}


def test_a_population_is_debited_once_for_both_tables(node: Running) -> None:
    before = spent(node)
    asked = order(node)
    first, again = node.send(asked), node.send(asked)
    assert first.release.outcome is Outcome.RELEASED
    assert (first.release_jws, first.result) == (again.release_jws, again.result)
    assert spent(node) == spent(node, "registry") == before + 1
    assert (node.entries()[-1]["cost"], node.entries()[-1]["population"]) == (1, "firms")


def test_a_private_pair_costs_the_queries_rho_and_releases_every_cell(node: Running) -> None:
    before = spent(node, "rides")
    text = BY_SECTOR.replace("SUM(amount)", "AVG(staff), COUNT(DISTINCT firm)").replace("JOIN", "LEFT JOIN")
    answer = node.send(order(node, text, "rides", "riders", PRIVATE))
    assert answer.release.outcome is Outcome.RELEASED, answer.release.code
    rows = table(answer)
    assert [row["registry.sector"] for row in rows] == [None, "a", "b", "c"]
    assert all(row["count_low"] < row["count"] < row["count_high"] for row in rows)
    assert spent(node, "rides") == spent(node, "riders") == before + PRIVATE.rho
    private = node.described("riders")["manifest"]
    assert (private["rows"], private["entities"], private["one_row"]) == (0, 0, True)


def test_the_node_says_what_the_holder_lets_be_joined(node: Running) -> None:
    said = {name: node.described(name)["policy"]["joins"] for name in ("sales", "visits", "registry", "rides")}
    assert said == {"sales": ["older", "registry"], "visits": [], "registry": [], "rides": ["riders"]}
    assert manifest(node, "sales").population == manifest(node, "registry").population == "firms"


def joins(node: Running, **changes: Any) -> tuple[Joined, ...]:
    return (replace(order(node).joins[0], **changes),)


def forged(node: Running, **join: Any) -> Order:
    asked = order(node)
    return replace(asked, query=asked.query | {"joins": [asked.query["joins"][0] | join]})


def two(node: Running) -> Order:
    """The registry, and the older one beside it."""
    asked = order(node)
    listed = [asked.query["joins"][0] | {"name": name} for name in ("older", "registry")]
    return replace(
        asked, query=asked.query | {"joins": listed},
        joins=asked.joins + joins(node, name="older", resource="older", snapshot=node.snapshots["older"]),
    )  # fmt: skip


REFUSED: dict[str, tuple[Any, str]] = {
    "what the holder did not name": (lambda node: order(node, main="visits"), "join_not_allowed"),
    "another population": (lambda node: order(node, side="elsewhere"), "join_not_allowed"),
    "a private population's": (lambda node: order(node, side="riders"), "join_not_allowed"),
    "many rows of each": (lambda node: order(node, side="visits"), "join_not_allowed"),
    "a snapshot from before its holder declared one row": (lambda node: order(node, side="older"), "join_not_allowed"),
    "itself": (lambda node: order(node, main="registry", columns=("sector", "firm")), "join_not_allowed"),
    "two by the entity": (two, "join_not_allowed"),
    "a dimension as the key": (lambda node: forged(node, key="sector"), "join_not_allowed"),
    "a dimension joined to an entity": (lambda node: forged(node, on="town"), "join_not_allowed"),
    "a column the product hides": (lambda node: order(node, joins=joins(node, columns=("firm",))), "column_unknown"),
    "an entity the product hides": (lambda node: order(node, joins=joins(node, columns=("sector",))), "policy_refused"),
    "a column the holder hides": (lambda node: order(node, joins=joins(node, columns=("firm", "x"))), "policy_refused"),
    "another's snapshot": (
        lambda node: order(node, joins=joins(node, snapshot=node.snapshots["riders"])),
        "snapshot_gone",
    ),
    "softer terms": (lambda node: order(node, terms=replace(GUARDED, threshold=9)), "policy_refused"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_the_node_judges_every_pair_by_itself(node: Running, name: str) -> None:
    make, code = REFUSED[name]
    before = spent(node)
    assert node.code(make(node)) == (Outcome.NOT_EXECUTED, code)
    assert spent(node) == before


def test_stopping_what_is_joined_stops_the_pair_and_nothing_else(node: Running) -> None:
    stops.stop(node.home, "registry")
    try:
        assert node.code(order(node)) == (Outcome.NOT_EXECUTED, "stopped_by_holder")
    finally:
        stops.resume(node.home, "registry")
    assert node.code(order(node))[0] is Outcome.RELEASED


def test_rows_added_to_what_is_joined_are_matched_and_the_old_snapshot_still_answers(
    node: Running, tmp_path: Path
) -> None:
    """The firms that sold something and were not registered are, with a sector that is known."""
    before = order(node)
    rows = pd.DataFrame([{"firm": f"f{firm}", "sector": "a", "staff": 1} for firm in range(60)])
    report = nodes.take_in(node.home, "registry", samples.write(rows, tmp_path / "new.csv"), REGISTRY, "--append")
    later = order(node, joins=joins(node, snapshot=report["snapshot"]))
    counts = [{row["registry.sector"]: row["count"] for row in table(node.send(each))} for each in (before, later)]
    added = sum(int(row["firm"][1:]) < 60 for row in sales())
    assert counts[0] | {"a": 0} == counts[1] | {"a": 0}
    assert abs(counts[1]["a"] - counts[0]["a"] - added) < 100
    with pytest.raises(RuntimeError, match="one_row"):
        nodes.take_in(node.home, "registry", samples.write(rows, tmp_path / "again.csv"), REGISTRY, "--append")

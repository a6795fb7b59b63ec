"""Whether the time of an answer tells what rows there are.

On a real node, by the buyer's clock. Each bet is on two answers, asked in an order that a coin decides: whatever else
the machine does befalls both alike, so on a busy one a score is nearer to chance, never above its bound.
"""

import random
import time
from collections.abc import Iterator, Sequence
from statistics import fmean

import numpy as np
import pandas as pd
import pytest

from exchange.crypto.keys import b64url, raw
from exchange.sandbox import query, sql
from exchange.sandbox.orders import Order, OrderKind, sign_order
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Column, Kind, Role, Schema
from exchange.sandbox.terms import Terms
from tests import nodes, samples
from tests.attacks.chance import least, most, times
from tests.attacks.conftest import Write
from tests.sandbox.shops import KEY, Running

ROWS = 10_000  # 40 times as many where there is no deadline
TOWNS = tuple(f"t{i:02}" for i in range(40))
PEOPLED, EMPTY = TOWNS[:20], TOWNS[20:]
SCHEMA = Schema(
    (
        Column("firm", Kind.INTEGER, Role.ENTITY),
        Column("town", Kind.STRING, Role.DIMENSION, TOWNS, required=True),
        Column("sales", Kind.INTEGER, Role.MEASURE, low=0, high=10**9),
    )
)
POPULATIONS = {
    "firms": {"profile": "guarded", "entity": "firm", "threshold": 10, "queries": 10**9},
    "people": {"profile": "private", "entity": "firm", "rho": 10**12},
    "public": {"profile": "open"},
}
COLUMNS = ["firm", "town", "sales"]
RESOURCES = {
    "shops": {"population": "firms", "columns": COLUMNS},
    "staff": {"population": "people", "columns": COLUMNS, "most_rows": ROWS},
    "stalls": {"population": "public", "columns": COLUMNS[1:]},
}
TERMS = {"shops": Terms("guarded", 10), "staff": Terms("private", rows=5, rho=1000), "stalls": Terms("open")}


def rows(number: int) -> pd.DataFrame:
    firms, draw = np.arange(number) % (number // 10), np.random.default_rng(3)
    return pd.DataFrame(
        {"firm": firms, "town": np.array(PEOPLED)[firms % 20], "sales": draw.integers(0, 10**9, number)}
    )


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A node with a thousand firms of ten rows each, in the first twenty of forty towns."""
    folder = tmp_path_factory.mktemp("timing")
    home = nodes.make_node(
        folder / "home", populations=POPULATIONS, resources=RESOURCES, exchange_key=b64url(raw(KEY.public)),
        rows_per_second=20_000_000, start_ms=80,
    )  # fmt: skip
    snapshots = {}
    for name, schema in (("shops", SCHEMA), ("staff", SCHEMA), ("stalls", SCHEMA.only({"town", "sales"}))):
        source = samples.write(rows(ROWS if name != "stalls" else 40 * ROWS), folder / f"{name}.parquet")
        snapshots[name] = nodes.take_in(home, name, source, schema)["snapshot"]
    with nodes.running(home) as process:
        nodes.wait_for_vaults(process)
        yield Running(home, process, nodes.client(home), snapshots)


def seconds(node: Running, resource: str, towns: Sequence[str]) -> float:
    """How long a buyer waits for what is asked of these towns."""
    listed = ", ".join(repr(town) for town in sorted(towns))
    figures = "COUNT(*), AVG(sales), COUNT(DISTINCT sales)" if resource == "stalls" else "COUNT(*), AVG(sales)"
    text = f"SELECT town, {figures} FROM {resource} WHERE town IN ({listed}) GROUP BY town"
    token = sign_order(order(node, resource, text), KEY)
    began = time.perf_counter()
    node.client.send(token)
    return time.perf_counter() - began


def order(node: Running, resource: str, text: str) -> Order:
    schema = SCHEMA if resource != "stalls" else SCHEMA.only({"town", "sales"})
    asked = query.to_json(query.bind(sql.parse(text), schema, Profile(TERMS[resource].profile)).query)
    about = {"resource": resource, "snapshot": node.snapshots[resource], "terms": TERMS[resource], "query": asked}
    return node.about(OrderKind.QUERY, columns=tuple(column.name for column in schema.columns), **about)


def bets(node: Running, resource: str, number: int, towns: int) -> float:
    """How often the slower of two answers is the one that has rows; no two questions are the same.

    It is asked first as often as second, in an order drawn anew in every run: what comes first may well be slower.
    """
    first = [True, False] * (number // 2)
    random.shuffle(first)
    return fmean(bet(node, resource, towns, peopled_first) for peopled_first in first)


def bet(node: Running, resource: str, towns: int, peopled_first: bool) -> bool:
    asked = [random.sample(PEOPLED, towns), random.sample(EMPTY, towns)]
    taken = [seconds(node, resource, some) for some in (asked if peopled_first else asked[::-1])]
    return (taken[0] > taken[1]) == peopled_first


def test_timing(node: Running, board: Write) -> None:
    """Hundreds of firms match, or nobody does: cells are released or suppressed, looked at once or twice."""
    few, many = times(12, 50), times(32, 500)
    board("control", bets(node, "stalls", few, 19), trials=few, at_least=least(0.98, few))
    for name, resource in (("guarded", "shops"), ("private", "staff")):
        board(name, bets(node, resource, many, 8), trials=many, at_most=most(0.5, many))

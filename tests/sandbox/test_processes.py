"""The node's processes: what happens when one dies, hangs or lies; the launcher and the command."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from exchange.crypto.keys import b64url, raw
from exchange.errors import Problem
from exchange.sandbox import query, sql
from exchange.sandbox.node.home import Home
from exchange.sandbox.orders import Joined, Outcome, sign_order
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Manifest
from tests import nodes
from tests.sandbox.shops import (
    KEY,
    SCHEMA,
    Running,
    make,
    patiently,
    switch,
    table,
)

# Processes that die, hang or lie


def test_a_dead_vault_is_replaced(possessed: Callable[..., Running]) -> None:
    node = possessed()
    nodes.wait_for_vaults(node.process)
    before = nodes.children(node.process, "vault")
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    patiently(lambda: _all_gone(before))  # one that is still dying takes an order with it
    assert node.send(node.open_order()).release.outcome is Outcome.RELEASED
    assert not set(before) & set(nodes.children(node.process, "vault"))


def test_a_dead_gate_comes_back_at_the_same_port_and_answers_as_before(possessed: Callable[..., Running]) -> None:
    node = possessed()
    order, where = sign_order(node.order(), KEY), nodes.endpoint(node.home)
    first = node.client.send(order)
    os.kill(nodes.children(node.process, "gate")[0], signal.SIGKILL)
    assert patiently(lambda: node.client.send(order)) == first
    assert nodes.endpoint(node.home) == where


def test_an_order_debited_before_a_crash_runs_again_free(possessed: Callable[..., Running]) -> None:
    node = possessed(gate_ran="die")
    order = sign_order(node.order(), KEY)
    with pytest.raises(Problem, match="node_unreachable"):
        node.client.send(order)
    possessed.tell()  # type: ignore[attr-defined]
    release = patiently(lambda: node.client.send(order)).release
    assert (release.outcome, release.spent) == (Outcome.RELEASED, 1)
    assert node.described()["policy"]["spent"] == 1


def test_two_vaults_that_die_over_an_open_order_end_it_unexecuted(possessed: Callable[..., Running]) -> None:
    node = possessed(vault_ran="die")
    assert node.code(node.open_order()) == (Outcome.NOT_EXECUTED, "engine_failed")


def test_an_open_query_that_hangs_is_killed_and_others_are_answered(possessed: Callable[..., Running]) -> None:
    node = possessed(vault_ran="sleep")
    nodes.wait_for_vaults(node.process)
    assert node.code(node.open_order()) == (Outcome.FAILED, "query_failed")
    possessed.tell()  # type: ignore[attr-defined]
    assert patiently(lambda: node.send(node.open_order())).release.outcome is Outcome.RELEASED


@pytest.mark.parametrize("how", ["sleep", "spin", "bomb"])
def test_a_guarded_query_that_overruns_fails_at_its_deadline_and_is_blocked(
    possessed: Callable[..., Running], how: str
) -> None:
    """A vault that waits, loops or takes all the memory it gets: one answer for all, and others are answered."""
    node = possessed(vault_ran=how)
    assert node.code(node.order()) == (Outcome.FAILED, "query_failed")
    possessed.tell()  # type: ignore[attr-defined]
    assert node.code(node.order()) == (Outcome.NOT_EXECUTED, "plan_blocked")
    other = node.order("SELECT COUNT(*) FROM shops")
    assert node.send(other).release.outcome is Outcome.RELEASED


def test_what_is_on_its_way_when_the_holder_stops_is_not_released(possessed: Callable[..., Running]) -> None:
    node = possessed(gate_debited="wait")
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(node.code, node.order())
        patiently(lambda: _debited(node))
        switch(node, "stop")
        possessed.tell()  # type: ignore[attr-defined]
        assert answer.result(60) == (Outcome.NOT_EXECUTED, "stopped_by_holder")


def test_what_is_on_its_way_when_the_holder_stops_what_it_joins_is_not_released(
    possessed: Callable[..., Running], tmp_path: Path
) -> None:
    node = possessed(gate_debited="wait")
    source, schema = tmp_path / "towns.csv", SCHEMA.only({"town"})
    source.write_text("town\neast\nwest\n")
    snapshot = nodes.take_in(node.home, "empty", source, schema)["snapshot"]
    others = {"empty": Manifest("empty", snapshot, schema, rows=2, unique=("town",))}
    text = "SELECT COUNT(*) FROM stalls JOIN empty USING (town)"
    asked = query.bind(sql.parse(text), SCHEMA, Profile.OPEN, others).query
    joins = (Joined("empty", "empty", snapshot, ("town",)),)
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(node.code, node.open_order(query=query.to_json(asked), joins=joins))
        patiently(lambda: _debited(node))
        switch(node, "stop", "empty")
        possessed.tell()  # type: ignore[attr-defined]
        assert answer.result(60) == (Outcome.NOT_EXECUTED, "stopped_by_holder")


def _debited(node: Running) -> None:
    if not node.entries():
        raise Problem("node_unreachable")


@pytest.mark.parametrize("lie", ["garbage", "a pickle"])
def test_a_vault_that_lies_is_killed_and_nothing_of_it_is_signed(possessed: Callable[..., Running], lie: str) -> None:
    node = possessed(vault_ran=lie)
    nodes.wait_for_vaults(node.process)
    liars = nodes.children(node.process, "vault")
    answer = node.send(node.order())
    assert (answer.release.outcome, answer.release.code, answer.result) == (Outcome.FAILED, "engine_failed", b"")
    patiently(lambda: _gone(liars))


def _gone(pids: list[int]) -> None:
    if all(Path(f"/proc/{pid}").exists() for pid in pids):
        raise Problem("node_unreachable")


def test_a_damaged_snapshot_is_not_executed(tmp_path: Path) -> None:
    home, snapshots = make(tmp_path)
    [data] = (home.snapshots / "stalls").glob("*.parquet")
    data.write_bytes(data.read_bytes()[:-8] + b"PAR1PAR1")
    with nodes.running(home) as process:
        node = Running(home, process, nodes.client(home), snapshots)
        assert node.code(node.open_order()) == (Outcome.NOT_EXECUTED, "snapshot_unreadable")


# The launcher


def test_nothing_outlives_a_killed_launcher(tmp_path: Path) -> None:
    home = nodes.make_node(tmp_path / "home", populations={}, resources={}, exchange_key=b64url(raw(KEY.public)))
    with nodes.running(home) as process:
        nodes.wait_for_vaults(process)
        pids = nodes.children(process, "gate") + nodes.children(process, "vault")
        process.kill()
        process.wait()
        assert len(pids) == 3
        patiently(lambda: _all_gone(pids))


def _all_gone(pids: list[int]) -> None:
    if any(_lives(pid) for pid in pids):
        raise Problem("node_unreachable")


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_sigterm_ends_it_cleanly(tmp_path: Path) -> None:
    home = nodes.make_node(tmp_path / "home", populations={}, resources={}, exchange_key=b64url(raw(KEY.public)))
    with nodes.running(home) as process:
        process.terminate()
        assert process.wait(30) == 0
    assert not home.endpoint.exists()


def test_sighup_has_the_policy_read_again(possessed: Callable[..., Running]) -> None:
    node = possessed()
    assert node.send(node.open_order()).release.outcome is Outcome.RELEASED
    nodes.write_policy(node.home, {"exchanges.sluice": {"x": b64url(raw(KEY.public))}})
    node.process.send_signal(signal.SIGHUP)
    until = time.monotonic() + nodes.SECONDS
    while (code := patiently(lambda: node.code(node.open_order()))[1]) != "policy_refused":
        assert time.monotonic() < until, code


def run(home: Home) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "exchange.sandbox", "run", str(home.root)]
    return subprocess.run(command, cwd=nodes.ROOT, capture_output=True, text=True, timeout=60)


WRONG = [
    ("node.toml", "name = 7\n", "name is 7"),
    ("node.toml", 'name = "n"\nlisten = "0.0.0.0:8815"\n', "off loopback the node needs tls_certificate"),
    ("node.toml", 'name = "n"\ncolour = "red"\n', "unknown setting 'colour'"),
    ("policy.toml", "[populations.x]\nprofile = 'lax'\n", "profile is one of open, guarded, private"),
    ("policy.toml", "[[", "policy.toml:"),
    ("keys/node.pem", "no key", "sluice gate:"),
]


@pytest.mark.parametrize(("name", "text", "says"), WRONG)
def test_a_bad_configuration_is_one_clear_sentence(tmp_path: Path, name: str, text: str, says: str) -> None:
    home = nodes.make_node(tmp_path / "home", populations={}, resources={}, exchange_key=b64url(raw(KEY.public)))
    (home.root / name).write_text(text)
    done = run(home)
    assert done.returncode == os.EX_CONFIG
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_node_runs_once(node: Running) -> None:
    done = run(node.home)
    assert (done.returncode, "runs already" in done.stderr) == (os.EX_CONFIG, True)


def test_a_taken_port_is_said(node: Running, tmp_path: Path) -> None:
    listen = nodes.endpoint(node.home)["url"].rpartition("/")[2]
    x = b64url(raw(KEY.public))
    home = nodes.make_node(tmp_path / "home", populations={}, resources={}, exchange_key=x, listen=listen)
    done = run(home)
    assert (done.returncode, f"cannot listen on {listen}" in done.stderr) == (os.EX_CONFIG, True)


# The command


def test_init_makes_a_home_that_only_its_owner_reads(tmp_path: Path) -> None:
    root = tmp_path / "home"
    done = sandbox("init", root, "--name", "roads", "--listen", "127.0.0.1:0", "--exchange", "sluice=" + "A" * 43)
    assert done.returncode == 0, done.stderr
    home = Home(root)
    for path in (home.key, home.row_secret, home.noise_secret):
        assert path.stat().st_mode & 0o077 == 0
    for path in (home.keys, home.journal, home.secrets, home.snapshots):
        assert path.stat().st_mode & 0o077 == 0
    assert home.row_secret.read_bytes() != home.noise_secret.read_bytes()
    assert sandbox("init", root, "--name", "roads").returncode == os.EX_CONFIG


def test_describe_says_what_the_node_offers(node: Running) -> None:
    said = json.loads(sandbox("describe", node.home.root).stdout)
    assert said["resources"]["shops"]["snapshot"] == node.snapshots["shops"]
    assert said["resources"]["empty"]["snapshot"] == ""
    assert said["public_jwk"] == nodes.endpoint(node.home)["public_jwk"]


def test_intake_refuses_what_the_policy_does_not_offer(node: Running, tmp_path: Path) -> None:
    source = tmp_path / "source.csv"
    source.write_text("town,sales\neast,1\n")
    with pytest.raises(RuntimeError, match="does not offer taxes"):
        nodes.take_in(node.home, "taxes", source, SCHEMA.only({"town", "sales"}))


def test_intake_says_where_a_source_is_wrong_and_leaves_the_snapshot(node: Running, tmp_path: Path) -> None:
    source = tmp_path / "source.csv"
    source.write_text("town,sales\neast,1\nwest,many\n")
    with pytest.raises(RuntimeError, match="line 3"):
        nodes.take_in(node.home, "stalls", source, SCHEMA.only({"town", "sales"}))
    assert node.described("stalls")["manifest"]["snapshot"] == node.snapshots["stalls"]


def test_a_new_snapshot_comes_into_service_while_the_node_runs(
    possessed: Callable[..., Running], tmp_path: Path
) -> None:
    node = possessed()
    source = tmp_path / "new.csv"
    source.write_text("town,sales\n" + "east,5\n" * 50)
    report = nodes.take_in(node.home, "stalls", source, SCHEMA.only({"town", "sales"}))
    assert node.described("stalls")["manifest"]["snapshot"] == report["snapshot"] != node.snapshots["stalls"]
    assert table(node.send(node.open_order(snapshot=report["snapshot"])))[0]["count"] == 50


def sandbox(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "exchange.sandbox", *map(str, arguments)]
    return subprocess.run(command, cwd=nodes.ROOT, capture_output=True, text=True, timeout=60)

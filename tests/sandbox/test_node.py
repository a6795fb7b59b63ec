"""A node as its exchange meets it: real processes, real intake, orders over Flight."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID
from pyarrow import flight

from exchange.crypto.keys import SigningKey, b64url, from_jwk, raw, signing_key
from exchange.errors import Problem
from exchange.ids import new_id
from exchange.sandbox import query, sql
from exchange.sandbox.client import Answer, Node
from exchange.sandbox.node.home import Home
from exchange.sandbox.orders import Order, OrderKind, Outcome, sign_order
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Column, Kind, Role, Schema
from exchange.sandbox.terms import Terms
from tests import nodes

KEY = signing_key(Ed25519PrivateKey.from_private_bytes(bytes(32)))
SCHEMA = Schema(
    (
        Column("town", Kind.STRING, Role.DIMENSION, ("east", "west")),
        Column("firm", Kind.STRING, Role.ENTITY),
        Column("sales", Kind.INTEGER, Role.MEASURE, low=0, high=1000),
    ),
    row_key=("firm", "day"),
)
ROWS_PER_SECOND = 3_000  # little: a busy machine's pause must be no overrun
OPEN, GUARDED = Terms("open"), Terms("guarded", 10)
TOTALS = "SELECT town, COUNT(*) AS n, SUM(sales) AS s FROM shops GROUP BY town"
POPULATIONS = {
    "firms": {"profile": "guarded", "entity": "firm", "threshold": 10, "queries": 40},
    "public": {"profile": "open"},
}
RESOURCES = {
    "shops": {"population": "firms", "columns": ["town", "firm", "sales"]},
    "stalls": {"population": "public", "columns": ["town", "sales"]},
    "empty": {"population": "public", "columns": ["town"]},
}


@dataclass
class Running:
    """A node in service, and an exchange that may send it orders."""

    home: Home
    process: subprocess.Popen[bytes]
    client: Node
    snapshots: dict[str, str]

    def order(self, text: str = TOTALS, terms: Terms = GUARDED, **changes: Any) -> Order:
        question = sql.parse(text)
        bound = query.bind(question, SCHEMA, Profile(terms.profile))
        now = int(time.time())
        order = Order(
            id=str(new_id()), exchange="sluice", node="node", issued_at=now, expires_at=now + 60,
            kind=OrderKind.QUERY, resource=question.product, snapshot=self.snapshots[question.product],
            terms=terms, query=query.to_json(bound.query), columns=("town", "firm", "sales"),
        )  # fmt: skip
        return replace(order, **changes)

    def open_order(self, **changes: Any) -> Order:
        changes = {"columns": ("town", "sales")} | changes
        return self.order("SELECT town, COUNT(*) AS n, SUM(sales) AS s FROM stalls GROUP BY town", OPEN, **changes)

    def about(self, kind: OrderKind, **changes: Any) -> Order:
        now = int(time.time())
        return replace(Order(str(new_id()), "sluice", "node", now, now + 60, kind), **changes)

    def send(self, order: Order, key: SigningKey = KEY) -> Answer:
        return self.client.execute(order, key)

    def code(self, order: Order) -> tuple[Outcome, str]:
        release = self.send(order).release
        return release.outcome, release.code

    def entries(self, since: int = 0) -> list[dict[str, Any]]:
        return json.loads(self.send(self.about(OrderKind.JOURNAL, since=since)).result)["entries"]

    def described(self, resource: str = "shops") -> dict[str, Any]:
        return json.loads(self.send(self.about(OrderKind.DESCRIBE, resource=resource)).result)


def make(folder: Path, **settings: Any) -> tuple[Home, dict[str, str]]:
    """A home with two snapshots of 1,000 rows: 100 firms, of which 96 in the east and 4 in the west."""
    x = b64url(raw(KEY.public))
    settings = {"rows_per_second": ROWS_PER_SECOND} | settings
    home = nodes.make_node(folder / "home", populations=POPULATIONS, resources=RESOURCES, exchange_key=x, **settings)
    rows = [(f"firm{i % 100}", i // 100, "west" if i % 100 < 4 else "east", i) for i in range(1000)]
    source = folder / "source.csv"
    source.write_text("firm,day,town,sales\n" + "".join(",".join(map(str, row)) + "\n" for row in rows))
    shops = nodes.take_in(home, "shops", source, SCHEMA)
    stalls = nodes.take_in(home, "stalls", source, SCHEMA.only({"town", "sales"}))
    return home, {"shops": shops["snapshot"], "stalls": stalls["snapshot"]}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The node of the tests that do it no harm."""
    home, snapshots = make(tmp_path_factory.mktemp("node"))
    with nodes.running(home) as process:
        yield Running(home, process, nodes.client(home), snapshots)


@pytest.fixture
def possessed(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """A function that starts a node whose processes do as they are told after a step."""
    folder = tmp_path / "possessed"
    shutil.copytree(Path(__file__).parent / "possessed", folder)
    home, snapshots = make(tmp_path, seconds=5)
    runs = []

    def start(**steps: str) -> Running:
        tell(**steps)
        context = nodes.running(home, {"PYTHONPATH": str(folder)})
        running = Running(home, context.__enter__(), nodes.client(home), snapshots)
        runs.append(context)
        return running

    def tell(**steps: str) -> None:
        (folder / "orders.json").write_text(json.dumps({f"sluice.{k.replace('_', '.')}": v for k, v in steps.items()}))

    start.tell = tell  # type: ignore[attr-defined]
    yield start
    for context in reversed(runs):
        context.__exit__(None, None, None)


def table(answer: Answer) -> list[dict[str, Any]]:
    return pa.ipc.open_stream(answer.result).read_all().to_pylist()


# Answers


def test_an_open_answer_is_exact(node: Running) -> None:
    rows = table(node.send(node.open_order()))
    exact = {"east": 960, "west": 40}
    assert {row["town"]: row["count"] for row in rows} == exact


def test_a_guarded_answer_is_the_whole_grid_with_small_cells_suppressed(node: Running) -> None:
    answer = node.send(node.order())
    status = {row["town"]: row["status"] for row in table(answer)}
    assert status == {None: "suppressed", "east": "released", "west": "suppressed"}
    assert (answer.release.cells, answer.release.suppressed) == (3, 2)


def test_the_release_says_what_was_spent_and_under_which_policy(node: Running) -> None:
    release = node.send(node.order()).release
    assert release.population == "firms"
    assert release.spent == node.described()["policy"]["spent"]
    assert release.journal == node.entries()[-1]["number"]
    assert release.policy == node.send(node.about(OrderKind.DESCRIBE, resource="shops")).release.policy
    assert release.snapshot == node.snapshots["shops"]


def test_the_same_order_gets_the_same_release_and_the_same_bytes(node: Running) -> None:
    order = node.order()
    first, again = node.send(order), node.send(order)
    assert (first.release_jws, first.result) == (again.release_jws, again.result)


def test_an_order_seen_before_is_looked_up_before_its_expiry_is_judged(node: Running) -> None:
    order = sign_order(replace(node.open_order(), expires_at=int(time.time()) + 2), KEY)
    first = node.client.send(order)
    time.sleep(2.5)
    assert node.client.send(order) == first
    assert first.release.outcome is Outcome.RELEASED


def test_a_guarded_answer_does_not_leave_before_its_deadline(node: Running) -> None:
    began = time.monotonic()
    node.send(node.order("SELECT COUNT(*) FROM shops"))
    assert time.monotonic() - began >= 0.02 + (1000 + 20) * 2 / ROWS_PER_SECOND  # DESIGN 4, plan.deadline


def test_concurrent_sends_of_one_order_run_once(node: Running) -> None:
    order = sign_order(node.order(), KEY)
    spent = node.described()["policy"]["spent"]
    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(lambda _: node.client.send(order).release_jws, range(8)))
    assert len(answers) == 1
    assert node.described()["policy"]["spent"] == spent + 1


def test_many_orders_at_once_are_each_answered_and_numbered_once(node: Running) -> None:
    tokens = [sign_order(node.open_order(), KEY) for _ in range(24)]
    with ThreadPoolExecutor(8) as pool:
        releases = list(pool.map(lambda token: node.client.send(token).release, tokens))
    assert {release.outcome for release in releases} == {Outcome.RELEASED}
    assert len({release.journal for release in releases}) == 24


def test_describe_tells_the_public_manifest_and_the_law(node: Running) -> None:
    said = node.described()
    assert said["manifest"]["snapshot"] == node.snapshots["shops"]
    assert said["manifest"]["most_rows"] == 0
    assert said["policy"]["columns"] == ["firm", "sales", "town"]
    assert (said["policy"]["population"], said["policy"]["threshold"]) == ("firms", 10)


def test_a_resource_without_a_snapshot_is_said_to_have_none(node: Running) -> None:
    assert node.code(node.about(OrderKind.DESCRIBE, resource="empty")) == (Outcome.NOT_EXECUTED, "snapshot_missing")


def test_the_journal_is_told_from_a_number_on(node: Running) -> None:
    order = node.order()
    number = node.send(order).release.journal
    [entry] = node.entries(since=number - 1)
    assert (entry["order"], entry["debited"], entry["outcome"]) == (order.id, True, "released")


# Refusals


REFUSED = [
    ("another node's order", {"node": "elsewhere"}, "node_refused"),
    ("an expired order", {"expires_at": 1}, "node_refused"),
    ("a resource that is not offered", {"resource": "taxes"}, "policy_refused"),
    ("a snapshot that is not there", {"snapshot": "0" * 16}, "snapshot_gone"),
    ("a snapshot out of the folder", {"snapshot": "../shops/x"}, "snapshot_gone"),
    ("a softer profile", {"terms": OPEN}, "profile_too_weak"),
    ("a lower threshold", {"terms": Terms("guarded", 9)}, "policy_refused"),
    ("softer dominance", {"terms": Terms("guarded", 10, dominance=9001)}, "policy_refused"),
    ("a column that is not offered", {"columns": ("town", "firm", "sales", "boss")}, "policy_refused"),
    ("a query on another product's column", {"columns": ("town", "firm")}, "column_unknown"),
    ("a query that is none", {"query": {"sql": "SELECT 1"}}, "field_invalid"),
    ("a query without terms", {"terms": None}, "field_invalid"),
]


@pytest.mark.parametrize(("changes", "code"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_it_refuses(node: Running, changes: dict[str, Any], code: str) -> None:
    spent = node.described()["policy"]["spent"]
    order = replace(node.order(), **changes)
    refusal = node.send(order)
    assert (refusal.release.outcome, refusal.release.code, refusal.result) == (Outcome.NOT_EXECUTED, code, b"")
    assert node.described()["policy"]["spent"] == spent
    assert node.send(order).release_jws == refusal.release_jws


def test_a_refused_id_is_barred_for_ever(node: Running) -> None:
    order = node.order(node="elsewhere")
    node.send(order)
    with pytest.raises(Problem, match="node_untrusted"):
        node.send(replace(order, node="node"))


def test_an_id_taken_by_another_order_does_not_touch_the_stored_one(node: Running) -> None:
    order = node.order()
    first = node.send(order)
    with pytest.raises(Problem, match="node_untrusted"):
        node.send(replace(order, issued_at=order.issued_at - 1))
    assert node.send(order).release_jws == first.release_jws


def test_it_knows_no_order_of_a_stranger(node: Running) -> None:
    entries = node.entries()
    with pytest.raises(Problem, match="node_untrusted"):
        node.send(node.order(), signing_key(Ed25519PrivateKey.generate()))
    assert node.entries() == entries


def test_an_exchange_speaks_in_its_own_name_only(node: Running) -> None:
    with pytest.raises(Problem, match="node_untrusted"):
        node.send(node.order(exchange="another"))


@pytest.mark.parametrize(
    "body", [b"", b"x.y.z", b"\xff" * 100, b"." * (5 << 20)], ids=("empty", "text", "bytes", "5 MiB")
)
def test_what_is_no_order_is_no_harm(node: Running, body: bytes) -> None:
    with flight.FlightClient(nodes.endpoint(node.home)["url"]) as client, pytest.raises(flight.FlightError):
        list(client.do_action(flight.Action("execute", body)))
    assert node.send(node.open_order()).release.outcome is Outcome.RELEASED


def test_the_surface_is_one_action(node: Running) -> None:
    with flight.FlightClient(nodes.endpoint(node.home)["url"]) as client:
        assert [action.type for action in client.list_actions()] == ["execute"]
        for attempt in (
            lambda: list(client.do_action(flight.Action("shutdown", b""))),
            lambda: client.do_get(flight.Ticket(b"shops")).read_all(),
            lambda: list(client.list_flights()),
        ):
            with pytest.raises((flight.FlightError, pa.ArrowException)):
                attempt()


def test_the_last_query_of_a_population_is_the_last(tmp_path: Path) -> None:
    home, snapshots = make(tmp_path)
    law = {f"populations.{k}": v for k, v in (POPULATIONS | {"firms": POPULATIONS["firms"] | {"queries": 2}}).items()}
    law |= {f"resources.{k}": v for k, v in RESOURCES.items()}
    nodes.write_policy(home, law | {"exchanges.sluice": {"x": b64url(raw(KEY.public))}})
    with nodes.running(home) as process:
        node = Running(home, process, nodes.client(home), snapshots)
        tokens = [sign_order(node.order(), KEY) for _ in range(5)]
        with ThreadPoolExecutor(5) as pool:
            releases = [answer.release for answer in pool.map(node.client.send, tokens)]
    assert sorted(release.spent for release in releases) == [0, 0, 0, 1, 2]
    refused = {release.code for release in releases if not release.spent}
    assert refused == {"population_exhausted"}


# The client


def test_the_client_believes_no_other_key(node: Running) -> None:
    said = nodes.endpoint(node.home)
    impostor = Node(said["url"], "node", Ed25519PrivateKey.generate().public_key())
    with pytest.raises(Problem, match="node_untrusted"):
        impostor.execute(node.order(), KEY)


def test_the_client_believes_no_other_node(node: Running) -> None:
    said = nodes.endpoint(node.home)
    with pytest.raises(Problem, match="node_untrusted"):
        Node(said["url"], "other", from_jwk(said["public_jwk"])).execute(node.order(), KEY)


def test_nobody_there_is_unreachable(node: Running) -> None:
    with pytest.raises(Problem, match="node_unreachable"):
        Node("grpc+tcp://127.0.0.1:1", "node", KEY.public, seconds=3).execute(node.order(), KEY)


@pytest.mark.parametrize("swap", ["result", "release of another order"])
def test_the_client_notices_an_answer_that_was_swapped_on_the_way(node: Running, swap: str) -> None:
    first, second = (node.send(node.open_order()) for _ in range(2))

    class Middle(flight.FlightServerBase):
        def do_action(self, context: flight.ServerCallContext, action: flight.Action) -> Iterator[flight.Result]:
            release = first if swap == "result" else second
            yield flight.Result(pa.py_buffer(release.release_jws.encode()))
            yield flight.Result(pa.py_buffer(first.result + b" " if swap == "result" else second.result))

    with Middle("grpc+tcp://127.0.0.1:0") as middle:
        said = nodes.endpoint(node.home)
        client = Node(f"grpc+tcp://127.0.0.1:{middle.port}", "node", from_jwk(said["public_jwk"]))
        with pytest.raises(Problem, match="node_untrusted"):
            client.execute(replace(node.open_order(), id=first.release.order), KEY)
        client.close()


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    key, name = ec.generate_private_key(ec.SECP256R1()), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "node")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    shown, hidden = folder / "node.crt", folder / "node.key"
    shown.write_bytes(made.public_bytes(Encoding.PEM))
    hidden.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return shown, hidden


def test_over_tls_the_client_wants_the_certificate_it_was_given(tmp_path: Path) -> None:
    shown, hidden = certificate(tmp_path)
    home, snapshots = make(tmp_path, tls_certificate=str(shown), tls_key=str(hidden))
    with nodes.running(home) as process:
        assert nodes.endpoint(home)["url"].startswith("grpc+tls://")
        node = Running(home, process, nodes.client(home, tls_root=shown.read_bytes()), snapshots)
        assert node.send(node.open_order()).release.outcome is Outcome.RELEASED
        for stranger in (nodes.client(home, seconds=5), plain(home)):
            with pytest.raises(Problem, match="node_unreachable"):
                stranger.execute(node.open_order(), KEY)


def plain(home: Home) -> Node:
    said = nodes.endpoint(home)
    url = said["url"].replace("grpc+tls", "grpc+tcp")
    return Node(url, "node", from_jwk(said["public_jwk"]), seconds=5)


# Processes that die, hang or lie


def test_a_dead_vault_is_replaced(possessed: Callable[..., Running]) -> None:
    node = possessed()
    nodes.wait_for_vaults(node.process)
    before = nodes.children(node.process, "vault")
    for pid in before:
        os.kill(pid, signal.SIGKILL)
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


def test_a_guarded_query_that_overruns_fails_at_its_deadline_and_is_blocked(possessed: Callable[..., Running]) -> None:
    node = possessed(vault_ran="sleep")
    assert node.code(node.order()) == (Outcome.FAILED, "query_failed")
    possessed.tell()  # type: ignore[attr-defined]
    assert node.code(node.order()) == (Outcome.NOT_EXECUTED, "plan_blocked")
    other = node.order("SELECT COUNT(*) FROM shops")
    assert node.send(other).release.outcome is Outcome.RELEASED


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


def patiently(call: Callable[[], Any]) -> Any:
    """The result of `call`, repeated while the node cannot be reached."""
    until = time.monotonic() + nodes.SECONDS
    while True:
        try:
            return call()
        except Problem as problem:
            if problem.code != "node_unreachable" or time.monotonic() > until:
                raise
            time.sleep(0.05)


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

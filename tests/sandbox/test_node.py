"""A node as its exchange meets it: real processes, real intake, orders over Flight."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
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

from exchange.crypto.keys import b64url, from_jwk, raw, signing_key
from exchange.errors import Problem
from exchange.sandbox.client import Node
from exchange.sandbox.node.home import Home
from exchange.sandbox.orders import OrderKind, Outcome, sign_order
from exchange.sandbox.terms import Terms
from tests import nodes
from tests.sandbox.shops import (
    GUARDED,
    KEY,
    OPEN,
    POPULATIONS,
    PRIVATE,
    RESOURCES,
    ROWS_PER_SECOND,
    Running,
    make,
    switch,
    table,
)

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
    assert (entry["order"], entry["cost"], entry["outcome"]) == (order.id, 1, "released")


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


# The holder's switch


@pytest.mark.parametrize("what", [(), ("shops",)], ids=["everything", "one resource"])
def test_what_the_holder_stops_answers_nothing_until_it_is_resumed(node: Running, what: tuple[str, ...]) -> None:
    """At once, without a restart, and without a debit; what was released before can still be read again."""
    before = node.order()
    answered = node.send(before).release_jws
    spent = node.described()["policy"]["spent"]
    switch(node, "stop", *what)
    try:
        stopped = node.order()
        assert node.code(stopped) == (Outcome.NOT_EXECUTED, "stopped_by_holder")
        assert node.send(before).release_jws == answered
        assert node.described()["policy"]["spent"] == spent
        other = (Outcome.RELEASED, "") if what else (Outcome.NOT_EXECUTED, "stopped_by_holder")
        assert node.code(node.open_order()) == other
    finally:
        switch(node, "resume", *what)
    assert node.code(node.order()) == (Outcome.RELEASED, "")
    assert node.code(stopped) == (Outcome.NOT_EXECUTED, "stopped_by_holder")


# A query pays for all it looks at


def test_a_filter_of_an_aggregate_is_paid_for_as_a_query(node: Running) -> None:
    before = node.described()["policy"]["spent"]
    text = "SELECT COUNT(*) AS n, COUNT(*) FILTER (WHERE town = 'east') AS east FROM shops"
    assert node.send(node.order(text)).release.spent == before + 2


# Private populations


ON_STAFF = "SELECT town, COUNT(*) AS n, AVG(sales) AS mean FROM staff GROUP BY town"


def test_a_private_answer_states_its_accuracy_and_what_it_cost(node: Running) -> None:
    before = node.described("staff")["policy"]["spent"]
    answer = node.send(node.order(ON_STAFF, PRIVATE))
    assert (answer.release.outcome, answer.release.spent) == (Outcome.RELEASED, before + 10_000)
    rows = table(answer)
    assert [row["status"] for row in rows] == ["released"] * 3  # east, west, and those without a town
    for row in rows:
        assert row["count_low"] < row["count"] < row["count_high"]
        assert 0 <= row["avg_sales_low"] <= row["avg_sales_high"] <= 1000
    assert node.described("staff")["policy"]["spent"] == before + 10_000


def test_the_same_order_again_is_the_same_answer_and_costs_nothing(node: Running) -> None:
    """Another draw of noise for one payment could be averaged with the first."""
    order = node.order(ON_STAFF, replace(PRIVATE, rho=1_000))
    first, spent = node.send(order), node.described("staff")["policy"]["spent"]
    assert node.send(order).release_jws == first.release_jws
    assert node.described("staff")["policy"]["spent"] == spent


def test_nothing_published_tells_how_many_rows_or_entities_a_private_snapshot_has(node: Running) -> None:
    said = node.described("staff")["manifest"]
    assert (said["rows"], said["entities"], said["most_rows"]) == (0, 0, 0)


PRIVATE_REFUSED = [
    ("a softer product on the same people", GUARDED, "profile_too_weak"),
    ("no cost", Terms("private", rows=2), "field_invalid"),
    ("no bound of an entity's rows", Terms("private", rho=10), "field_invalid"),
    ("less than a micro-rho for each total", Terms("private", rows=2, rho=2), "query_too_large"),
    ("more than the day's budget", Terms("private", rows=2, rho=30_001), "population_exhausted"),
    ("more than all of the budget", Terms("private", rows=2, rho=50_001), "population_exhausted"),
]


@pytest.mark.parametrize(("what", "terms", "code"), PRIVATE_REFUSED, ids=[row[0] for row in PRIVATE_REFUSED])
def test_it_refuses_of_a_private_population(node: Running, what: str, terms: Terms, code: str) -> None:
    spent = node.described("staff")["policy"]["spent"]
    assert node.code(replace(node.order(ON_STAFF, PRIVATE), terms=terms)) == (Outcome.NOT_EXECUTED, code)
    assert node.described("staff")["policy"]["spent"] == spent


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

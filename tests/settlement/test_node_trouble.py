"""A node that is down, slow, untrusted, behind, or whose snapshot is damaged: nothing is lost or charged twice."""

import dataclasses
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from django.test import override_settings
from django.utils import timezone

from catalog import snapshots
from exchange.audit.models import Record
from exchange.portal import fsck
from exchange.sandbox.client import Node
from exchange.sandbox.node import adopting
from exchange.sandbox.node.home import Home
from licensing.models import LicenceMeter, PopulationMeter
from settlement import ledger, recovery
from settlement.models import MeteredQuery, StoredRelease, Transfer, Usage
from tests import nodes
from tests.market import BY_CARRIER, BY_STATION, Market, endpoint_of, open_market


@pytest.fixture
def market(server: str, home: Path) -> Market:
    with nodes.running(home):
        return open_market(server, endpoint_of(home))


def uncertain() -> MeteredQuery:
    return MeteredQuery.objects.get(state="reserved")


def let_the_worker_try() -> None:
    MeteredQuery.objects.filter(state="reserved").update(send_again_at=timezone.now())
    recovery.run_due()


def wrong() -> list[str]:
    return [finding.text for finding in fsck.check() if not finding.ok]


def test_a_node_that_is_down_leaves_the_hold_and_the_worker_finishes_when_it_is_up(market: Market, home: Path) -> None:
    answer = market.buyer.ask(BY_CARRIER, key="k")
    assert (answer.status_code, answer.json()["code"]) == (503, "node_unreachable")
    assert answer.json()["query"] == str(uncertain().pk)
    held = Transfer.objects.get(kind="hold").amount
    assert ledger.credit_left(market.people.buyer.pk) == 10_000_000 - held
    let_the_worker_try()
    assert uncertain().state == "reserved"
    with nodes.running(home):
        let_the_worker_try()
        assert Usage.objects.get().amount == held
        assert market.buyer.ask(BY_CARRIER, key="k").status_code == 200
        assert LicenceMeter.objects.get(licence=market.licence).calls == 1
        assert wrong() == []


def test_a_query_not_yet_answered_excuses_no_other_populations_meter(market: Market, home: Path) -> None:
    assert market.buyer.ask(BY_CARRIER).status_code == 503
    assert uncertain().terms["cost"] == 1
    PopulationMeter.objects.create(domain=market.domain, population="pilots", cap=100_000, spent=1)
    with nodes.running(home):
        assert wrong() == ["journal of haizhou: population pilots: 1 spent here, 0 there"]


@contextmanager
def asleep(home: Path) -> Iterator[None]:
    """The node's processes stopped, as on a machine that swaps."""
    launcher = endpoint_of(home)["pid"]
    pids = [launcher, *map(int, Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split())]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def test_a_slow_node_decides_nothing_and_the_same_order_is_sent_again(
    market: Market, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    domain = market.domain
    impatient = Node(domain.node_url, domain.node_name, snapshots.from_jwk(domain.node_jwk), seconds=1)
    at = (domain.node_url, domain.node_name, domain.node_jwk["x"])
    with nodes.running(home):
        with asleep(home), monkeypatch.context() as patched:
            patched.setitem(snapshots._nodes, at, impatient)
            answer = market.buyer.ask(BY_STATION, key="k")
        assert (answer.status_code, answer.json()["code"]) == (503, "node_unreachable")
        order = uncertain().order
        again = market.buyer.ask(BY_STATION, key="k")
        assert again.status_code == 200, again.text
        assert MeteredQuery.objects.get().order == order
        assert Usage.objects.count() == 1
        assert wrong() == []


def test_an_answer_signed_by_another_key_is_not_believed(market: Market, home: Path) -> None:
    right = market.domain.node_jwk
    market.domain.node_jwk = right | {"x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}
    market.domain.save()
    with nodes.running(home):
        answer = market.buyer.ask(BY_CARRIER, key="k")
        assert (answer.status_code, answer.json()["code"]) == (502, "node_untrusted")
        record = Record.objects.get(kind="query.uncertain")
        assert json.loads(record.content.body)["code"] == "node_untrusted"
        assert not Usage.objects.exists()
        market.domain.node_jwk = right
        market.domain.save()
        again = market.buyer.ask(BY_CARRIER, key="k")
        assert again.status_code == 200, again.text
        assert PopulationMeter.objects.get().spent == 1
        assert wrong() == []


def test_a_damaged_snapshot_costs_nothing_but_the_populations_query(market: Market, home: Path) -> None:
    snapshot = home / "snapshots" / "flights" / f"{market.flights.snapshot.code}.parquet"
    data = bytearray(snapshot.read_bytes())
    data[len(data) // 2] ^= 1
    snapshot.write_bytes(data)
    with nodes.running(home):
        answer = market.buyer.ask(BY_CARRIER)
        assert (answer.status_code, answer.json()["code"]) == (502, "snapshot_unreadable")
        assert ledger.credit_left(market.people.buyer.pk) == 10_000_000
        assert LicenceMeter.objects.get(licence=market.licence).calls == 0
        assert PopulationMeter.objects.get().spent == 1
        other = market.buyer.ask(BY_STATION)
        assert other.status_code == 200, other.text
        assert wrong() == []


def test_an_order_that_expired_unseen_is_voided_and_never_runs(market: Market, home: Path) -> None:
    with override_settings(SLUICE=dataclasses.replace(settings.SLUICE, order_seconds=1)):
        assert market.buyer.ask(BY_CARRIER, key="k").status_code == 503
    time.sleep(1.1)
    with nodes.running(home):
        let_the_worker_try()
        answer = market.buyer.ask(BY_CARRIER, key="k")
        assert (answer.status_code, answer.json()["code"]) == (403, "node_refused")
        assert not Usage.objects.exists()
        assert ledger.credit_left(market.people.buyer.pk) == 10_000_000
        assert wrong() == []


def test_a_node_refuses_what_the_exchange_should_not_have_allowed(market: Market, home: Path) -> None:
    snapshot = market.flights.snapshot
    snapshot.policy = snapshot.policy | {"threshold": 0, "digest": "an old policy"}
    snapshot.save()
    market.guarded.threshold = 3
    market.guarded.save()
    with nodes.running(home):
        answer = market.buyer.ask(BY_CARRIER)
        assert (answer.status_code, answer.json()["code"]) == (403, "policy_refused")
        assert MeteredQuery.objects.get().state == "voided"
        assert ledger.credit_left(market.people.buyer.pk) == 10_000_000
        assert wrong() == ["versions: flight_delays: its terms are not those of its live version 1"]  # seen here too


def test_a_journal_from_an_old_backup_answers_nothing_until_its_operator_has_adopted_what_was_spent(
    market: Market, home: Path
) -> None:
    """The exchange shows the node the last release it has, so a node cannot forget what a population has spent."""
    backup = home / "backup"
    with nodes.running(home):
        assert market.buyer.ask(BY_CARRIER).status_code == 200
    shutil.copytree(home / "journal", backup)
    by_month, by_origin = BY_CARRIER.replace("carrier", "month"), BY_CARRIER.replace("carrier", "origin")
    with nodes.running(home):
        assert market.buyer.ask(by_month).status_code == 200
    shutil.rmtree(home / "journal")
    backup.rename(home / "journal")
    with nodes.running(home):
        answer = market.buyer.ask(by_origin, key="k")
        assert (answer.status_code, answer.json()["code"]) == (502, "journal_behind")
        assert MeteredQuery.objects.get(idempotency_key="k").state == "voided"
        assert market.buyer.ask(BY_STATION).status_code == 200
        assert adopting.adopt(Home(home)) == ["aircraft: 2 spent in all, journal number 4"]
        assert market.buyer.ask(by_origin).status_code == 200
        assert StoredRelease.objects.latest("id").spent == 3
        # The one query that the backup did not know is entered again by its release: both agree once more.
        assert wrong() == []

"""A query that joins an open product, over real HTTP: what it gives, what it costs whom, and what is refused."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
from django.utils import timezone

from catalog import registry, snapshots, versions
from catalog.models import Product, Resource
from exchange.audit import keys
from exchange.audit.models import Record
from exchange.crypto import jws
from exchange.portal import fsck
from exchange.sandbox.node import stops
from exchange.sandbox.node.home import Home
from fixtures import city
from licensing import registry as licences
from licensing.models import Licence, LicenceMeter, PopulationMeter
from settlement import ledger, recovery
from settlement.models import JoinedProduct, MeteredQuery, Transfer, Usage
from tests import nodes, samples
from tests.market import GUARDED, PURPOSE, Market, endpoint_of, open_market, sell_carriers

CALL = 7  # minor units for joining the carriers once
BY_KIND = f"SELECT k.kind, COUNT(*) AS n FROM {GUARDED} JOIN carriers k ON carrier = k.code GROUP BY k.kind"


@dataclass
class Joining:
    """The market, and the carriers as an open product with a licence."""

    market: Market
    resource: Resource
    product: Product
    licence: Licence

    def ask(self, sql: str = BY_KIND, **more: Any) -> requests.Response:
        return self.market.buyer.ask(sql, **more)

    def calls(self) -> tuple[int, int]:
        """Calls counted: of the flights, of the carriers."""
        pks = (self.market.licence.pk, self.licence.pk)
        return tuple(LicenceMeter.objects.get(pk=pk).calls for pk in pks)  # type: ignore[return-value]


def sold(market: Market) -> Joining:
    return Joining(market, *sell_carriers(market, CALL))


@pytest.fixture
def joining(market: Market) -> Joining:
    return sold(market)


def wrong() -> list[str]:
    """What `fsck` finds wrong, the journal apart: this run's node serves other tests too."""
    checks = (fsck.check_receipts, fsck.check_ledger, fsck.check_usage, fsck.check_meters)
    return [finding.text for check in checks for finding in check() if not finding.ok]


def bodies(kind: str) -> list[dict[str, Any]]:
    return [json.loads(record.content.body) for record in Record.objects.filter(kind=kind)]


# What it gives


def test_a_join_is_answered_and_says_what_was_joined(joining: Joining) -> None:
    answer = joining.ask()
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert [column["name"] for column in body["columns"]] == ["kind", "n", "status"]
    assert {row[0]: row[2] for row in body["rows"]} == {
        None: "suppressed",
        "island": "suppressed",
        "legacy": "released",
    }
    assert body["joined"] == [{"product": "carriers", "snapshot": joining.resource.snapshot.code}]
    frame = samples.flights()[0]
    due = int((frame["carrier"].isin(["AA", "DL", "UA"]) & frame["tailnum"].notna()).sum())
    assert abs(body["rows"][-1][1] - due) < 0.2 * due


def test_an_open_join_agrees_exactly_with_the_data(joining: Joining) -> None:
    """Air quality has no carriers, so a station's name finds none: the rows that are kept have nulls."""
    sql = """SELECT kind, COUNT(*) AS n, SUM(planes) AS s
             FROM air_quality LEFT JOIN carriers ON station = code GROUP BY kind"""
    rows = joining.ask(sql).json()["rows"]
    assert rows == [[None, len(samples.air()[0]), None, "released"]]


def test_json_and_sql_ask_the_same(joining: Joining) -> None:
    joining.ask()
    query = {
        "product": GUARDED,
        "join": [{"product": "carriers", "on": {"carrier": "code"}}],
        "dimensions": ["carriers.kind"],
        "measures": [{"function": "count"}],
    }
    body = {"query": query, "purpose": PURPOSE}
    answer = joining.market.buyer.send("POST", "/v1/queries", headers={"Idempotency-Key": "json"}, json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["stored"]


def test_buyers_are_told_by_what_a_product_can_be_joined(joining: Joining) -> None:
    told = {code: joining.market.buyer.get(f"/v1/products/{code}").json()["keys"] for code in ("carriers", GUARDED)}
    assert told == {"carriers": ["code"], GUARDED: []}


# What it costs


def test_each_product_is_paid_by_its_own_licence_in_one_hold_and_one_post(joining: Joining) -> None:
    body = joining.ask().json()
    lines = body["price"]["lines"]
    assert lines[-1] == {"what": "call", "quantity": 1, "unit_price": CALL, "product": "carriers"}
    assert body["price"]["amount"] == 50 + 2 * len(body["rows"]) + CALL
    moved = Transfer.objects.filter(query=body["id"])
    assert [t.amount for t in moved.filter(kind__in=["hold", "post"])] == 2 * [body["price"]["amount"]]
    shares = moved.filter(kind="share")
    assert sum(t.amount for t in shares.filter(joined=None)) == body["price"]["amount"] - CALL
    assert sum(t.amount for t in shares.exclude(joined=None)) == CALL
    holder = shares.exclude(joined=None).get(role="holder")
    assert holder.credit.party == joining.market.people.neighbour
    assert joining.calls() == (1, 1)
    assert wrong() == []


def test_receipt_and_records_name_every_product_and_each_licence_numbers_its_own(joining: Joining) -> None:
    body = joining.ask().json()
    said = jws.verify(body["receipt"], keys.public("receipt"), "sluice-receipt+jws")["record"]
    told = {
        "product": "carriers", "licence": str(joining.licence.pk), "held": CALL,
        "snapshot": joining.resource.snapshot.code,
    }  # fmt: skip
    assert said["joined"] == bodies("query.reserved")[0]["joined"] == [told]
    assert sum(said["shares"].values()) + sum(said["shares_of_joined"]["carriers"].values()) == said["amount"]
    mine = Record.objects.filter(licence=joining.licence.pseudonym).order_by("seq")
    assert [record.kind for record in mine][-2:] == ["query.joined", "query.joined_settled"]
    assert [record.seq for record in mine] == list(range(1, len(mine) + 1))
    assert bodies("query.joined")[0] == {"v": 1, "query": body["id"]} | told


def test_the_same_question_again_is_stored_and_a_call_of_both(joining: Joining) -> None:
    first, again = joining.ask().json(), joining.ask(BY_KIND.replace("k.", "carriers.").replace(" k ", " ")).json()
    assert (again["stored"], again["rows"], again["price"]) == (True, first["rows"], first["price"])
    assert PopulationMeter.objects.get().spent == 1
    assert joining.calls() == (2, 2)
    assert wrong() == []


def test_the_same_key_is_charged_once(joining: Joining) -> None:
    joining.market.buyer.login()
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: joining.ask(key="k"), range(6)))
    assert {answer.status_code for answer in answers} == {200}, answers[0].text
    assert joining.calls() == (1, 1)
    assert JoinedProduct.objects.count() == Usage.objects.count() == 1
    assert joining.ask(f"SELECT COUNT(*) FROM {GUARDED}", key="k").status_code == 409
    assert wrong() == []


def test_a_price_is_told_with_the_joined_call_and_nothing_is_counted(joining: Joining) -> None:
    body = {"sql": BY_KIND, "purpose": PURPOSE}
    told = joining.market.buyer.send("POST", "/v1/prices", headers={}, json=body).json()
    assert told["price"]["amount"] == 50 + 2 * 3 + CALL
    assert joining.calls() == (0, 0)


def test_a_joined_product_for_the_public_good_is_free_by_rule(joining: Joining) -> None:
    city.revise(joining.product, use="public_good")
    body = joining.ask().json()
    assert body["price"]["amount"] == 50 + 2 * len(body["rows"])
    assert joining.calls() == (1, 1)
    assert wrong() == []


def test_a_wallet_that_pays_the_one_but_not_both_pays_neither(joining: Joining) -> None:
    left = ledger.credit_left(joining.market.people.buyer.pk)
    joining.licence.tariff = {"per_call": left - 50}
    licences.do_change(joining.licence, "test", ["tariff"])
    answer = joining.ask()
    assert (answer.status_code, answer.json()["code"]) == (402, "credit_exhausted")
    assert ledger.credit_left(joining.market.people.buyer.pk) == left
    assert joining.calls() == (0, 0)


def test_a_joined_products_quota_holds_exactly_under_concurrency(joining: Joining) -> None:
    joining.licence.quota = 4
    licences.do_change(joining.licence, "test", ["quota"])
    joining.market.buyer.login()
    texts = [f"{BY_KIND.partition(' GROUP')[0]} WHERE month = {month} AND origin = '{origin}' GROUP BY k.kind"
             for month in (1, 2, 3, 4) for origin in ("EWR", "JFK", "LGA")]  # fmt: skip
    with ThreadPoolExecutor(8) as pool:
        found = [answer.status_code for answer in pool.map(joining.ask, texts)]
    assert sorted(found) == 4 * [200] + 8 * [403]
    assert joining.calls() == (4, 4)
    assert wrong() == []


def test_products_joined_the_one_with_the_other_and_back_never_wait_in_a_circle(joining: Joining) -> None:
    market = joining.market
    same = city.offer(
        market.people, "airlines", market.authorization, joining.resource, ["code", "kind"], profile="open", threshold=0
    )
    licence = city.license_to(market.people.buyer, same, [PURPOSE])
    market.buyer.login()
    texts = [
        f"SELECT COUNT(*) AS n FROM {one} JOIN {other} ON {one}.code = {other}.code WHERE {one}.kind <> '{number}'"
        for number in range(8)
        for one, other in (("airlines", "carriers"), ("carriers", "airlines"))
    ]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(joining.ask, texts))
    assert {answer.status_code for answer in answers} == {200}, [answer.text for answer in answers]
    assert {answer.json()["rows"][0][0] for answer in answers} == {5}
    assert LicenceMeter.objects.get(pk=licence.pk).calls == LicenceMeter.objects.get(pk=joining.licence.pk).calls == 16
    assert wrong() == []


def test_of_two_refusals_the_one_that_takes_precedence_is_told_whichever_product_it_is_of(joining: Joining) -> None:
    joining.market.licence.quota = 0
    licences.do_change(joining.market.licence, "test", ["quota"])
    assert refused(joining) == (403, "quota_exhausted")
    licences.do_transition(joining.licence, "suspended", "test")
    assert refused(joining) == (403, "licence_not_in_force")


# What is refused


def refused(joining: Joining, sql: str = BY_KIND, **more: Any) -> tuple[int, str]:
    """How it is refused; and nothing is counted, held or reserved by it, and the refusal is on record."""
    credit, calls = ledger.credit_left(joining.market.people.buyer.pk), joining.calls()
    answer = joining.ask(sql, **more)
    assert ledger.credit_left(joining.market.people.buyer.pk) == credit
    assert joining.calls() == calls
    assert not MeteredQuery.objects.filter(state="reserved").exists()
    said = bodies("query.refused")[-1]
    assert said["code"] == answer.json()["code"]
    if " JOIN " in sql and said["code"] != "sql_unsupported":
        assert said["joined"]
    return answer.status_code, answer.json()["code"]


def test_a_buyer_without_a_licence_for_what_is_joined_gets_nothing(joining: Joining) -> None:
    Licence.objects.filter(pk=joining.licence.pk).update(buyer=joining.market.people.stranger)
    assert refused(joining) == (403, "licence_missing")
    assert "carriers" in joining.ask().json()["detail"]
    assert joining.ask(f"SELECT COUNT(*) FROM {GUARDED}").status_code == 200


@pytest.mark.parametrize(
    ("what", "code"),
    [
        ("resource", "resource_not_in_force"),
        ("product", "product_not_listed"),
        ("licence", "licence_not_in_force"),
        ("purpose", "purpose_not_allowed"),
    ],
)
def test_suspending_what_is_joined_stops_the_next_query_and_no_other(joining: Joining, what: str, code: str) -> None:
    assert joining.ask().status_code == 200
    if what == "licence":
        licences.do_transition(joining.licence, "suspended", "test")
    elif what == "purpose":
        joining.licence.purposes = ["research"]
        licences.do_change(joining.licence, "test", ["purposes"])
    elif what == "product":
        versions.do_product_step(joining.product, "suspend", city.person(joining.market.people.merchant), "检查")
    else:
        registry.do_transition(joining.resource, "suspended", "test")
    assert refused(joining) == (403, code)
    assert joining.ask(f"SELECT COUNT(*) FROM {GUARDED}").status_code == 200


NOT_ALLOWED = {
    "a protected product": f"SELECT COUNT(*) FROM air_quality JOIN {GUARDED} ON station = {GUARDED}.carrier",
    "itself": f"SELECT COUNT(*) FROM {GUARDED} a JOIN {GUARDED} b ON a.carrier = b.carrier",
    "by what is not unique": BY_KIND.replace("k.code", "k.kind"),
    "by a table without a key": f"SELECT COUNT(*) FROM {GUARDED} JOIN air_quality ON carrier = station",
    "by a measure": f"SELECT COUNT(*) FROM {GUARDED} JOIN carriers ON distance = code",
}


@pytest.mark.parametrize("name", NOT_ALLOWED)
def test_what_could_multiply_rows_or_join_people_is_refused_with_a_hint(joining: Joining, name: str) -> None:
    assert refused(joining, NOT_ALLOWED[name]) == (403, "join_not_allowed")
    assert joining.ask(NOT_ALLOWED[name]).json()["hint"]


def test_a_product_of_another_data_domain_is_not_joined(joining: Joining) -> None:
    market = joining.market
    said = {"node": market.domain.node_name, "url": market.domain.node_url, "public_jwk": market.domain.node_jwk}
    Resource.objects.filter(pk=joining.resource.pk).update(domain=city.join(said, "elsewhere", "别处", "Elsewhere"))
    assert refused(joining) == (403, "join_not_allowed")


def test_a_product_that_shows_no_key_is_not_joined(joining: Joining) -> None:
    city.revise(joining.product, columns=["kind"])
    assert refused(joining) == (403, "join_not_allowed")


def test_a_draft_is_not_there(joining: Joining) -> None:
    assert refused(joining, BY_KIND.replace("carriers", "nothing")) == (404, "not_found")
    assert refused(joining, BY_KIND.replace("JOIN", "FULL JOIN")) == (400, "sql_unsupported")


def test_fsck_finds_a_joined_product_that_nobody_paid_for(joining: Joining) -> None:
    body = joining.ask(f"SELECT COUNT(*) FROM {GUARDED}").json()
    assert wrong() == []
    terms = {"tariff": {"per_call": CALL}, "shares": {"operator": 10_000}, "owners": {"operator": ""}}
    JoinedProduct.objects.create(
        query_id=body["id"], product=joining.product, licence=joining.licence, snapshot="s", terms=terms, price=CALL
    )
    texts = " ".join(wrong())
    assert f"{joining.licence.pk}: 0 calls counted, 1 made" in texts
    assert f"{body['id']}: tariff" in texts


# With a node of its own


@pytest.fixture
def own(server: str, home: Path) -> Iterator[Joining]:
    with nodes.running(home):
        yield sold(open_market(server, endpoint_of(home)))


def test_a_new_snapshot_of_what_is_joined_is_another_release(own: Joining, home: Path, tmp_path: Path) -> None:
    first = own.ask().json()
    frame, schema = samples.carriers()
    frame["kind"] = "all"
    nodes.take_in(home, "carriers", samples.write(frame, tmp_path / "carriers.csv"), schema)
    assert own.ask().json()["stored"]
    snapshots.refresh(own.resource, actor="test")
    later = own.ask().json()
    assert (first["stored"], later["stored"]) == (False, False)
    assert [row[0] for row in later["rows"]] == [None, "all"]
    assert later["joined"] != first["joined"]
    assert [finding.text for finding in fsck.check() if not finding.ok] == []


def test_what_the_holder_stopped_is_given_back_to_both_licences(own: Joining, home: Path) -> None:
    credit = ledger.credit_left(own.market.people.buyer.pk)
    stops.stop(Home(home), "carriers")
    answer = own.ask()
    assert answer.json()["code"] == "stopped_by_holder"
    assert ledger.credit_left(own.market.people.buyer.pk) == credit
    assert own.calls() == (0, 0)
    last = Record.objects.filter(licence=own.licence.pseudonym).order_by("seq").last()
    assert last is not None and last.kind == "query.joined_voided"
    assert own.ask(f"SELECT COUNT(*) FROM {GUARDED}").status_code == 200
    assert wrong() == []


def test_what_a_node_did_not_answer_is_finished_by_the_worker_and_charged_once(
    server: str, home: Path, var: Path
) -> None:
    with nodes.running(home):
        own = sold(open_market(server, endpoint_of(home)))
    assert own.ask(key="k").json()["code"] == "node_unreachable"
    assert own.calls() == (1, 1)
    with nodes.running(home):
        MeteredQuery.objects.update(send_again_at=timezone.now())
        assert recovery.run_due() == 1
        assert own.ask(key="k").status_code == 200
    assert own.calls() == (1, 1)
    assert Usage.objects.get().amount == 50 + 2 * 3 + CALL
    assert wrong() == []

"""A query of two protected products joined by the entity, over real HTTP: one population, two licences."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests

from catalog import snapshots
from catalog.models import Product
from exchange.audit.models import Record
from exchange.portal import fsck
from exchange.sandbox.node import stops
from exchange.sandbox.node.home import Home
from fixtures import city
from licensing import registry as licences
from licensing.models import Licence, LicenceMeter, PopulationMeter
from settlement.models import JoinedProduct, MeteredQuery
from tests import nodes, samples
from tests.market import GUARDED, PURPOSE, Market, endpoint_of, fill, make_node, obey, open_market

CALL, RHO = 7, 3_000
BY_MAKER = (
    f"SELECT maker, COUNT(*) AS n, AVG(distance) AS mean FROM {GUARDED} JOIN fleet USING (tailnum) GROUP BY maker"
)
PRIVATE = "SELECT maker, COUNT(*) AS n, SUM(seats) AS s FROM rides_private JOIN planes USING (tailnum) GROUP BY maker"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """The home of a node with the aircraft beside the flights, and the exchange's key; the node runs."""
    folder = tmp_path_factory.mktemp("pairs")
    home, order_key = make_node(folder)
    fill(home)
    frame, schema = samples.fleet()
    for name in ("fleet", "planes"):
        nodes.take_in(home, name, samples.write(frame, folder / f"{name}.csv"), schema)
    with nodes.running(home):
        yield home, order_key


@dataclass
class Paired:
    """The market with a product of the flights' aircraft, and private ones of both."""

    market: Market
    sides: dict[str, Product]
    licences: dict[str, Licence]

    def ask(self, sql: str = BY_MAKER, **more: Any) -> requests.Response:
        return self.market.buyer.ask(sql, **more)

    def refused(self, sql: str = BY_MAKER) -> str:
        """The code it is refused with; nothing is counted, spent or left open by that."""
        before = self.meters()
        answer = self.ask(sql)
        assert self.meters() == before, answer.text
        assert answer.status_code >= 400
        assert not MeteredQuery.objects.filter(state="reserved").exists()
        return str(answer.json()["code"])

    def meters(self) -> dict[str, tuple[int, int]]:
        """Calls counted and budget spent, by product, and spent by population."""
        found = {name: LicenceMeter.objects.get(pk=licence.pk) for name, licence in self.licences.items()}
        populations = {meter.population: (0, meter.spent) for meter in PopulationMeter.objects.all()}
        return {name: (meter.calls, meter.spent) for name, meter in found.items()} | populations


@pytest.fixture
def paired(server: str, var: Path, place: tuple[Path, Path]) -> Paired:
    home, order_key = place
    obey(var, order_key)
    market = open_market(server, endpoint_of(home))
    sides, held = {GUARDED: market.guarded}, {GUARDED: market.licence}
    private = {"profile": "private", "threshold": 0, "rows": 4, "rho": RHO}
    for code, name, terms, more in (
        ("fleet", "fleet", {"threshold": 12}, {"tariff": {"per_call": CALL}}),
        ("rides", "rides_private", private | {"rho": 2 * RHO}, {"share": 4 * RHO}),
        ("planes", "planes", private | {"rows": 6}, {"share": 3 * RHO}),
    ):
        resource = city.register(code, code, code, market.people.neighbour, market.domain, sector="transport")
        snapshots.refresh(resource, actor="test")
        columns = [column["name"] for column in resource.snapshot.manifest["schema"]["columns"]]
        sides[name] = city.offer(market.people, name, market.authorization, resource, columns, **terms)
        held[name] = city.license_to(market.people.buyer, sides[name], [PURPOSE], **more)
    return Paired(market, sides, held)


def wrong() -> list[str]:
    """What `fsck` finds wrong, the journal apart: this node serves other tests too."""
    checks = (fsck.check_receipts, fsck.check_ledger, fsck.check_usage, fsck.check_meters)
    return [finding.text for check in checks for finding in check() if not finding.ok]


# What it gives, and what it costs whom


def test_flights_are_counted_by_what_another_product_says_of_their_aircraft(paired: Paired) -> None:
    answer = paired.ask()
    assert answer.status_code == 200, answer.text
    rows = {row[0]: row for row in answer.json()["rows"]}
    assert {name: row[-1] for name, row in rows.items()} == {
        "Airbus": "released", "Boeing": "released", "Comac": "suppressed",
    }  # fmt: skip
    both = samples.flights()[0].merge(samples.fleet()[0], on="tailnum")
    for name, number in both["maker"].value_counts().items():
        assert abs(rows[name][1] - number) < 0.3 * number
    assert answer.json()["joined"][0]["product"] == "fleet"


def test_the_population_is_debited_once_and_both_licences_shares_are(paired: Paired) -> None:
    body = paired.ask().json()
    assert paired.meters() | {"aircraft": (0, 1)} == paired.meters()
    assert (paired.meters()[GUARDED], paired.meters()["fleet"]) == ((1, 1), (1, 1))
    assert body["price"]["lines"][-1] == {"what": "call", "quantity": 1, "unit_price": CALL, "product": "fleet"}
    assert JoinedProduct.objects.get().terms["cost"] == 1
    again = paired.ask(BY_MAKER.replace("USING (tailnum)", f"ON fleet.tailnum = {GUARDED}.tailnum"))
    assert again.json()["stored"], again.text
    assert (paired.meters()[GUARDED], paired.meters()["fleet"]) == ((2, 1), (2, 1))
    assert paired.meters()["aircraft"] == (0, 1)
    assert wrong() == []


def test_sql_and_json_ask_the_same(paired: Paired) -> None:
    asked = {
        "product": GUARDED, "join": [{"product": "fleet", "on": {"tailnum": "tailnum"}}],
        "dimensions": ["fleet.maker"],
        "measures": [{"function": "count"}, {"function": "avg", "column": "distance"}],
    }  # fmt: skip
    paired.ask()
    answer = paired.market.buyer.send(
        "POST", "/v1/queries", headers={"Idempotency-Key": "json"}, json={"query": asked, "purpose": PURPOSE}
    )
    assert answer.json()["stored"], answer.text


def test_the_strictest_terms_of_both_rule(paired: Paired) -> None:
    """The joined product comes to ask for more aircraft in a cell than there are; the other one does not."""
    one = f"{BY_MAKER} ORDER BY maker"
    assert "released" in paired.ask(one).text
    city.revise(paired.sides["fleet"], threshold=1_000)
    rows = paired.ask(one).json()["rows"]
    assert {row[-1] for row in rows} == {"suppressed"}
    assert "released" in paired.ask(f"SELECT carrier, COUNT(*) FROM {GUARDED} GROUP BY carrier").text


def test_a_private_pair_costs_the_smaller_rho_of_one_budget_and_of_both_shares(paired: Paired) -> None:
    answer = paired.ask(PRIVATE)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert [row[0] for row in body["rows"]] == ["Airbus", "Boeing", "Comac"]
    assert body["privacy"]["micro_rho"] == RHO
    found = paired.meters()
    assert (found["rides_private"], found["planes"], found["pilots"]) == ((1, RHO), (1, RHO), (0, RHO))
    assert wrong() == []


def test_a_share_that_is_used_up_stops_the_pair_and_not_the_other_product(paired: Paired) -> None:
    texts = [PRIVATE.replace("COUNT(*)", f"COUNT(*) FILTER (WHERE month = {month})") for month in (1, 2, 3)]
    assert [paired.ask(text).status_code for text in texts] == [200, 200, 200]
    assert paired.refused(PRIVATE.replace("seats", "distance")) == "budget_exhausted"
    assert paired.ask("SELECT COUNT(*) FROM planes").json()["code"] == "budget_exhausted"
    assert paired.ask("SELECT COUNT(*) FROM rides_private").json()["code"] == "budget_exhausted"
    assert paired.ask(texts[0]).json()["stored"]


def test_one_of_two_at_once_has_the_last_of_a_share(paired: Paired) -> None:
    paired.licences["planes"].share = RHO
    licences.do_change(paired.licences["planes"], "test", ["share"])
    paired.market.buyer.login()
    texts = [PRIVATE.replace("COUNT(*)", f"COUNT(*) FILTER (WHERE month = {month})") for month in (1, 2, 3, 4)]
    with ThreadPoolExecutor(4) as pool:
        codes = [answer.status_code for answer in pool.map(paired.ask, texts)]
    assert sorted(codes) == [200, 403, 403, 403]
    assert paired.meters()["planes"] == (1, RHO)
    assert wrong() == []


# What is refused


@pytest.mark.parametrize("name", [GUARDED, "fleet"])
def test_a_licence_that_is_suspended_stops_the_pair(paired: Paired, name: str) -> None:
    licences.do_transition(paired.licences[name], "suspended", "test")
    assert paired.refused() == "licence_not_in_force"


def test_a_buyer_without_a_licence_for_the_joined_product_gets_nothing(paired: Paired) -> None:
    Licence.objects.filter(pk=paired.licences["fleet"].pk).update(buyer=paired.market.people.stranger)
    assert paired.refused() == "licence_missing"


NOT_ALLOWED = {
    "the other way round": f"SELECT COUNT(*) FROM fleet JOIN {GUARDED} USING (tailnum)",
    "what is private": f"SELECT COUNT(*) FROM {GUARDED} JOIN planes USING (tailnum)",
    "to what is open": "SELECT COUNT(*) FROM air_quality JOIN fleet ON station = tailnum",
    "by a dimension": f"SELECT COUNT(*) FROM {GUARDED} JOIN fleet ON carrier = maker",
    "by entity and dimension": f"SELECT COUNT(*) FROM {GUARDED} JOIN fleet ON carrier = fleet.tailnum",
}


@pytest.mark.parametrize("name", NOT_ALLOWED)
def test_every_other_pair_is_refused_with_a_hint(paired: Paired, name: str) -> None:
    assert paired.refused(NOT_ALLOWED[name]) == "join_not_allowed"
    assert paired.ask(NOT_ALLOWED[name]).json()["hint"]


@pytest.mark.parametrize(
    ("member", "value", "says"),
    [("population", "", "takes the data in again"), ("one_row", False, "ask FROM it")],
)
def test_an_older_snapshot_that_does_not_say_enough_is_refused(
    paired: Paired, member: str, value: object, says: str
) -> None:
    snapshot = paired.sides["fleet"].resource.snapshot
    snapshot.pk, snapshot.manifest = None, snapshot.manifest | {member: value}
    snapshot.save(force_insert=True)
    type(paired.sides["fleet"].resource).objects.filter(code="fleet").update(snapshot=snapshot)
    assert paired.refused() == "join_not_allowed"
    assert says in paired.ask().json()["hint"]


def test_a_measure_of_the_joined_product_is_summed_on_private_alone(paired: Paired) -> None:
    assert paired.refused(BY_MAKER.replace("AVG(distance)", "AVG(seats)")) == "column_not_measure"


def test_what_the_holder_stops_is_given_back_to_both_licences_and_the_budget_is_not(
    paired: Paired, place: tuple[Path, Path]
) -> None:
    stops.stop(Home(place[0]), "fleet")
    try:
        text = BY_MAKER.replace("GROUP", "WHERE month = 2 GROUP")
        assert paired.ask(text).json()["code"] == "stopped_by_holder"
    finally:
        stops.resume(Home(place[0]), "fleet")
    assert (paired.meters()[GUARDED], paired.meters()["fleet"]) == ((0, 1), (0, 1))
    last = Record.objects.filter(licence=paired.licences["fleet"].pseudonym).order_by("seq").last()
    assert last is not None and last.kind == "query.joined_voided"
    assert wrong() == []


def test_buyers_are_told_by_what_a_product_can_be_joined(paired: Paired) -> None:
    told = {code: paired.market.buyer.get(f"/v1/products/{code}").json()["keys"] for code in ("fleet", GUARDED)}
    assert told == {"fleet": ["tailnum"], GUARDED: []}

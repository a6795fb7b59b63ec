"""A private product over the buyers' API: what it costs is known, reserved, debited once and never refunded."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from catalog import snapshots
from catalog.models import Product
from exchange.errors import Problem
from exchange.portal import fsck
from fixtures import city
from licensing import registry
from licensing.models import Licence, LicenceMeter, PopulationMeter
from tests import nodes
from tests.market import PURPOSE, Market, endpoint_of, open_market

RHO = 10_000  # of a budget of 100,000 micro-ρ
BY_CARRIER = "SELECT carrier, COUNT(*) AS n, AVG(distance) AS mean FROM rides_private GROUP BY carrier"


@dataclass
class Rides:
    market: Market
    product: Product
    licence: Licence


@pytest.fixture
def market(server: str, home: Path) -> Iterator[Market]:
    """With a node of its own, whose budget no other test spends."""
    with nodes.running(home):
        yield open_market(server, endpoint_of(home))


@pytest.fixture
def rides(market: Market) -> Rides:
    people = market.people
    resource = city.register("rides", "飞行", "Rides", people.holder, market.domain, sector="transport")
    snapshots.refresh(resource, actor="test")
    columns = [c["name"] for c in resource.snapshot.manifest["schema"]["columns"]]
    product = city.offer(
        people, "rides_private", market.authorization, resource, columns, profile="private", rows=5, rho=RHO
    )
    licence = city.license_to(people.buyer, product, [PURPOSE], share=3 * RHO)
    return Rides(market, product, licence)


def wrong() -> list[str]:
    return [finding.text for finding in fsck.check() if not finding.ok]


def test_an_answer_has_an_interval_for_each_figure_and_everything_agrees(rides: Rides) -> None:
    answer = rides.market.buyer.ask(BY_CARRIER)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    names = [column["name"] for column in body["columns"]]
    assert names == ["carrier", "n", "n_low", "n_high", "mean", "mean_low", "mean_high", "status"]
    assert len(body["rows"]) == body["cells"]["charged"] == 6
    for row in (dict(zip(names, row, strict=True)) for row in body["rows"]):
        assert row["n_low"] < row["n"] < row["n_high"]
        assert row["status"] == "released"
    assert PopulationMeter.objects.get().spent == RHO
    assert LicenceMeter.objects.get(pk=rides.licence.pk).spent == RHO
    assert wrong() == []


def test_a_median_costs_what_any_question_does_and_has_its_interval(rides: Rides) -> None:
    text = (
        "SELECT carrier, MEDIAN(distance) AS middle, QUANTILE_CONT(distance, 0.9) FROM rides_private GROUP BY carrier"
    )
    told = rides.market.buyer.send("POST", "/v1/prices", headers={}, json={"sql": text, "purpose": PURPOSE}).json()
    body = rides.market.buyer.ask(text).json()
    names = [column["name"] for column in body["columns"]]
    ninth = "quantile_9000_distance"
    assert names == [
        "carrier", "middle", "middle_low", "middle_high", ninth, f"{ninth}_low", f"{ninth}_high", "status",
    ]  # fmt: skip
    for row in (dict(zip(names, row, strict=True)) for row in body["rows"]):
        assert row["middle_low"] <= row["middle"] <= row["middle_high"]
    assert body["privacy"] == told["privacy"]["cost"] and body["privacy"]["micro_rho"] == RHO
    assert PopulationMeter.objects.get().spent == RHO
    assert wrong() == []


def test_the_same_question_again_costs_no_budget(rides: Rides) -> None:
    first = rides.market.buyer.ask(BY_CARRIER).json()
    again = rides.market.buyer.ask(BY_CARRIER).json()
    assert (again["stored"], again["rows"]) == (True, first["rows"])
    assert PopulationMeter.objects.get().spent == RHO
    assert wrong() == []


def test_the_price_is_known_beforehand_and_asking_for_it_costs_nothing(rides: Rides) -> None:
    buyer = rides.market.buyer
    told = buyer.send("POST", "/v1/prices", headers={}, json={"sql": BY_CARRIER, "purpose": PURPOSE}).json()
    assert told["cells"] == 6 and not told["stored"]
    assert told["privacy"]["cost"] == {"micro_rho": RHO, "epsilon": 0.93, "delta": "1e-9"}
    assert told["privacy"]["left"]["micro_rho"] == 3 * RHO
    assert not PopulationMeter.objects.filter(spent__gt=0).exists()
    answer = buyer.ask(BY_CARRIER).json()
    assert (answer["price"]["amount"], answer["privacy"]) == (told["price"]["amount"], told["privacy"]["cost"])
    again = buyer.send("POST", "/v1/prices", headers={}, json={"sql": BY_CARRIER, "purpose": PURPOSE}).json()
    assert (again["stored"], again["privacy"]["cost"]["micro_rho"]) == (True, 0)


def test_a_price_does_not_tell_what_others_have_asked(rides: Rides) -> None:
    stranger = rides.market.stranger
    city.license_to(rides.market.people.stranger, rides.product, [PURPOSE], share=RHO)
    city.fund(rides.market.people.stranger, 1_000_000)
    before = stranger.send("POST", "/v1/prices", headers={}, json={"sql": BY_CARRIER, "purpose": PURPOSE}).json()
    assert rides.market.buyer.ask(BY_CARRIER).status_code == 200
    after = stranger.send("POST", "/v1/prices", headers={}, json={"sql": BY_CARRIER, "purpose": PURPOSE}).json()
    assert after == before
    assert not after["stored"]


def test_a_licence_spends_its_share_and_no_more(rides: Rides) -> None:
    """Many at once: exactly as many are answered as the share pays for, and nobody else's budget is touched."""

    def ask(number: int) -> int:
        where = f"month = {number % 4 + 1} AND distance > {number}"
        return rides.market.buyer.ask(f"SELECT COUNT(*) AS n FROM rides_private WHERE {where}").status_code

    with ThreadPoolExecutor(6) as pool:
        codes = sorted(pool.map(ask, range(6)))
    assert codes == [200] * 3 + [403] * 3
    assert PopulationMeter.objects.get().spent == 3 * RHO
    refused = rides.market.buyer.ask("SELECT COUNT(*) AS n FROM rides_private WHERE distance > 99")
    assert refused.json()["code"] == "budget_exhausted"
    assert wrong() == []


def test_live_shares_sum_to_the_budget_at_most(rides: Rides) -> None:
    stranger = rides.market.people.stranger
    with pytest.raises(Problem, match="70000"):
        city.license_to(stranger, rides.product, [PURPOSE], share=70_001)
    with pytest.raises(Problem, match="share"):
        city.license_to(stranger, rides.product, [PURPOSE])
    other = city.license_to(stranger, rides.product, [PURPOSE], share=70_000)
    registry.do_transition(other, "ended", actor="test")
    assert city.license_to(stranger, rides.product, [PURPOSE], share=70_000).state == "in_force"


def test_what_an_ended_licence_spent_stays_spent(rides: Rides) -> None:
    rides.market.buyer.ask(BY_CARRIER)
    registry.do_transition(rides.licence, "ended", actor="test")
    with pytest.raises(Problem, match="90000"):
        city.license_to(rides.market.people.stranger, rides.product, [PURPOSE], share=100_000)


def test_a_live_licence_takes_no_larger_share_than_is_left(rides: Rides) -> None:
    rides.licence.share = 100_001
    with pytest.raises(Problem, match="100000"):
        registry.do_change(rides.licence, "test", ["share"])
    assert Licence.objects.get(pk=rides.licence.pk).share == 3 * RHO


def test_too_little_for_so_many_totals_is_refused_before_anything_is_spent(rides: Rides) -> None:
    Product.objects.filter(pk=rides.product.pk).update(rho=2)
    refused = rides.market.buyer.ask(BY_CARRIER)
    assert (refused.status_code, refused.json()["code"]) == (400, "query_too_large")
    assert not PopulationMeter.objects.filter(spent__gt=0).exists()


def test_nothing_the_exchange_knows_tells_how_many_people_there_are(rides: Rides) -> None:
    snapshot = rides.product.resource.snapshot
    assert (snapshot.manifest["rows"], snapshot.manifest["entities"]) == (0, 0)
    page = rides.market.buyer.get("/v1/products/rides_private")
    assert page.json()["privacy"]["rows"] == 5
    assert page.json()["privacy"]["cost"]["epsilon"] == 0.93
    assert "4000" not in json.dumps(page.json()) and "3979" not in json.dumps(page.json())

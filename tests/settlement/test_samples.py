"""Sample answers of a delivery review: by the path that any query takes, debited as any query is, free of charge."""

from collections.abc import Callable
from typing import Any

import pytest

from catalog import offering, snapshots, versions
from catalog.models import Domain, Product, Resource, Sample, Version
from exchange.audit import keys
from exchange.audit.models import Record
from exchange.crypto import jws
from exchange.errors import Problem
from exchange.parties.models import Client, Membership
from exchange.parties.second_factor import Verified
from fixtures import city
from licensing.models import Licence, LicenceMeter, PopulationMeter
from settlement import samples
from settlement.models import MeteredQuery, Receipt, Transfer, Usage
from tests.market import GUARDED, PURPOSE, Buyer, Market
from tests.settlement.test_metered_query import wrong

COLUMNS = ["carrier", "origin", "tailnum", "dep_delay"]


@pytest.fixture
def head(market: Market) -> Verified:
    return city.verified(city.person(market.people.operator, Membership.Duty.APPROVER))


def submitted(market: Market, code: str = "delays", resource: Resource | None = None, **terms: Any) -> Version:
    """A version of a new product, under review."""
    made = {"resource": resource or market.flights, "columns": COLUMNS, "profile": "guarded", "threshold": 10,
            "merchant_share": 4000} | terms  # fmt: skip
    product = Product(code=code, name_zh=code, authorization=market.authorization, merchant=market.people.merchant)
    by = city.person(market.people.merchant)
    return versions.do_step(versions.do_compose(product, Version(**made), by), "submit", by)


def refused(act: Callable[..., Any], *arguments: Any) -> str:
    with pytest.raises(Problem) as problem:
        act(*arguments)
    return problem.value.code


def test_a_version_is_approved_on_the_answers_to_a_few_questions(market: Market, head: Verified) -> None:
    version = submitted(market)
    found = samples.do_ask(version, head)
    assert len(found) == len(samples.questions(version)) > 3
    assert all(each.delivered for each in found), [each.code for each in found]
    version = versions.do_step(version, "approve", head)
    assert (version.state, version.unsampled) == ("approved", "")
    assert Record.objects.filter(kind="version.sampled").count() == 1


def test_they_cost_nothing_and_are_debited_from_the_population_as_any_query_is(market: Market, head: Verified) -> None:
    version = submitted(market)
    due = samples.cost(version)
    found = samples.do_ask(version, head)
    assert PopulationMeter.objects.get().spent == due == sum(each.cost for each in found) == len(found)
    assert set(Usage.objects.values_list("amount", flat=True)) == {0}
    assert not Transfer.objects.exclude(kind="top_up").exists()
    assert wrong() == []


def test_each_has_its_receipt_which_names_the_version_and_who_reviewed(market: Market, head: Verified) -> None:
    samples.do_ask(submitted(market), head)
    receipt = Receipt.objects.get(query=Sample.objects.first().query)
    said = jws.verify(receipt.jws, keys.public("receipt"), "sluice-receipt+jws")["record"]
    assert (said["product"], said["version"], said["amount"]) == ("delays", 1, 0)
    assert said["buyer"] == str(market.people.operator.pk)


def test_asked_again_nothing_is_debited_twice(market: Market, head: Verified) -> None:
    version = submitted(market)
    first = samples.do_ask(version, head)
    spent = PopulationMeter.objects.get().spent
    again = samples.do_ask(version, head)
    assert [each.query for each in again] == [each.query for each in first]
    assert PopulationMeter.objects.get().spent == spent
    assert MeteredQuery.objects.count() == len(first)


def test_only_who_reviews_the_version_asks_and_only_while_it_is_reviewed(market: Market, head: Verified) -> None:
    people, version = market.people, submitted(market)
    for person in (city.person(people.merchant), city.person(people.stranger, Membership.Duty.APPROVER)):
        assert refused(samples.do_ask, version, person) == "step_not_yours"
    Membership.objects.create(user=city.person(people.merchant), party=people.operator)
    assert refused(samples.do_ask, version, city.person(people.merchant)) == "step_own"
    versions.do_step(version, "send_back", head, "改")
    assert refused(samples.do_ask, version, head) == "step_not_possible"
    assert not MeteredQuery.objects.exists()


def test_the_reviews_licence_ends_with_it_and_the_api_never_knew_it(market: Market, head: Verified) -> None:
    version = submitted(market)
    samples.do_ask(version, head)
    licence = Licence.objects.get(review=True)
    assert (licence.state, licence.buyer, licence.tariff) == ("ended", market.people.operator, {})
    Licence.objects.filter(pk=licence.pk).update(state="in_force")
    client = Buyer(market.buyer.url, *city.client_of(market.people.operator))
    for named in ({"licence": str(licence.pk)}, {}):
        answer = client.ask("SELECT COUNT(*) FROM delays", samples.PURPOSE, **named)
        assert answer.json()["code"] == "not_found"
    versions.do_step(version, "approve", head)
    by = city.person(market.people.merchant)
    product = versions.do_step(version, "release", by).product
    versions.do_product_step(product, "list", by)
    for named in ({"licence": str(licence.pk)}, {}):
        assert client.ask("SELECT COUNT(*) FROM delays", samples.PURPOSE, **named).json()["code"] == "licence_missing"


def test_the_reviews_client_has_no_secret_that_anybody_knows(market: Market, head: Verified) -> None:
    samples.do_ask(submitted(market), head)
    client = Client.objects.get(client_id=f"review-{market.people.operator.pk}")
    for secret in ("", client.client_secret, "None"):
        with pytest.raises(KeyError):
            Buyer(market.buyer.url, client.client_id, secret).login()


def test_the_next_version_is_sampled_under_its_own_terms_while_buyers_ask_the_live_one(
    market: Market, head: Verified
) -> None:
    by = city.person(market.people.merchant)
    draft = versions.do_revise(market.guarded, by)
    draft.columns, draft.threshold = ["carrier", "tailnum", "distance"], 40
    versions.do_edit(draft, by, ["columns", "threshold"])
    draft = versions.do_step(draft, "submit", by)
    found = samples.do_ask(draft, head)
    assert any("distance" in each.question for each in found)
    asked = MeteredQuery.objects.get(pk=found[0].query)
    assert asked.terms["version"] == 2
    assert market.buyer.ask(f"SELECT COUNT(*) FROM {GUARDED} WHERE month = 1").status_code == 200


def test_a_node_that_refuses_is_shown_and_the_reviewer_decides(market: Market, head: Verified) -> None:
    version = submitted(market)
    Domain.objects.update(node_url="grpc://127.0.0.1:9")
    found = samples.do_ask(version, head)
    assert {each.code for each in found} == {"node_unreachable"}
    assert refused(versions.do_step, version, "approve", head) == "sample_missing"
    assert versions.do_step(version, "approve", head, "节点停机，其余已审").state == "approved"


def test_what_was_uncertain_is_asked_for_again_and_debited_once(market: Market, head: Verified) -> None:
    version, url = submitted(market), market.domain.node_url
    Domain.objects.update(node_url="grpc://127.0.0.1:9")
    first = samples.do_ask(version, head)
    spent = PopulationMeter.objects.get().spent
    Domain.objects.update(node_url=url)
    again = samples.do_ask(version, head)
    assert [each.query for each in again] == [each.query for each in first]
    assert all(each.delivered for each in again), [each.code for each in again]
    assert PopulationMeter.objects.get().spent == spent
    assert wrong() == []


def test_a_budget_that_does_not_suffice_is_shown(market: Market, head: Verified) -> None:
    snapshot = market.flights.snapshot
    snapshot.policy = snapshot.policy | {"budget": 2}
    snapshot.save()
    found = samples.do_ask(submitted(market), head)
    assert [each.delivered for each in found][:2] == [True, True]
    assert {each.code for each in found[2:]} == {"population_exhausted"}
    assert PopulationMeter.objects.get().spent == 2


@pytest.fixture
def rides(market: Market) -> Resource:
    resource = city.register("rides", "飞行", "Rides", market.people.holder, market.domain, sector="transport")
    snapshots.refresh(resource, actor="test")
    return resource


def test_a_private_budget_pays_for_two_questions_and_what_was_reserved_for_more_is_free_again(
    market: Market, head: Verified, rides: Resource
) -> None:
    version = submitted(market, "rides_private", rides, profile="private", rows=5, rho=100)
    found = samples.do_ask(version, head)
    assert [each.code for each in found] == ["", ""]
    assert samples.cost(version) == 200
    assert LicenceMeter.objects.get(licence__review=True).spent == 200
    product = Product.objects.get(code="rides_private")
    versions.do_step(version, "approve", head)
    by = city.person(market.people.merchant)
    versions.do_step(version, "release", by)
    city.license_to(market.people.buyer, product, [PURPOSE], share=99_800)


def test_a_private_budget_that_is_all_reserved_pays_for_none_and_says_so(
    market: Market, head: Verified, rides: Resource
) -> None:
    terms = {"profile": "private", "rows": 5, "rho": 100}
    product = city.offer(market.people, "rides_one", market.authorization, rides, COLUMNS, **terms)
    city.license_to(market.people.buyer, product, [PURPOSE], share=100_000)
    found = samples.do_ask(submitted(market, "rides_two", rides, **terms), head)
    assert {each.code for each in found} == {"population_exhausted"}
    assert not MeteredQuery.objects.exists()
    assert not Licence.objects.filter(review=True).exists()


@pytest.mark.parametrize("profile", ["open", "guarded", "private"])
def test_what_the_preview_says_could_be_asked_is_answered_to_a_buyer(
    market: Market, rides: Resource, profile: str
) -> None:
    resource = {"open": market.air, "guarded": market.flights, "private": rides}[profile]
    product = market.open if profile == "open" else market.guarded
    if profile == "private":
        columns = [column.name for column in snapshots.manifest_of(rides.snapshot_id).schema.columns]
        terms = {"profile": "private", "rows": 5, "rho": 100}
        product = city.offer(market.people, "rides_one", market.authorization, rides, columns, **terms)
        city.license_to(market.people.buyer, product, [PURPOSE], share=5_000)
    manifest = snapshots.manifest_of(resource.snapshot_id)
    told = offering.offering(product.code, product.composition, manifest)
    assert len(told.questions) > 3
    for text in told.questions:
        answer = market.buyer.ask(text)
        assert answer.status_code == 200, (text, answer.text)
    for each in told.measures:
        for function in each.functions:
            text = f"SELECT {function}({each.column.name}) FROM {product.code}"
            assert market.buyer.send("POST", "/v1/prices", headers={}, json={"sql": text, "purpose": PURPOSE}).ok, text
    assert ("MEDIAN" in told.measures[0].functions) == (profile == "private")

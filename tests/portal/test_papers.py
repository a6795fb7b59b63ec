"""What the desks of plans, agreements and licences take in: texts, words, numbers and files, not JSON."""

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction

from catalog import authorizing
from catalog.agreements import PLAN_ITEMS
from catalog.models import Plan, SubLicence
from exchange.errors import Problem
from exchange.parties.models import Document
from fixtures import city
from tests.market import Market, market, node  # noqa: F401
from tests.portal.test_desks import logged_in

PLANS = "/admin/catalog/plan/"


@pytest.fixture
def people(db: str) -> city.City:
    return city.found_city()


def form_of(people: city.City, **more: Any) -> dict[str, Any]:
    return {
        "code": "plan", "name_zh": "方案", "mode": "full", "body": people.authority.pk,
        "authority": people.authority.pk, **{f"item_{key}": key for key in PLAN_ITEMS},
    } | more  # fmt: skip


def paper(body: bytes = b"%PDF-1.7 minutes") -> SimpleUploadedFile:
    return SimpleUploadedFile("minutes.pdf", body, "application/pdf")


def submitted(people: city.City) -> Plan:
    clerk = logged_in(city.person(people.authority))
    assert clerk.post(f"{PLANS}add/", form_of(people)).status_code == 302
    return authorizing.do_step(Plan.objects.get(), "submit", city.person(people.authority))


def test_a_plan_is_written_as_one_text_for_each_item(people: city.City) -> None:
    clerk = logged_in(city.person(people.authority))
    assert clerk.post(f"{PLANS}add/", form_of(people, item_other="  ")).status_code == 302
    plan = Plan.objects.get()
    assert plan.items == {key: key for key in PLAN_ITEMS} | {"other": ""}
    change = f"{PLANS}{plan.pk}/change/"
    shown = clerk.get(change).content.decode()
    assert "12. 其他事项" in shown
    assert "12. other" in clerk.get(change, headers={"accept-language": "en"}).content.decode()
    assert clerk.post(change, form_of(people, item_other="无")).status_code == 302
    plan.refresh_from_db()
    assert (plan.items["other"], plan.items["name"], plan.items.keys()) == ("无", "name", PLAN_ITEMS.keys())


def test_minutes_and_filing_number_come_when_there_are_such_and_change_nothing_else(people: city.City) -> None:
    plan, clerk = submitted(people), logged_in(city.person(people.authority))
    change = f"{PLANS}{plan.pk}/change/"
    answer = clerk.post(change, form_of(people, item_name="别的", filing="早", minutes_file=paper()))
    assert answer.status_code == 302
    plan.refresh_from_db()
    assert plan.minutes == Document.objects.get(party=people.authority)
    assert (plan.items["name"], plan.filing) == ("name", "")
    plan = authorizing.do_step(plan, "approve", city.verified(city.person(people.authority, "approver")))
    assert clerk.post(change, form_of(people, filing="备1", minutes="", item_name="别的")).status_code == 302
    plan.refresh_from_db()
    assert (plan.filing, plan.items["name"], plan.minutes is None) == ("备1", "name", False)
    authorizing.do_step(plan, "file", city.person(people.authority))
    assert clerk.post(change, form_of(people, filing="备2")).status_code == 403


def test_a_plan_that_went_on_meanwhile_is_not_edited_as_the_draft_it_was(people: city.City) -> None:
    from django.contrib import admin

    submitted(people)
    stale = Plan.objects.get()
    with pytest.raises(Problem, match="step_not_possible"), transaction.atomic():
        admin.site._registry[Plan]._edit(stale, city.person(people.authority), ["items", "minutes"])


@pytest.mark.parametrize("who", ["stranger", "operator", "holder"])
def test_a_plan_is_nobody_elses_to_add_to(people: city.City, who: str) -> None:
    plan = submitted(people)
    other = logged_in(city.person(getattr(people, who)))
    assert other.post(f"{PLANS}{plan.pk}/change/", {"minutes_file": paper()}).status_code in (302, 403)
    plan.refresh_from_db()
    assert plan.minutes is None
    assert not Document.objects.exists()


def test_a_file_that_is_no_document_is_told_and_nothing_is_kept(people: city.City) -> None:
    plan = submitted(people)
    answer = logged_in(city.person(people.authority)).post(
        f"{PLANS}{plan.pk}/change/", {"minutes_file": paper(b"<script>")}
    )
    assert "不支持的请求格式" in answer.content.decode()
    assert not Document.objects.exists()


def terms(market: Market, **more: Any) -> dict[str, Any]:  # noqa: F811
    licence = market.licence
    return {
        "product": licence.product_id, "buyer": licence.buyer_id, "purposes": "保险、research，保险", "quota": 10,
        "share": 0, "per_call": 7, "per_cell": 1, "since": licence.since, "until": licence.until,
    } | more  # fmt: skip


def test_a_licence_is_written_as_words_and_numbers(market: Market) -> None:  # noqa: F811
    merchant = logged_in(city.person(market.people.merchant))
    change = f"/admin/licensing/licence/{market.licence.pk}/change/"
    assert merchant.post(change, terms(market)).status_code == 302
    market.licence.refresh_from_db()
    assert (market.licence.purposes, market.licence.tariff) == (["保险", "research"], {"per_call": 7, "per_cell": 1})
    for wrong in ({"per_call": -1}, {"per_cell": 10**13}, {"purposes": " , "}):
        answer = merchant.post(change, terms(market, **wrong))
        assert (answer.status_code, "errorlist" in answer.content.decode()) == (200, True), wrong
    market.licence.refresh_from_db()
    assert market.licence.tariff == {"per_call": 7, "per_cell": 1}


def test_a_holder_takes_its_own_snapshot_into_service_and_nobody_elses(market: Market) -> None:  # noqa: F811
    form = {"action": "serve_snapshot", "_selected_action": [str(market.flights.pk)]}
    before = market.flights.snapshots.count()
    logged_in(city.person(market.people.neighbour)).post("/admin/catalog/resource/", form)
    assert market.flights.snapshots.count() == before
    logged_in(city.person(market.people.holder)).post("/admin/catalog/resource/", form)
    assert market.flights.snapshots.count() == before + 1


def test_a_sub_licence_takes_its_contract_as_the_drafting_partys_document(market: Market) -> None:  # noqa: F811
    SubLicence.objects.update(state="ended")
    form = {
        "authorization": market.authorization.pk, "merchant": market.people.merchant.pk, "scope": "统计",
        "since": market.authorization.since, "until": market.authorization.until, "contract_file": paper(),
    }  # fmt: skip
    operator = logged_in(city.person(market.people.operator))
    assert operator.post("/admin/catalog/sublicence/add/", form).status_code == 302
    made = SubLicence.objects.latest("pk")
    assert (made.state, made.contract and made.contract.party) == ("draft", market.people.operator)

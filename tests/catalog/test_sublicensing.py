"""The second level: whom the operator lets develop under its authorization, from day to day."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from catalog import authorizing, facts, sublicensing
from catalog.covers import Item, Reason, covers
from catalog.models import Authorization, SubLicence
from exchange.errors import Problem
from exchange.parties.models import Accreditation, Membership, Notice, Party
from exchange.parties.second_factor import Verified
from fixtures import city


@pytest.fixture
def people(db: str) -> city.City:
    return city.found_city()


@pytest.fixture
def full(people: city.City) -> Authorization:
    made = city.authorize(people, "whole")
    SubLicence.objects.all().delete()
    return made


@pytest.fixture
def head(people: city.City) -> Verified:
    return city.verified(city.person(people.operator, Membership.Duty.APPROVER))


def draft(full: Authorization, merchant: Party, **more: object) -> SubLicence:
    terms = {"since": full.since, "until": full.until, "scope": "出行", "contract": full.agreement} | more
    made = SubLicence(authorization=full, merchant=merchant, **terms)
    return sublicensing.do_open(made, city.person(merchant))


def granted(full: Authorization, merchant: Party, head: Verified, **more: object) -> SubLicence:
    made = sublicensing.do_step(draft(full, merchant, **more), "submit", city.person(merchant))
    return sublicensing.do_step(made, "grant", head)


def refused(act: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(Problem) as problem:
        act(*arguments)
    return problem.value.code


def reason(full: Authorization, merchant: Party, days: int = 0) -> Reason | None:
    day = timezone.localdate() + timedelta(days=days)
    return covers(facts.grant_of(full, day), Item("x", True), "", str(merchant.pk), day)


def test_a_merchant_may_develop_once_the_operator_grants_it(
    full: Authorization, people: city.City, head: Verified
) -> None:
    made = sublicensing.do_step(draft(full, people.merchant), "submit", city.person(people.merchant))
    assert reason(full, people.merchant) is Reason.OTHER_GRANTEE
    assert refused(sublicensing.do_step, made, "grant", city.person(people.merchant)) == "step_not_yours"
    assert refused(sublicensing.do_step, made, "grant", city.person(people.operator)) == "step_not_yours"
    sublicensing.do_step(made, "grant", head)
    assert reason(full, people.merchant) is None
    assert reason(full, people.stranger) is Reason.OTHER_GRANTEE
    assert Notice.objects.filter(party=people.merchant, kind="sub_licence").exists()


def test_it_ends_with_its_last_day_whether_or_not_the_clock_saw_it(
    full: Authorization, people: city.City, head: Verified
) -> None:
    today = timezone.localdate()
    made = granted(full, people.merchant, head, until=today + timedelta(days=9))
    assert reason(full, people.merchant, 9) is None
    assert reason(full, people.merchant, 10) is Reason.OTHER_GRANTEE
    assert sublicensing.expire() == 0
    SubLicence.objects.filter(pk=made.pk).update(since=today - timedelta(days=2), until=today - timedelta(days=1))
    assert sublicensing.expire() == 1
    assert SubLicence.objects.get(pk=made.pk).state == "expired"


@pytest.mark.parametrize("step", ["suspend", "end"])
def test_suspended_or_ended_it_covers_nothing(
    full: Authorization, people: city.City, head: Verified, step: str
) -> None:
    made = granted(full, people.merchant, head)
    assert refused(sublicensing.do_step, made, step, head, " ") == "reason_missing"
    sublicensing.do_step(made, step, city.person(people.operator), "违约")
    assert reason(full, people.merchant) is Reason.OTHER_GRANTEE


def test_it_stays_within_its_authorization(full: Authorization, people: city.City) -> None:
    made = draft(full, people.merchant, until=full.until + timedelta(days=1))
    assert refused(sublicensing.do_step, made, "submit", city.person(people.merchant)) == "sub_licence_too_long"


def test_it_is_for_an_accredited_merchant_with_a_contract(full: Authorization, people: city.City) -> None:
    merchant = people.merchant
    bare = draft(full, merchant, contract=None)
    assert refused(sublicensing.do_step, bare, "submit", city.person(merchant)) == "document_missing"
    Accreditation.objects.filter(party=merchant).update(until=timezone.localdate() - timedelta(days=1))
    made = draft(full, merchant)
    assert refused(sublicensing.do_step, made, "submit", city.person(merchant)) == "party_not_accredited"


def test_nothing_is_sub_licensed_under_what_is_suspended(
    full: Authorization, people: city.City, head: Verified
) -> None:
    made = sublicensing.do_step(draft(full, people.merchant), "submit", city.person(people.merchant))
    authorizing.do_step(full, "suspend", city.person(people.authority), "检查")
    assert refused(sublicensing.do_step, made, "grant", head) == "authorization_does_not_cover"


def test_a_scenario_has_its_one_grantee_and_an_operator_needs_none(full: Authorization, people: city.City) -> None:
    assert refused(draft, full, people.operator) == "sub_licence_not_possible"
    full.mode = "scenario"
    assert refused(draft, full, people.merchant) == "sub_licence_not_possible"


def test_a_merchant_has_one_at_a_time(full: Authorization, people: city.City, head: Verified) -> None:
    granted(full, people.merchant, head)
    again = sublicensing.do_step(draft(full, people.merchant), "submit", city.person(people.merchant))
    assert refused(sublicensing.do_step, again, "grant", head) == "sub_licence_there"

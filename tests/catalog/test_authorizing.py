"""Authorizing by 27号: the plan, its approval and filing, the agreement, and what an authorization then does."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.utils import timezone
from django.utils.translation import override
from hypothesis import given
from hypothesis import strategies as st

from catalog import agreements, authorizing, registry
from catalog.agreements import AGREEMENT_ITEMS, PLAN_ITEMS, Scope, overlap
from catalog.covers import Mode
from catalog.models import Authorization, Plan, Resource
from exchange.audit.models import Record, RecordBody
from exchange.days import years_after
from exchange.errors import Problem
from exchange.parties import documents
from exchange.parties.models import Accreditation, Document, Membership, Notice, User
from exchange.parties.second_factor import Verified
from fixtures import city

TODAY = date(2026, 3, 2)


@dataclass
class Bureau:
    """The granting authority at work: a clerk prepares, a head approves."""

    people: city.City
    clerk: User
    head: Verified
    operator: User

    def paper(self) -> Document:
        return documents.store(self.people.authority, SimpleUploadedFile("a.pdf", b"%PDF-1.7", "application/pdf"))

    def plan(self, **more: Any) -> Plan:
        terms = {
            "code": "p1", "mode": "full", "name_zh": "方案", "body": self.people.authority,
            "authority": self.people.authority, "items": dict.fromkeys(PLAN_ITEMS, "见方案"),
            "minutes": self.paper(), "filing": "备-1",
        } | more  # fmt: skip
        return authorizing.do_open(Plan(**terms), self.clerk)

    def filed(self, **more: Any) -> Plan:
        plan = authorizing.do_step(self.plan(**more), "submit", self.clerk)
        plan = authorizing.do_step(plan, "approve", self.head)
        return authorizing.do_step(plan, "file", self.clerk)

    def draft(self, plan: Plan | None, **more: Any) -> Authorization:
        today = timezone.localdate()
        terms = {
            "code": "a1", "mode": "full", "name_zh": "协议", "authority": self.people.authority,
            "operator": self.people.operator, "since": today, "until": years_after(today, 5), "plan": plan,
            "selection": "tender", "selected_by": self.paper(), "agreement": self.paper(),
            "items": dict.fromkeys(AGREEMENT_ITEMS, "见协议"), "holder_share": 3000, "platform_share": 500,
        } | more  # fmt: skip
        return authorizing.do_open(Authorization(**terms), self.clerk)

    def in_force(self, plan: Plan | None = None, **more: Any) -> Authorization:
        made = self.draft(plan or self.filed(), **more)
        for name, by in (("submit", self.clerk), ("sign", self.head), ("publish", self.clerk)):
            made = authorizing.do_step(made, name, by)
        return made


@pytest.fixture
def bureau(db: str) -> Bureau:
    people = city.found_city()
    approver = Membership.Duty.APPROVER
    return Bureau(
        people,
        city.person(people.authority),
        city.verified(city.person(people.authority, approver)),
        city.person(people.operator),
    )


def refused(act: Callable[..., Any], *arguments: Any) -> Problem:
    with pytest.raises(Problem) as problem:
        act(*arguments)
    return problem.value


# The plan


def test_a_plan_is_submitted_decided_and_filed(bureau: Bureau) -> None:
    plan = bureau.filed()
    assert plan.state == "filed"
    found = Record.objects.filter(kind__startswith="plan.").order_by("id")
    assert [record.kind for record in found] == ["plan.opened", "plan.submit", "plan.approve", "plan.file"]


@pytest.mark.parametrize("item", list(PLAN_ITEMS))
def test_a_plan_without_one_of_its_items_names_it_in_the_readers_language(bureau: Bureau, item: str) -> None:
    plan = bureau.plan(items=dict.fromkeys(PLAN_ITEMS, "见方案") | {item: "  "})
    for language, name in zip(("zh-hans", "en"), PLAN_ITEMS[item], strict=True):
        with override(language):
            problem = refused(authorizing.do_step, plan, "submit", bureau.clerk)
        assert (problem.code, problem.detail) == ("item_missing", name)
    plan.refresh_from_db()
    assert plan.state == "draft"


def test_the_rules_count_twelve_items_of_a_plan_and_thirteen_of_an_agreement() -> None:
    assert (len(PLAN_ITEMS), len(AGREEMENT_ITEMS)) == (12, 13)


def test_a_plan_is_decided_on_by_somebody_else_with_minutes(bureau: Bureau) -> None:
    plan = authorizing.do_step(bureau.plan(minutes=None), "submit", bureau.clerk)
    assert refused(authorizing.do_step, plan, "approve", bureau.clerk).code == "step_not_yours"
    assert refused(authorizing.do_step, plan, "approve", bureau.head).code == "document_missing"


def test_an_approval_wants_the_second_factor_shown_today_and_a_superusers_as_well(bureau: Bureau) -> None:
    plan = authorizing.do_step(bureau.plan(), "submit", bureau.clerk)
    yesterday = replace(bureau.head, since=timezone.now() - timedelta(days=1))
    for by in (bureau.head.user, yesterday, city.break_glass("root")[0]):
        assert refused(authorizing.do_step, plan, "approve", by).code == "second_factor_missing"
    assert refused(authorizing.do_step, plan, "approve", city.verified(bureau.clerk)).code == "step_not_yours"
    assert authorizing.do_step(plan, "approve", bureau.head).state == "approved"


def test_a_superusers_step_is_marked_in_its_record(bureau: Bureau) -> None:
    plan = authorizing.do_step(bureau.plan(), "submit", bureau.clerk)
    authorizing.do_step(plan, "approve", city.verified(city.break_glass("root")[0]))
    said = {kind: json.loads(text) for kind, text in RecordBody.objects.values_list("record__kind", "body")}
    assert said["plan.approve"]["superuser"] is True
    assert "superuser" not in said["plan.submit"]


def test_a_plan_is_not_filed_without_its_number(bureau: Bureau) -> None:
    plan = authorizing.do_step(bureau.plan(filing=" "), "submit", bureau.clerk)
    plan = authorizing.do_step(plan, "approve", bureau.head)
    assert refused(authorizing.do_step, plan, "file", bureau.clerk).code == "item_missing"


def test_a_major_change_goes_the_same_way_and_replaces_the_plan_when_filed(bureau: Bureau) -> None:
    old = bureau.filed()
    new = bureau.plan(code="p2", replaces=old)
    assert authorizing.do_step(new, "submit", bureau.clerk).state == "submitted"
    old.refresh_from_db()
    assert old.state == "filed"
    new = authorizing.do_step(authorizing.do_step(new, "approve", bureau.head), "file", bureau.clerk)
    old.refresh_from_db()
    assert (old.state, new.state) == ("replaced", "filed")
    assert refused(authorizing.do_step, bureau.draft(old), "submit", bureau.clerk).code == "plan_missing"


# The agreement


def test_an_agreement_is_signed_and_in_force_once_published_and_the_operator_is_told(bureau: Bureau) -> None:
    made = bureau.in_force()
    assert (made.state, made.published_on) == ("in_force", timezone.localdate())
    assert Notice.objects.filter(party=bureau.people.operator, kind="authorization").count() == 1


@pytest.mark.parametrize("item", list(AGREEMENT_ITEMS))
def test_an_agreement_without_one_of_its_items_is_refused(bureau: Bureau, item: str) -> None:
    made = bureau.draft(bureau.filed(), items={key: "见协议" for key in AGREEMENT_ITEMS if key != item})
    assert refused(authorizing.do_step, made, "submit", bureau.clerk).code == "item_missing"


def test_an_agreement_runs_at_most_five_years(bureau: Bureau) -> None:
    plan, today = bureau.filed(), timezone.localdate()
    longer = bureau.draft(plan, until=years_after(today, 5) + timedelta(days=1))
    assert refused(authorizing.do_step, longer, "submit", bureau.clerk).code == "agreement_too_long"
    six = bureau.draft(plan, code="a2", until=years_after(today, 6))
    assert refused(authorizing.do_step, six, "submit", bureau.clerk).code == "agreement_too_long"


@pytest.mark.parametrize(
    ("lacking", "code"),
    [
        ({"selection": ""}, "selection_missing"),
        ({"selected_by": None}, "selection_missing"),
        ({"plan": None}, "plan_missing"),
        ({"mode": "sector", "sector": "finance"}, "plan_missing"),
    ],
)
def test_what_comes_before_an_agreement_is_there(bureau: Bureau, lacking: dict[str, Any], code: str) -> None:
    plan = bureau.filed()
    made = bureau.draft(lacking.pop("plan", plan), **lacking)
    assert refused(authorizing.do_step, made, "submit", bureau.clerk).code == code


def test_only_an_accredited_operator_signs_and_only_with_the_agreement_itself(bureau: Bureau) -> None:
    made = authorizing.do_step(bureau.draft(bureau.filed(), agreement=None), "submit", bureau.clerk)
    assert refused(authorizing.do_step, made, "sign", bureau.head).code == "document_missing"
    Authorization.objects.filter(pk=made.pk).update(agreement=bureau.paper())
    yesterday = timezone.localdate() - timedelta(days=1)
    Accreditation.objects.filter(party=bureau.people.operator).update(since=yesterday, until=yesterday)
    assert refused(authorizing.do_step, made, "sign", bureau.head).code == "party_not_accredited"


def test_a_zone_names_its_sector_and_a_scenario_its_words_grantee_and_list(bureau: Bureau) -> None:
    zone = bureau.draft(bureau.filed(mode="sector"), mode="sector")
    assert refused(authorizing.do_step, zone, "submit", bureau.clerk).code == "item_missing"
    scenario = bureau.draft(bureau.filed(code="p2", mode="scenario"), code="a2", mode="scenario", scenario="核保")
    with override("zh-hans"):
        problem = refused(authorizing.do_step, scenario, "submit", bureau.clerk)
    assert (problem.code, problem.detail) == ("item_missing", "被授权方, 清单资源")
    domain = city.join({"node": "n", "url": "grpc://localhost:1", "public_jwk": {}}, "d", "域", "Domain")
    resource = Resource(code="r", name_zh="表", holder=bureau.people.holder, domain=domain)
    registry.do_create(resource, actor="test")
    Authorization.objects.filter(pk=scenario.pk).update(grantee=bureau.people.merchant)
    scenario.listed.set([resource])
    assert authorizing.do_step(scenario, "submit", bureau.clerk).state == "submitted"


def test_two_operators_are_not_given_the_same_at_one_time(bureau: Bureau) -> None:
    first = bureau.in_force()
    second = bureau.draft(first.plan, code="a2", operator=bureau.people.merchant)
    problem = refused(authorizing.do_step, second, "submit", bureau.clerk)
    assert (problem.code, problem.detail) == ("authorization_overlaps", "a1")
    later = first.until + timedelta(days=1)
    third = bureau.draft(first.plan, code="a3", since=later, until=years_after(later, 1))
    assert authorizing.do_step(third, "submit", bureau.clerk).state == "submitted"
    authorizing.do_step(first, "end", bureau.clerk, "退出")
    assert authorizing.do_step(second, "submit", bureau.clerk).state == "submitted"


def test_who_may_suspend_gives_a_reason_and_who_resumes_approves(bureau: Bureau) -> None:
    made = bureau.in_force()
    assert refused(authorizing.do_step, made, "suspend", bureau.operator, "x").code == "step_not_yours"
    assert refused(authorizing.do_step, made, "suspend", bureau.clerk).code == "reason_missing"
    made = authorizing.do_step(made, "suspend", bureau.clerk, "检查")
    assert refused(authorizing.do_step, made, "resume", bureau.clerk).code == "step_not_yours"
    assert authorizing.do_step(made, "resume", bureau.head).state == "in_force"


def test_what_has_run_out_expires(bureau: Bureau) -> None:
    made = bureau.in_force()
    assert authorizing.expire() == 0
    today = timezone.localdate()
    Authorization.objects.filter(pk=made.pk).update(
        since=today - timedelta(days=9), until=today - timedelta(days=1)
    )  # fmt: skip
    assert authorizing.expire() == 1
    made.refresh_from_db()
    assert made.state == "expired"


def test_a_code_is_given_once(bureau: Bureau) -> None:
    plan = bureau.filed()
    assert refused(lambda: bureau.plan(code=plan.code)).code == "field_invalid"


# Overlaps

SCOPES = st.builds(
    lambda mode, start, length, sector, grantee: Scope(
        mode, TODAY + timedelta(start), TODAY + timedelta(start + length), sector, "核保", grantee
    ),
    st.sampled_from(Mode), st.integers(0, 20), st.integers(0, 20), st.sampled_from("ab"), st.sampled_from("xy"),
)  # fmt: skip


@given(SCOPES, SCOPES)
def test_scopes_overlap_where_some_day_gives_the_same_twice(one: Scope, other: Scope) -> None:
    assert overlap(one, other) == overlap(other, one)
    assert overlap(one, one)
    days = {one.since + timedelta(i) for i in range((one.until - one.since).days + 1)}
    shared = any(other.since <= day <= other.until for day in days)
    same = {
        Mode.FULL: True,
        Mode.SECTOR: one.sector == other.sector,
        Mode.SCENARIO: one.grantee == other.grantee,
    }[one.mode]
    assert overlap(one, other) == (one.mode is other.mode and shared and same)


@given(st.dates(date(2000, 1, 1), date(2100, 1, 1)), st.integers(0, 3000))
def test_five_years_are_five_years(since: date, length: int) -> None:
    until = since + timedelta(days=length)
    assert agreements.too_long(since, until) == (until > years_after(since, 5))

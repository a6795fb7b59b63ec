"""Registration by 26号: each step by who may take it, with its clock, and what it does to what is registered."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import date, timedelta

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from catalog import codes, machines, registration, registry
from catalog.models import Authorization, Domain, Objection, Plan, Registration, RegistrationItem, Resource
from exchange.audit.models import Record
from exchange.days import years_after
from exchange.errors import Problem
from exchange.parties import acts, days, documents
from exchange.parties.models import Day, Document, Membership, Notice, User
from exchange.parties.second_factor import Verified
from fixtures import city

Kind, What = Registration.Kind, RegistrationItem.What


@dataclass
class Office:
    """A holder with a resource, and its people and the registrar's: a clerk prepares, a head approves."""

    people: city.City
    resource: Resource
    holder: User
    clerk: User
    head: Verified
    stranger: User

    def draft(self, kind: str = Kind.FIRST, **more: object) -> Registration:
        terms = {"resource": self.resource, "registrant": self.people.holder, "registrar": self.people.registrar}
        terms |= {"kind": kind, "evidenced_on": timezone.localdate()} | more
        made = registration.do_open(Registration(**terms), self.holder)
        for what in What:
            RegistrationItem.objects.create(registration=made, what=what, text="as declared")
        return made

    def noticed(self, **more: object) -> Registration:
        made = self.draft(**more)
        made = registration.do_step(made, "submit", self.holder)
        made = registration.do_step(made, "accept", self.clerk)
        return registration.do_step(made, "publish", self.clerk)

    def entered(self, **more: object) -> Registration:
        return registration.do_step(noticed_enough(self.noticed(**more)), "enter", self.head)

    def now(self) -> Resource:
        return Resource.objects.get(pk=self.resource.pk)


@pytest.fixture
def office(db: str) -> Office:
    people = city.found_city()
    home = {"node": "n", "url": "grpc://localhost:1", "public_jwk": {}}
    domain: Domain = city.join(home, "transport", "交通", "Transport")
    resource = Resource(code="flights", name_zh="航班", holder=people.holder, domain=domain)
    registry.do_create(resource, actor="test")
    return Office(
        people, resource,
        city.hire(people.holder, "holder")[0],
        city.hire(people.registrar, "clerk")[0],
        city.verified(city.hire(people.registrar, "head", Membership.Duty.APPROVER)[0]),
        city.hire(people.stranger, "stranger", Membership.Duty.APPROVER)[0],
    )  # fmt: skip


def noticed_enough(made: Registration) -> Registration:
    """As if the notice had ended yesterday."""
    Registration.objects.filter(pk=made.pk).update(due_on=timezone.localdate() - timedelta(days=1))
    return Registration.objects.get(pk=made.pk)


def code_of(act: Callable[..., object], *arguments: object) -> str:
    with pytest.raises(Problem) as refused:
        act(*arguments)
    return refused.value.code


def document(office: Office) -> Document:
    upload = SimpleUploadedFile("proof.pdf", b"%PDF-1.7 proof", "application/pdf")
    return documents.store(office.people.holder, upload)


def object_to(made: Registration, office: Office) -> Objection:
    return registration.do_object(
        Objection(registration=made, name="张三", contact="13800000000", text="数据属于我", evidence=document(office))
    )


def test_every_state_of_a_machine_has_its_name() -> None:
    found = [
        (Registration, machines.REGISTRATION), (Registration, machines.CANCELLATION), (Objection, machines.OBJECTION),
        (Plan, machines.PLAN), (Authorization, machines.AUTHORIZATION),
    ]  # fmt: skip
    for model, machine in found:
        assert set(machine.states()) <= set(model.State.values)


# The way of a first registration


def test_an_application_becomes_a_code_and_the_resource_is_registered(office: Office) -> None:
    made = office.entered()
    today = timezone.localdate()
    assert made.state == "in_force"
    assert codes.is_valid(made.code)
    assert made.code == codes.code(codes.series("000000", today.year, "resource"), 1)
    assert (made.since, made.until) == (today, years_after(today, 3))
    assert office.now().state == "registered"
    assert Notice.objects.filter(party=office.people.holder, kind="registration.enter").exists()
    kinds = ["registration.opened", *(f"registration.{step}" for step in ("submit", "accept", "publish", "enter"))]
    found = Record.objects.filter(kind__startswith="registration.").order_by("id")
    assert [record.kind for record in found] == kinds


def test_each_clock_runs_in_working_days_from_the_day_of_its_step(office: Office) -> None:
    calendar, today = days.calendar(), timezone.localdate()
    made = registration.do_step(office.draft(), "submit", office.holder)
    assert made.due_on == calendar.end(today, 3)
    made = registration.do_step(made, "accept", office.clerk)
    assert made.due_on == calendar.end(today, 20)
    made = registration.do_step(made, "publish", office.clerk)
    assert made.due_on == calendar.end(today, 10)
    assert registration.do_step(noticed_enough(made), "enter", office.head).due_on is None


def test_a_clock_moves_when_a_day_becomes_a_holiday(office: Office) -> None:
    made = registration.do_step(office.draft(), "submit", office.holder)
    before = made.due_on
    days.do_edit(Day(day=before, worked=False, name="停工"), actor="registrar")
    assert acts.reset_clocks() == 1
    made.refresh_from_db()
    assert made.due_on > before
    assert acts.reset_clocks() == 0


def test_missing_material_is_asked_for_once_and_then_the_clock_starts_again(office: Office) -> None:
    made = registration.do_step(office.draft(), "submit", office.holder)
    made = registration.do_step(made, "ask", office.clerk, "缺少授权书")
    assert (made.state, made.due_on) == ("returned", None)
    made = registration.do_step(made, "submit", office.holder)
    assert made.due_on == days.calendar().end(timezone.localdate(), 3)
    assert code_of(registration.do_step, made, "ask", office.clerk, "还缺") == "asked_already"


def test_nothing_is_entered_before_the_notice_has_ended(office: Office) -> None:
    made = office.noticed()
    assert code_of(registration.do_step, made, "enter", office.head) == "notice_running"
    Registration.objects.filter(pk=made.pk).update(due_on=timezone.localdate())
    assert code_of(registration.do_step, made, "enter", office.head) == "notice_running"
    assert office.now().state == "draft"


# What an application needs


@pytest.mark.parametrize("what", list(What))
def test_an_application_without_one_of_its_items_names_it(office: Office, what: str) -> None:
    made = office.draft()
    made.items.filter(what=what).update(text="   ")
    with pytest.raises(Problem, match=str(What(what).label)) as refused:
        registration.do_step(made, "submit", office.holder)
    assert refused.value.code == "item_missing"
    made.refresh_from_db()
    assert made.state == "draft"


@pytest.mark.parametrize(
    ("day", "code"), [(None, "item_missing"), (date(2999, 1, 1), "evidence_too_late")], ids=["none", "later"]
)
def test_evidence_is_there_before_the_application(office: Office, day: date | None, code: str) -> None:
    made = office.draft(evidenced_on=day)
    assert code_of(registration.do_step, made, "submit", office.holder) == code


def test_core_data_never_enter_and_important_data_need_their_assessment(office: Office) -> None:
    made = office.draft()
    Resource.objects.filter(pk=office.resource.pk).update(data_class="core")
    assert code_of(registration.do_step, made, "submit", office.holder) == "data_core"
    Resource.objects.filter(pk=office.resource.pk).update(data_class="important")
    assert code_of(registration.do_step, made, "submit", office.holder) == "assessment_missing"
    Resource.objects.filter(pk=office.resource.pk).update(assessment=document(office))
    assert registration.do_step(made, "submit", office.holder).state == "applied"


# Who may


def test_a_step_is_for_the_party_it_is_for(office: Office) -> None:
    made = office.draft()
    assert code_of(registration.do_step, made, "submit", office.clerk) == "step_not_yours"
    made = registration.do_step(made, "submit", office.holder)
    for person in (office.holder, office.stranger, None):
        assert code_of(registration.do_step, made, "accept", person) == "step_not_yours"


def test_who_approves_has_that_duty(office: Office) -> None:
    made = noticed_enough(office.noticed())
    assert code_of(registration.do_step, made, "enter", office.clerk) == "step_not_yours"
    assert registration.do_step(made, "enter", office.head).state == "in_force"


def test_nobody_approves_what_they_submitted_themselves(office: Office) -> None:
    """One person with memberships on both sides."""
    for party in (office.people.holder, office.people.registrar):
        Membership.objects.create(user=office.stranger, party=party, duty=Membership.Duty.APPROVER)
    made = registration.do_step(office.draft(), "submit", office.stranger)
    made = registration.do_step(made, "accept", office.clerk)
    made = noticed_enough(registration.do_step(made, "publish", office.clerk))
    assert code_of(registration.do_step, made, "enter", office.stranger) == "step_own"


@pytest.mark.parametrize("name", ["enter", "publish", "revoke", "nonsense", ""])
def test_a_step_that_is_none_from_here_changes_nothing(office: Office, name: str) -> None:
    made = office.draft()
    before = Record.objects.count()
    assert code_of(registration.do_step, made, name, office.head) == "step_not_possible"
    assert Record.objects.count() == before


def test_what_is_declined_wants_a_reason(office: Office) -> None:
    made = registration.do_step(office.draft(), "submit", office.holder)
    assert code_of(registration.do_step, made, "decline", office.head, "  ") == "reason_missing"
    assert registration.do_step(made, "decline", office.head, "来源不合法").state == "declined"


def test_of_two_registrars_at_once_one_is_told_that_the_state_has_changed(office: Office) -> None:
    made = registration.do_step(office.draft(), "submit", office.holder)

    def accept(_: int) -> str:
        try:
            return registration.do_step(made, "accept", office.clerk).state
        except Problem as problem:
            return problem.code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(accept, range(4))) == ["accepted", *3 * ["step_not_possible"]]
    assert Record.objects.filter(kind="registration.accept").count() == 1


def test_one_application_at_a_time(office: Office) -> None:
    office.draft()
    assert code_of(office.draft) == "registration_open"


# Objections


def test_an_objection_holds_the_entry_until_it_is_dismissed(office: Office) -> None:
    made = office.noticed()
    objection = object_to(made, office)
    made = noticed_enough(made)
    assert code_of(registration.do_step, made, "enter", office.head) == "objection_open"
    assert code_of(registration.do_decide, objection, "dismiss", office.holder, "无据") == "step_not_yours"
    registration.do_decide(objection, "dismiss", office.clerk, "无据")
    assert registration.do_step(made, "enter", office.head).state == "in_force"


def test_a_founded_objection_ends_the_registration(office: Office) -> None:
    made = office.noticed()
    assert code_of(registration.do_step, made, "end", office.head, "异议成立") == "objection_missing"
    registration.do_decide(object_to(made, office), "uphold", office.clerk, "属实")
    made = noticed_enough(made)
    assert code_of(registration.do_step, made, "enter", office.head) == "objection_open"
    assert registration.do_step(made, "end", office.head, "异议成立").state == "ended"
    assert office.now().state == "draft"


def test_an_objection_has_a_name_and_comes_during_the_notice(office: Office) -> None:
    made = registration.do_step(office.draft(), "submit", office.holder)
    assert code_of(object_to, made, office) == "step_not_possible"
    made = registration.do_step(made, "accept", office.clerk)
    made = registration.do_step(made, "publish", office.clerk)
    nameless = Objection(registration=made, name=" ", contact="1", text="x", evidence=document(office))
    assert code_of(registration.do_object, nameless) == "item_missing"
    assert not Objection.objects.exists()


# After the entry


def test_a_change_keeps_code_and_end_and_a_correction_takes_the_short_way(office: Office) -> None:
    first = office.entered()
    changed = office.entered(kind=Kind.CHANGE, changes={"name_zh": "航班运行"})
    first.refresh_from_db()
    assert (first.state, changed.code, changed.until) == ("replaced", first.code, first.until)
    assert office.now().name_zh == "航班运行"
    made = registration.do_step(office.draft(Kind.CORRECTION, changes={"name_en": "Flights"}), "submit", office.holder)
    assert made.due_on == days.calendar().end(timezone.localdate(), 10)
    assert registration.do_step(made, "enter", office.head).state == "done"
    assert office.now().name_en == "Flights"
    assert registration.in_force_for(office.resource) == changed


def test_only_what_a_registration_is_about_can_be_changed(office: Office) -> None:
    office.entered()
    assert code_of(lambda: office.draft(Kind.CHANGE, changes={"state": "registered"})) == "field_invalid"


def test_a_cancelled_registration_ends_the_resource(office: Office) -> None:
    first = office.entered()
    made = registration.do_step(office.draft(Kind.CANCELLATION), "submit", office.holder)
    assert registration.do_step(made, "enter", office.head).state == "done"
    first.refresh_from_db()
    assert (first.state, office.now().state) == ("cancelled", "cancelled")


def test_false_material_is_revoked(office: Office) -> None:
    made = office.entered()
    assert code_of(registration.do_step, made, "revoke", office.clerk, "材料虚假") == "step_not_yours"
    assert registration.do_step(made, "revoke", office.head, "材料虚假").state == "revoked"
    assert office.now().state == "cancelled"


def test_renewal_is_in_the_last_sixty_days_and_adds_three_years(office: Office) -> None:
    first = office.entered()
    made = office.draft(Kind.RENEWAL)
    assert code_of(registration.do_step, made, "submit", office.holder) == "renewal_too_early"
    soon = timezone.localdate() + timedelta(days=59)
    Registration.objects.filter(pk=first.pk).update(until=soon)
    made = registration.do_step(made, "submit", office.holder)
    made = registration.do_step(made, "accept", office.clerk)
    made = noticed_enough(registration.do_step(made, "publish", office.clerk))
    made = registration.do_step(made, "enter", office.head)
    assert (made.code, made.until) == (first.code, years_after(soon + timedelta(days=1), 3))


def test_what_is_not_renewed_lapses(office: Office) -> None:
    made = office.entered()
    assert registration.lapse() == 0
    Registration.objects.filter(pk=made.pk).update(until=timezone.localdate() - timedelta(days=1))
    assert registration.lapse() == 1
    made.refresh_from_db()
    assert (made.state, office.now().state) == ("cancelled", "cancelled")


def test_another_registrys_entry_is_taken_over_under_its_code(office: Office) -> None:
    today = timezone.localdate()
    entry = Registration(
        resource=office.resource, registrant=office.people.holder, registrar=office.people.registrar
    )  # fmt: skip
    assert code_of(registration.do_adopt, entry, " ", today, today, None) == "field_invalid"
    registration.do_adopt(entry, "鲁-2025-17", today, today, None)
    assert office.now().state == "registered"
    assert registration.in_force_for(office.resource).code == "鲁-2025-17"


# Codes

REGIONS = st.integers(0, 999_999).map("{:06d}".format)
SERIES = st.builds(codes.series, REGIONS, st.integers(2000, 2999), st.sampled_from(["resource", "product"]))


@given(SERIES, st.integers(1, 999_999), st.data())
def test_a_code_with_a_wrong_or_two_swapped_characters_is_none(series: str, number: int, data: st.DataObject) -> None:
    code = codes.code(series, number)
    assert codes.is_valid(code)
    place = data.draw(st.integers(0, len(code) - 2))
    signs = list(code)
    if data.draw(st.booleans()):
        signs[place] = data.draw(st.sampled_from("0123456789PR"))
    else:
        signs[place], signs[place + 1] = signs[place + 1], signs[place]
    assert codes.is_valid("".join(signs)) is ("".join(signs) == code)


@given(st.text(max_size=40))
def test_any_text_is_a_code_or_not(text: str) -> None:
    assert codes.is_valid(text) in (True, False)


def test_a_series_counts_without_gaps_under_concurrency(office: Office) -> None:
    domain = office.resource.domain
    offices = []
    for number in range(4):
        resource = Resource(code=f"r{number}", name_zh="表", holder=office.people.holder, domain=domain)
        registry.do_create(resource, actor="test")
        offices.append(Office(office.people, resource, office.holder, office.clerk, office.head, office.stranger))
    waiting = [noticed_enough(each.noticed()) for each in offices]

    def enter(made: Registration) -> str:
        try:
            return registration.do_step(made, "enter", office.head).code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        given_out = sorted(pool.map(enter, waiting))
    series = codes.series("000000", timezone.localdate().year, "resource")
    assert given_out == [codes.code(series, number) for number in range(1, 5)]

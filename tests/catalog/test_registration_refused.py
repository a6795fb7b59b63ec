"""What registration refuses that no form offers: drafts edited behind its back, parties that may not, crossed paths."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from django.utils import timezone

from catalog import codes, registration
from catalog.models import Registration, Resource
from exchange.parties import acts
from exchange.parties.models import Accreditation, Party
from tests.catalog.test_registration import Kind, Office, code_of, noticed_enough, office  # noqa: F401

Change = dict[str, object]
WRONG: list[object] = [
    {"state": "registered"}, {"holder_id": "x"}, {"snapshot": None}, {"data_class": "secret"}, {"sector": "no sector"},
    {"name_zh": "x" * 201}, {"name_zh": ""}, ["name_zh"], "name_zh",
]  # fmt: skip


@pytest.mark.parametrize("changes", WRONG, ids=str)
def test_a_draft_edited_to_change_what_it_may_not_is_refused_at_its_submission(office: Office, changes: Change) -> None:  # noqa: F811
    office.entered()
    made = office.draft(Kind.CHANGE, changes={"name_zh": "航班运行"})
    Registration.objects.filter(pk=made.pk).update(changes=changes)
    assert code_of(registration.do_step, made, "submit", office.holder) == "field_invalid"


@pytest.mark.parametrize(("kind", "code"), [("first", "registration_open"), ("change", "registration_missing")])
def test_a_draft_edited_to_another_kind_is_refused_at_its_submission(office: Office, kind: str, code: str) -> None:  # noqa: F811
    if kind == "first":
        office.entered()
        made = office.draft(Kind.CHANGE, changes={"name_zh": "航班运行"})
    else:
        made = office.draft()
    Registration.objects.filter(pk=made.pk).update(kind=kind)
    assert code_of(registration.do_step, made, "submit", office.holder) == code


def test_a_change_whose_registration_was_revoked_meanwhile_is_not_entered(office: Office) -> None:  # noqa: F811
    first = office.entered()
    made = noticed_enough(office.noticed(kind=Kind.CHANGE, changes={"name_zh": "航班运行"}))
    registration.do_step(first, "revoke", office.head, "材料虚假")
    assert code_of(registration.do_step, made, "enter", office.head) == "registration_missing"
    assert office.now().name_zh == "航班"


def test_data_that_became_core_meanwhile_are_not_entered(office: Office) -> None:  # noqa: F811
    made = noticed_enough(office.noticed())
    Resource.objects.filter(pk=office.resource.pk).update(data_class="core")
    assert code_of(registration.do_step, made, "enter", office.head) == "data_core"


def test_a_cancelled_resource_may_be_registered_anew(office: Office) -> None:  # noqa: F811
    registration.do_step(office.entered(), "revoke", office.head, "材料虚假")
    again = office.entered()
    assert (again.state, office.now().state) == ("in_force", "registered")


def test_a_resource_that_its_holder_stopped_stays_stopped_when_it_is_renewed(office: Office) -> None:  # noqa: F811
    first = office.entered()
    Registration.objects.filter(pk=first.pk).update(until=timezone.localdate() + timedelta(days=9))
    Resource.objects.filter(pk=office.resource.pk).update(state="suspended")
    assert office.entered(kind=Kind.RENEWAL).state == "in_force"
    assert office.now().state == "suspended"


# Parties


def end(party: Party) -> None:
    """As if its accreditation had ended yesterday."""
    Accreditation.objects.filter(party=party).update(until=timezone.localdate() - timedelta(days=1))


def suspend(party: Party) -> None:
    Party.objects.filter(pk=party.pk).update(state="suspended")


@pytest.mark.parametrize("stop", [end, suspend])
def test_a_registrar_that_is_none_any_more_gets_no_application(office: Office, stop: Callable[[Party], None]) -> None:  # noqa: F811
    made = office.draft()
    stop(office.people.registrar)
    assert code_of(registration.do_step, made, "submit", office.holder) == "party_not_accredited"


def test_a_registrar_that_is_none_any_more_enters_nothing(office: Office) -> None:  # noqa: F811
    made = noticed_enough(office.noticed())
    end(office.people.registrar)
    assert code_of(registration.do_step, made, "enter", office.head) == "party_not_accredited"


def test_a_resource_is_registered_by_its_holder(office: Office) -> None:  # noqa: F811
    made = office.draft()
    Resource.objects.filter(pk=office.resource.pk).update(holder=office.people.neighbour)
    assert code_of(registration.do_step, made, "submit", office.holder) == "party_not_accredited"


def test_a_correction_may_be_asked_for_by_anybody_it_concerns(office: Office) -> None:  # noqa: F811
    office.entered()
    terms = {"registrant": office.people.stranger, "changes": {"name_en": "Flights"}}
    made = office.draft(Kind.CORRECTION, **terms)
    assert registration.do_step(made, "submit", office.stranger).state == "applied"


# Entries of other registries, codes, the clock


@pytest.mark.parametrize("code", ["", " ", "a/b", "..", "-1", "a b", "a?b", "x" * 61, "a\n"])
def test_a_code_that_is_no_part_of_an_address_is_not_adopted(office: Office, code: str) -> None:  # noqa: F811
    today, people = timezone.localdate(), office.people
    entry = Registration(resource=office.resource, registrant=people.holder, registrar=people.registrar)
    assert code_of(registration.do_adopt, entry, code, today, today, None) == "field_invalid"
    assert office.now().state == "draft"


def test_core_data_are_not_adopted_either(office: Office) -> None:  # noqa: F811
    today, people = timezone.localdate(), office.people
    office.resource.data_class = "core"
    entry = Registration(resource=office.resource, registrant=people.holder, registrar=people.registrar)
    assert code_of(registration.do_adopt, entry, "鲁-1", today, today, None) == "data_core"


def test_a_code_in_other_digits_is_none() -> None:
    good = codes.code(codes.series("370200", 2026, "resource"), 1)
    assert codes.is_valid(good)
    assert not codes.is_valid(good.translate({ord("0") + n: 0x0660 + n for n in range(10)}))
    with pytest.raises(ValueError, match="GB/T 2260"):
        codes.series("٣٧٠٢٠٠", 2026, "resource")


def test_what_can_not_lapse_holds_up_nothing_else(office: Office) -> None:  # noqa: F811
    first = office.entered()
    other = Resource.objects.create(
        code="other", name_zh="另一", holder=office.people.holder, domain=office.resource.domain
    )  # fmt: skip
    second = Office(office.people, other, office.holder, office.clerk, office.head, office.stranger).entered()
    yesterday = timezone.localdate() - timedelta(days=1)
    Registration.objects.filter(pk__in=[first.pk, second.pk]).update(until=yesterday)
    over = Registration.objects.filter(state="in_force").order_by("id")
    list(over)  # read before the first is ended by another worker
    registration.do_step(first, "cancel", None, "期满未续展")

    assert acts.take_all(over, lambda each: registration.do_step(each, "cancel", None, "期满未续展")) == 1
    second.refresh_from_db()
    assert second.state == "cancelled"

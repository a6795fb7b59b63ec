"""What whoever runs the exchange does to others: ends an accreditation, suspends a party and resumes it."""

from datetime import timedelta

from django.db import transaction
from django.utils import timezone

from exchange.errors import Problem
from exchange.parties import acts, notices
from exchange.parties.accreditation import platform
from exchange.parties.acts import By
from exchange.parties.models import Accreditation, Party


def do_make(thing: Party | Accreditation, by: By) -> Party | Accreditation:
    """Save what a superuser sets up without an application: to begin with, the party that runs the exchange."""
    person = acts.person_of(by)
    if person is None or not person.is_superuser:
        raise Problem("not_allowed")
    with transaction.atomic():
        thing.save(force_insert=True)
        acts.record(thing, f"{thing.machine.name}.made", by)
    return thing


def do_accreditation_step(accreditation: Accreditation, name: str, by: By, reason: str = "") -> Accreditation:
    """Take a step of machines.ACCREDITATION: its last day was yesterday. Raises Problem."""
    return acts.take(accreditation, name, by, reason, _end, _tell_end)[0]


def do_party_step(party: Party, name: str, by: By, reason: str = "") -> Party:
    """Take a step of machines.PARTY: suspended, it is nobody from the next request on. Raises Problem."""
    return acts.take(party, name, by, reason, _check_not_platform, _tell_state)[0]


def _end(accreditation: Accreditation) -> None:
    accreditation.until = timezone.localdate() - timedelta(days=1)


def _tell_end(accreditation: Accreditation) -> None:
    role = accreditation.get_role_display()
    notices.tell(
        accreditation.party, "accreditation", f"资格已终止：{role}", f"an accreditation has ended: {accreditation.role}"
    )  # fmt: skip


def _check_not_platform(party: Party) -> None:
    """Who runs the exchange can't lock itself out of it."""
    if party == platform():
        raise Problem("step_not_possible")


def _tell_state(party: Party) -> None:
    suspended = party.state == Party.State.SUSPENDED
    zh, en = ("主体已暂停", "the party is suspended") if suspended else ("主体已恢复", "the party is active again")
    notices.tell(party, "party", f"{party.name_zh}：{zh}", f"{party.name_en or party.name_zh}: {en}")

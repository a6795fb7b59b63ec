"""What parties may be: their accreditations, which have dates; ending one, and suspending a party."""

from datetime import date, timedelta

from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from exchange.errors import Problem
from exchange.parties import acts, notices
from exchange.parties.acts import By
from exchange.parties.models import Accreditation, Party, Role, User


def accredited(*roles: str, on: date | None = None) -> QuerySet[Party]:
    """The active parties that are accredited as one of `roles` on a day, else today; each once."""
    found = _in_force(on or timezone.localdate()).filter(role__in=roles)
    return Party.objects.filter(pk__in=found.values("party"), state=Party.State.ACTIVE)


def roles_of(user: User, on: date | None = None) -> frozenset[str]:
    """What the parties a person acts for are accredited as on a day, else today."""
    mine = _in_force(on or timezone.localdate()).filter(party__in=acts.parties_of(user))
    return frozenset(mine.values_list("role", flat=True))


def is_accredited(party: object, *roles: str, on: date | None = None) -> bool:
    """Whether the party, or the one with that id, is active and accredited as one of `roles` on a day."""
    return accredited(*roles, on=on).filter(pk=getattr(party, "pk", party)).exists()


def platform() -> Party | None:
    """The party that runs this exchange: it reviews who may be what. Of several the one that was so first."""
    found = _in_force(timezone.localdate()).filter(role=Role.PLATFORM, party__state=Party.State.ACTIVE)
    first = found.select_related("party").order_by("since", "pk").first()
    return first and first.party


def _in_force(day: date) -> QuerySet[Accreditation]:
    return Accreditation.objects.filter(Q(until=None) | Q(until__gte=day), since__lte=day)


def do_make(thing: Party | Accreditation, by: By) -> Party | Accreditation:
    """Save what a superuser sets up without an application: to begin with, the party that runs the exchange."""
    person = acts.person_of(by)
    if person is None or not person.is_superuser:
        raise Problem("not_allowed")
    with transaction.atomic():
        thing.save(force_insert=True)
        acts.record(thing, f"{thing.machine.name}.made", by)
    return thing


def do_step(accreditation: Accreditation, name: str, by: By, reason: str = "") -> Accreditation:
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
    if party.pk == party.platform_id:
        raise Problem("step_not_possible")


def _tell_state(party: Party) -> None:
    suspended = party.state == Party.State.SUSPENDED
    zh, en = ("主体已暂停", "the party is suspended") if suspended else ("主体已恢复", "the party is active again")
    notices.tell(party, "party", f"{party.name_zh}：{zh}", f"{party.name_en or party.name_zh}: {en}")

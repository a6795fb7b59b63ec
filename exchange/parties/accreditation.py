"""What parties may be: their accreditations, which have dates."""

from datetime import date

from django.db.models import Q, QuerySet
from django.utils import timezone

from exchange.parties.models import Accreditation, Party, Role


def accredited(*roles: str, on: date | None = None) -> QuerySet[Party]:
    """The active parties that are accredited as one of `roles` on a day, else today; each once."""
    found = _in_force(on or timezone.localdate()).filter(role__in=roles)
    return Party.objects.filter(pk__in=found.values("party"), state=Party.State.ACTIVE)


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

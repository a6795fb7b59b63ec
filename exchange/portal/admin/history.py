"""The history of an object as the log has it, with names for people."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import Model
from django.utils.translation import gettext_lazy as _

from exchange.audit import log
from exchange.audit.models import Record
from exchange.parties.acts import parties_of
from exchange.parties.models import Membership, User
from exchange.steps import BEARER, CLOCK

# What is done at no button.
DONE = {
    "opened": _("opened"), "edited": _("edited"), "created": _("created"), "changed": _("changed"),
    "adopted": _("taken over"), "cancel": _("cancelled"), "expire": _("expired"), "replace": _("replaced"),
    "made": _("made"), "sampled": _("sample questions asked"),
    "confirm": _("address confirmed"), "refer": _("referred to the party's administrator"),
    "document": _("document added"), "decided": _("decisions noted"), "submit": _("submitted"),
    "withdraw": _("withdrawn"), "lapse": _("lapsed"),
}  # fmt: skip


@dataclass(frozen=True)
class Entry:
    """One record: when, what was done and as which kind of record, by whom, and what it says."""

    id: str  # of the record
    time: datetime
    what: str
    kind: str
    actor: str
    state: str
    reason: str
    fields: str


def of(thing: Model, reader: User, labels: dict[str, Any]) -> list[Entry]:
    """What the log says of `thing`, newest first. Persons are named to their own party, else their party is."""
    found = log.history(thing.pk)
    names = _names({str(body.get("actor", "")) for _, body in found}, reader)
    return [_entry(thing, record, body, names, DONE | labels) for record, body in found]


def _entry(thing: Model, record: Record, body: dict[str, Any], names: dict[str, str], labels: dict[str, Any]) -> Entry:
    verb, actor = record.kind.rpartition(".")[2], str(body.get("actor", ""))
    columns = {
        field.name: str(field.verbose_name) for field in thing._meta.get_fields() if hasattr(field, "verbose_name")
    }
    fields = ", ".join(columns.get(name, name) for name in body.get("fields", ()))
    states = dict(thing._meta.get_field("state").choices or ()) if "state" in columns else {}
    return Entry(
        id=str(record.pk), time=record.time, what=str(labels.get(verb, verb)), kind=record.kind,
        actor=names.get(actor, actor), state=str(states.get(body.get("state"), body.get("state", ""))),
        reason=str(body.get("reason", "")), fields=fields,
    )  # fmt: skip


def _names(actors: set[str], reader: User) -> dict[str, str]:
    """What to call each actor that is a person; the clock stays the clock."""
    ids = [actor for actor in actors if len(actor) == 36 and actor != CLOCK]
    mine = set(parties_of(reader).values_list("pk", flat=True))
    names = {CLOCK: str(_("the clock")), BEARER: str(_("who opened the mailed link"))}
    for member in Membership.objects.filter(user__in=ids).select_related("user", "party").order_by("pk"):
        known = member.party_id in mine or reader.is_superuser
        names[str(member.user_id)] = str(member.user) if known else names.get(str(member.user_id), str(member.party))
    return names

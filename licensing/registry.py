"""Licences change by these functions only; each change is a record in the log."""

from django.db import transaction

from exchange.audit import log
from exchange.errors import Problem
from licensing import meters
from licensing.models import Licence, LicenceMeter

TRANSITIONS = {
    "in_force": frozenset({"draft", "suspended"}),
    "suspended": frozenset({"in_force"}),
    "ended": frozenset({"in_force", "suspended"}),
}


def do_create(licence: Licence, actor: str) -> None:
    """Save a new licence with its meter and log it, as the first of its numbered records."""
    with transaction.atomic():
        licence.save(force_insert=True)
        LicenceMeter.objects.create(licence=licence)
        _record(licence, "licence.created", actor, "")


def do_transition(licence: Licence, to: str, actor: str, reason: str = "") -> None:
    """Move a licence to state `to`. Raises Problem field_invalid where it may not go there."""
    with transaction.atomic():
        meters.lock(licence)
        state = Licence.objects.values_list("state", flat=True).get(pk=licence.pk)
        if state not in TRANSITIONS.get(to, frozenset()):
            raise Problem("field_invalid", f"from {state} to {to} is no step")
        Licence.objects.filter(pk=licence.pk).update(state=to)
        _record(licence, f"licence.{to}", actor, reason)
    licence.state = to


def do_change(licence: Licence, actor: str, fields: list[str]) -> None:
    """Save changed fields and log which. What was reserved before keeps the terms it was reserved under."""
    with transaction.atomic():
        licence.save(update_fields=fields)
        _record(licence, "licence.changed", actor, ", ".join(sorted(fields)))


def _record(licence: Licence, kind: str, actor: str, reason: str) -> None:
    number = meters.do_number_record(meters.lock(licence))
    body = {
        "v": 1, "licence": str(licence.pk), "product": licence.product.code, "buyer": str(licence.buyer_id),
        "actor": actor, "reason": reason,
    }  # fmt: skip
    log.append(kind, body, licence=licence.pseudonym, seq=number)

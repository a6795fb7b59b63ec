"""Licences change by these functions only; each change is a record in the log."""

from django.db import transaction
from django.db.models import Sum

from catalog.models import Version
from catalog.versions import live_version
from exchange.audit import log
from exchange.errors import Problem
from licensing import meters
from licensing.models import Licence, LicenceMeter

TRANSITIONS = {
    "in_force": frozenset({"draft", "suspended"}),
    "suspended": frozenset({"in_force"}),
    "ended": frozenset({"in_force", "suspended"}),
}


LIVE = ("in_force", "suspended")


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
        if to == "in_force":
            check_share(licence)
        if state == "draft" and not licence.review:
            licence.version = _live(licence)
        Licence.objects.filter(pk=licence.pk).update(state=to, version=licence.version)
        _record(licence, f"licence.{to}", actor, reason)
    licence.state = to


def do_change(licence: Licence, actor: str, fields: list[str]) -> None:
    """Save changed fields and log which. What was reserved before keeps the terms it was reserved under."""
    with transaction.atomic():
        if "share" in fields and licence.state in LIVE:
            check_share(licence)
        licence.save(update_fields=fields)
        _record(licence, "licence.changed", actor, ", ".join(sorted(fields)))


def do_succeed(licence: Licence, actor: str) -> None:
    """Give the licence what the product's live version has, also where that is more. Raises Problem version_missing,
    field_invalid for a licence that ended."""
    with transaction.atomic():
        meters.lock(licence)
        current = Licence.objects.get(pk=licence.pk)
        if current.state not in LIVE or current.review:
            raise Problem("field_invalid", f"a licence that is {current.state} is given nothing")
        licence.version = _live(licence)
        Licence.objects.filter(pk=licence.pk).update(version=licence.version)
        _record(licence, "licence.succeeded", actor, f"version {licence.version.number}")


def _live(licence: Licence) -> Version:
    live = live_version(licence.product)
    if live is None:
        raise Problem("version_missing")
    return live


def check_share(licence: Licence) -> None:
    """Raises Problem field_invalid unless the population's budget covers the licence's share beside all others.

    A share is a reservation: those of live licences, and what ended ones have spent, sum to at most the budget,
    so nobody can spend another's. On `private` every licence has one. Called inside the caller's transaction.
    """
    resource = licence.product.resource
    policy = resource.snapshot.policy if resource.snapshot else {}
    if not policy.get("budget"):
        return
    if not licence.share:
        if policy["profile"] == "private":
            raise Problem("field_invalid", "share: a licence of a private product reserves a part of the budget")
        return
    # Two licences at once: whoever comes second waits for the first's reservation.
    meters.lock_population(resource.domain, policy["population"], policy["budget"])
    others = Licence.objects.exclude(pk=licence.pk).filter(
        product__resource__domain=resource.domain,
        product__resource__snapshot__policy__population=policy["population"],
    )
    reserved = others.filter(state__in=LIVE).aggregate(sum=Sum("share"))["sum"] or 0
    reserved += others.filter(state="ended").aggregate(sum=Sum("meter__spent"))["sum"] or 0
    left = policy["budget"] - reserved
    if licence.share > left:
        raise Problem("field_invalid", f"share: {max(0, left)} of the population's budget are left to reserve")


def _record(licence: Licence, kind: str, actor: str, reason: str) -> None:
    number = meters.do_number_record(meters.lock(licence))
    body = {
        "v": 1, "licence": str(licence.pk), "product": licence.product.code, "buyer": str(licence.buyer_id),
        "actor": actor, "reason": reason,
    }  # fmt: skip
    log.append(kind, body, about=licence.pk, licence=licence.pseudonym, seq=number)

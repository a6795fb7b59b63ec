"""Authorizing by 27号: what must hold before each step of a plan and of an authorization, and what follows from it.

plan: draft → submitted → approved (collective decision) → filed
authorization: draft → submitted → signed → published, in force → suspended, ended, expired
"""

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone
from django.utils.translation import get_language

from catalog import agreements
from catalog.agreements import Scope
from catalog.covers import Mode
from catalog.models import Authorization, Plan
from exchange.errors import Problem
from exchange.parties import acts, notices
from exchange.parties.accreditation import is_accredited
from exchange.parties.models import Role, User

LIVE = ("submitted", "signed", "in_force", "suspended")


def do_open(thing: Plan | Authorization, by: User) -> Plan | Authorization:
    """Save a new plan or authorization as a draft. Raises Problem field_invalid for a code that is taken."""
    thing.state = thing.machine.first
    try:
        with transaction.atomic():
            thing.save(force_insert=True)
            acts.record(thing, f"{thing.machine.name}.opened", by)
    except IntegrityError:
        raise Problem("field_invalid", f"code: {thing.code}") from None
    return thing


def do_step(thing: Any, name: str, by: User | None, reason: str = "") -> Any:
    """Take a step of machines.PLAN or machines.AUTHORIZATION. Raises Problem."""
    key = (thing.machine.name, name)
    return acts.take(thing, name, by, reason, _BEFORE.get(key), _AFTER.get(key))[0]


def expire() -> int:
    """End what has run out; how many. For the worker: what covers is decided by the day, not by this."""
    over = Authorization.objects.filter(state__in=("in_force", "suspended"), until__lt=timezone.localdate())
    return acts.take_all(over, lambda each: do_step(each, "expire", None))


def scope_of(authorization: Authorization) -> Scope:
    return Scope(
        Mode(authorization.mode), authorization.since, authorization.until, authorization.sector,
        authorization.scenario.strip(), str(authorization.grantee_id or ""),
    )  # fmt: skip


def _check_plan(plan: Plan) -> None:
    _check_items(plan.items, agreements.PLAN_ITEMS)


def _check_decision(plan: Plan) -> None:
    """27号: a plan is decided collectively 三重一大; the minutes are there."""
    if plan.minutes_id is None:
        raise Problem("document_missing", str(Plan._meta.get_field("minutes").verbose_name))


def _check_filing(plan: Plan) -> None:
    if not plan.filing.strip():
        raise Problem("item_missing", str(Plan._meta.get_field("filing").verbose_name))


def _after_filing(plan: Plan) -> None:
    """27号: a major change repeats the approval; then the new plan takes the place of the old."""
    if plan.replaces is not None:
        do_step(plan.replaces, "replace", None)


def _check_agreement(authorization: Authorization) -> None:
    plan = authorization.plan
    if plan is None or plan.state != Plan.State.FILED or plan.mode != authorization.mode:
        raise Problem("plan_missing")
    _check_items(authorization.items, agreements.AGREEMENT_ITEMS)
    if agreements.too_long(authorization.since, authorization.until):
        raise Problem("agreement_too_long", f"{authorization.since} – {authorization.until}")
    if not authorization.selection or authorization.selected_by_id is None:
        raise Problem("selection_missing")
    _check_mode(authorization)
    _check_overlap(authorization)


def _check_mode(authorization: Authorization) -> None:
    """What a mode names is named: a zone its sector, a scenario its words, its grantee and its list."""
    match Mode(authorization.mode):
        case Mode.SECTOR if not authorization.sector:
            raise Problem("item_missing", str(Authorization._meta.get_field("sector").verbose_name))
        case Mode.SCENARIO:
            wanted = {
                "scenario": authorization.scenario.strip(),
                "grantee": authorization.grantee_id,
                "listed": authorization.listed.exists(),
            }
            lacking = [name for name, there in wanted.items() if not there]
            if lacking:
                names = (str(Authorization._meta.get_field(name).verbose_name) for name in lacking)
                raise Problem("item_missing", ", ".join(names))


def _check_overlap(authorization: Authorization) -> None:
    mine = scope_of(authorization)
    others = Authorization.objects.filter(state__in=LIVE, mode=authorization.mode).exclude(pk=authorization.pk)
    for other in others.filter(since__lte=authorization.until, until__gte=authorization.since):
        if agreements.overlap(mine, scope_of(other)):
            raise Problem("authorization_overlaps", other.code)


def _check_signing(authorization: Authorization) -> None:
    _check_agreement(authorization)
    if authorization.agreement_id is None:
        raise Problem("document_missing", str(Authorization._meta.get_field("agreement").verbose_name))
    if not is_accredited(authorization.operator_id, Role.OPERATOR):
        raise Problem("party_not_accredited", str(authorization.operator))


def _publish(authorization: Authorization) -> None:
    """27号: the implementing body publishes who was authorized to do what, in which scope, for how long."""
    authorization.published_on = authorization.published_on or timezone.localdate()


def _tell_operator(authorization: Authorization) -> None:
    name, state = authorization.name_zh, authorization.get_state_display()
    notices.tell(authorization.operator, "authorization", f"{name}：{state}", f"{name}: {authorization.state}")


def _check_items(items: Mapping[str, object], wanted: Mapping[str, tuple[str, str]]) -> None:
    """Raises Problem item_missing that names what is missing in the reader's language."""
    if lacking := agreements.missing(items, wanted):
        english = (get_language() or "").startswith("en")
        raise Problem("item_missing", "; ".join(wanted[key][english] for key in lacking))


_BEFORE: dict[tuple[str, str], Any] = {
    ("plan", "submit"): _check_plan,
    ("plan", "approve"): _check_decision,
    ("plan", "file"): _check_filing,
    ("authorization", "submit"): _check_agreement,
    ("authorization", "sign"): _check_signing,
    ("authorization", "publish"): _publish,
}
_AFTER: dict[tuple[str, str], Any] = {("plan", "file"): _after_filing} | {
    ("authorization", name): _tell_operator for name in ("publish", "suspend", "resume", "end", "expire")
}

"""Sub-licensing: the operator runs the first level and lets merchants develop on the second (管住一级、放活二级).

What a sub-licence covers is decided by the day and by its state at every query, as for the authorization above it.
"""

from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from catalog.covers import Mode
from catalog.models import Authorization, SubLicence
from exchange.errors import Problem
from exchange.parties import acts, notices
from exchange.parties.accreditation import is_accredited
from exchange.parties.acts import By
from exchange.parties.models import Role

LIVE = ("in_force", "suspended")


def do_open(sub_licence: SubLicence, by: By) -> SubLicence:
    """Save a draft. Raises Problem sub_licence_not_possible."""
    _check_mode(sub_licence)
    sub_licence.state = sub_licence.machine.first
    with transaction.atomic():
        sub_licence.save(force_insert=True)
        acts.record(sub_licence, "sub_licence.opened", by)
    return sub_licence


def do_step(sub_licence: SubLicence, name: str, by: By, reason: str = "") -> SubLicence:
    """Take a step of machines.SUB_LICENCE. Raises Problem, also sub_licence_there where the merchant has one."""
    try:
        return acts.take(sub_licence, name, by, reason, _BEFORE.get(name), _tell)[0]
    except IntegrityError:
        raise Problem("sub_licence_there") from None


def expire() -> int:
    """End what has run out; how many. For the worker: what covers is decided by the day, not by this."""
    over = SubLicence.objects.filter(state__in=LIVE, until__lt=timezone.localdate())
    return acts.take_all(over, lambda each: do_step(each, "expire", None))


def _check_mode(sub_licence: SubLicence) -> None:
    """A scenario names its one grantee; and an operator needs no licence of its own."""
    authorization = sub_licence.authorization
    if authorization.mode == Mode.SCENARIO or sub_licence.merchant_id == authorization.operator_id:
        raise Problem("sub_licence_not_possible")


def _check(sub_licence: SubLicence) -> None:
    """Within the authorization, which is in force, to an accredited merchant, with its contract."""
    _check_mode(sub_licence)
    authorization = sub_licence.authorization
    if authorization.state != Authorization.State.IN_FORCE:
        raise Problem("authorization_does_not_cover", authorization.code)
    if sub_licence.since < authorization.since or sub_licence.until > authorization.until:
        raise Problem("sub_licence_too_long", f"{authorization.since} – {authorization.until}")
    if not is_accredited(sub_licence.merchant_id, Role.MERCHANT):
        raise Problem("party_not_accredited", str(sub_licence.merchant))
    if sub_licence.contract_id is None:
        raise Problem("document_missing", str(SubLicence._meta.get_field("contract").verbose_name))


def _tell(sub_licence: SubLicence) -> None:
    if sub_licence.state not in ("draft", "submitted"):
        name, state = sub_licence.authorization.name_zh, sub_licence.get_state_display()
        notices.tell(
            sub_licence.merchant, "sub_licence", f"{name}：二级授权{state}",
            f"{sub_licence.authorization.name_en or name}: sub-licence {sub_licence.state}",
        )  # fmt: skip


_BEFORE: dict[str, Any] = {"submit": _check, "grant": _check}

"""What an authorization covers: three models, one rule.

Pure: no Django, no I/O. 27号 names the models; docs/authorization.md has the table of this function.
"""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum


class Mode(StrEnum):
    FULL = "full"  # 整体授权: every registered resource of the region, less the exclusions
    SECTOR = "sector"  # 分领域授权: the resources tagged with the sector, run as a zone
    SCENARIO = "scenario"  # 依场景授权: only the listed resources, for one scenario and one grantee


class Reason(StrEnum):
    """Why an authorization does not cover a request, in precedence order."""

    NOT_IN_FORCE = "authorization_not_in_force"
    NOT_YET = "authorization_not_yet_in_force"
    EXPIRED = "authorization_expired"
    NOT_REGISTERED = "resource_not_registered"
    EXCLUDED = "resource_excluded"
    OTHER_SECTOR = "resource_of_another_sector"
    NOT_LISTED = "resource_not_listed"
    OTHER_GRANTEE = "grantee_not_named"
    OTHER_PURPOSE = "purpose_not_named"


@dataclass(frozen=True, slots=True)
class Grant:
    """The facts of an authorization.

    `merchants` are those the operator sub-licensed (full and sector); `grantee` is the one party a scenario
    names. `purposes` empty means any purpose that a licence names. Days are Asia/Shanghai's, both inclusive.
    """

    mode: Mode
    in_force: bool
    since: date
    until: date
    operator: str
    sector: str = ""
    grantee: str = ""
    merchants: frozenset[str] = frozenset()
    listed: frozenset[str] = frozenset()
    excluded: frozenset[str] = frozenset()
    purposes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Item:
    """The facts of a resource."""

    code: str
    registered: bool
    sector: str = ""


def covers(grant: Grant, item: Item, purpose: str, grantee: str, day: date) -> Reason | None:
    """Why `grant` does not cover `item` for `purpose` by `grantee` on `day`; None where it does."""
    checks = (
        (Reason.NOT_IN_FORCE, not grant.in_force),
        (Reason.NOT_YET, day < grant.since),
        (Reason.EXPIRED, day > grant.until),  # 27号: an agreement runs at most 5 years
        (Reason.NOT_REGISTERED, not item.registered),  # 26号: what enters operation is registered
        (Reason.EXCLUDED, grant.mode is Mode.FULL and item.code in grant.excluded),
        (Reason.OTHER_SECTOR, grant.mode is Mode.SECTOR and item.sector != grant.sector),
        (Reason.NOT_LISTED, grant.mode is Mode.SCENARIO and item.code not in grant.listed),
        (Reason.OTHER_GRANTEE, not _may_act(grant, grantee)),
        (Reason.OTHER_PURPOSE, bool(grant.purposes) and purpose not in grant.purposes),
    )
    return next((reason for reason, fails in checks if fails), None)


def _may_act(grant: Grant, grantee: str) -> bool:
    if grant.mode is Mode.SCENARIO:
        return grantee == grant.grantee
    return grantee == grant.operator or grantee in grant.merchants

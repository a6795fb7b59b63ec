"""What a product is composed of, as a value: what of it is sound, what of two is stricter. Pure: no Django, no I/O."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from exchange.errors import Problem
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Role, Schema
from exchange.sandbox.terms import Terms

TERMS = ("use", "resource", "columns", "profile", "threshold", "rows", "rho", "merchant_share")
"""The fields that a version has of its own, and that a product has of its live version."""


@dataclass(frozen=True, slots=True)
class Composition:
    """The columns of a resource that may be asked, and under which disclosure control; `rows` and `rho` (micro-ρ)
    are of `private` only, `threshold` of `guarded`. `free` is what serves the public good (65号)."""

    columns: frozenset[str]
    profile: Profile
    threshold: int = 0
    rows: int = 0
    rho: int = 0
    free: bool = False

    @property
    def disclosure(self) -> Terms:
        """How disclosure is controlled for an order."""
        match self.profile:
            case Profile.OPEN:
                return Terms(Profile.OPEN.value)
            case Profile.GUARDED:
                return Terms(Profile.GUARDED.value, self.threshold)
            case Profile.PRIVATE:
                return Terms(Profile.PRIVATE.value, rows=self.rows, rho=self.rho)


def stricter(one: Composition, other: Composition) -> Composition:
    """What both allow: no column that one has not, no bound looser than one's; free where either is."""
    most = max(one.profile, other.profile, key=lambda profile: profile.strictness)
    private = [each for each in (one, other) if each.profile is Profile.PRIVATE] or [one, other]
    return replace(
        one,
        columns=one.columns & other.columns,
        profile=most,
        threshold=max(one.threshold, other.threshold),
        rows=min(each.rows for each in private),
        rho=min(each.rho for each in private),
        free=one.free or other.free,
    )


def check(made: Composition, schema: Schema, policy: Mapping[str, Any]) -> None:
    """Raises Problem unless `made` can be asked, and is no softer than the holder's policy as the node signed it."""
    known = {column.name: column for column in schema.columns}
    if unknown := sorted(made.columns - known.keys()):
        raise Problem("column_unknown", ", ".join(unknown))
    if not any(known[name].role is not Role.ENTITY for name in made.columns):
        raise Problem("item_missing", "columns")
    if made.profile.strictness < Profile(policy.get("profile", Profile.OPEN.value)).strictness:
        raise Problem("profile_too_weak", f"at least {policy['profile']}")
    if made.threshold < policy.get("threshold", 0):
        raise Problem("profile_too_weak", f"threshold: at least {policy['threshold']}")
    if made.profile is not Profile.OPEN:
        _check_protected(made, schema)
    if made.profile is Profile.PRIVATE:
        _check_private(made, policy)


def _check_protected(made: Composition, schema: Schema) -> None:
    """Cells are judged by their entities, so the entity is counted among the columns."""
    if schema.entity is None:
        raise Problem("product_not_queryable", "the resource names no protected entity")
    if schema.entity.name not in made.columns:
        raise Problem("item_missing", schema.entity.name)


def _check_private(made: Composition, policy: Mapping[str, Any]) -> None:
    """On `private` a query bounds an entity's rows and has a cost, of which the budget has at least one."""
    if not (made.rows and made.rho):
        raise Problem("field_invalid", "a private product has a privacy cost, and reads at least one row")
    if policy.get("profile") == Profile.PRIVATE and made.rho > policy["budget"]:
        raise Problem("field_invalid", f"rho: the population's whole budget is {policy['budget']}")


def changes(old: Composition, new: Composition) -> Iterator[tuple[str, str]]:
    """What `new` changes for who asks, in Chinese and in English."""
    for number, columns in enumerate((old.columns - new.columns, new.columns - old.columns)):
        if columns:
            named, (zh, en) = (
                ", ".join(sorted(columns)),
                (("减少列", "columns removed"), ("增加列", "columns added"))[number],
            )
            yield f"{zh}：{named}", f"{en}: {named}"
    words = {
        "profile": ("隐私级别", "profile"),
        "threshold": ("最少实体数", "least entities in a cell"),
        "rows": ("每实体读取行数", "rows of an entity"),
        "rho": ("查询隐私代价", "privacy cost of a query"),
        "free": ("公益免费", "free for the public good"),
    }
    for field, (zh, en) in words.items():
        before, after = getattr(old, field), getattr(new, field)
        if before != after:
            yield f"{zh}：{before} → {after}", f"{en}: {before} → {after}"

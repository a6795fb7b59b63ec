"""Changing the catalog: `check_` decides, `do_` writes, and every change is a record in the log.

Each `do_` runs in a transaction of its own unless the caller holds one.
"""

from typing import Any

from django.db import models, transaction

from catalog.models import Authorization, DataItem, Product, Resource
from exchange.audit import log
from exchange.errors import Problem
from exchange.money import BASIS_POINTS

# From which states each transition may start.
TRANSITIONS: dict[type[models.Model], dict[str, frozenset[str]]] = {
    Resource: {
        "registered": frozenset({"suspended"}),  # from a draft by catalog.registration only
        "suspended": frozenset({"registered"}),
    },
}

# What a resource is registered as (26号): with a registration in force, only a registration of change changes it.
REGISTERED = frozenset({"code", "holder", "domain", "name_zh", "name_en", "sector", "data_class"})


def do_transition(thing: Resource, to: str, actor: str, reason: str = "") -> None:
    """Move `thing` to state `to` and log it. Raises Problem field_invalid where it may not go there.

    The row is locked first, so of two people at once one is told that the state has changed.
    """
    with transaction.atomic():
        current = type(thing).objects.select_for_update(of=("self",)).get(pk=thing.pk)
        if current.state not in TRANSITIONS[type(thing)].get(to, frozenset()):
            raise Problem("field_invalid", f"{current.code}: from {current.state} to {to} is no step")
        type(thing).objects.filter(pk=thing.pk).update(state=to)
        log.append(f"{thing._meta.model_name}.{to}", _body(current, actor, state=to, reason=reason), about=thing.pk)
    thing.state = to


def shares(authorization: Authorization, merchant_share: int) -> dict[str, int]:
    """Who gets what of a product's revenue, in basis points; what nobody else gets is the operator's."""
    given = {
        "holder": authorization.holder_share,
        "merchant": merchant_share,
        "platform": authorization.platform_share,
    }
    return {"holder": given["holder"], "operator": BASIS_POINTS - sum(given.values())} | given


def do_create(thing: Resource | Authorization | Product | DataItem, actor: str) -> None:
    """Save a new object and log it."""
    with transaction.atomic():
        thing.save(force_insert=True)
        log.append(f"{thing._meta.model_name}.created", _body(thing, actor), about=thing.pk)


def do_change(thing: Resource | Authorization | Product | DataItem, actor: str, fields: list[str]) -> None:
    """Save changed fields and log which. Raises Problem registration_wanted for what a registration is about, and
    version_frozen for what only a version changes."""
    with transaction.atomic():
        if isinstance(thing, Resource):
            _check_free(thing, fields)
        if isinstance(thing, Product):
            _check_change(thing, fields)
        thing.save(update_fields=fields)
        log.append(f"{thing._meta.model_name}.changed", _body(thing, actor, fields=sorted(fields)), about=thing.pk)


def free_to_change(resource: Resource) -> bool:
    """Whether its holder may change what a registration is about, as none is in force."""
    return resource.state in (Resource.State.DRAFT, Resource.State.CANCELLED)


def _check_free(resource: Resource, fields: list[str]) -> None:
    current = Resource.objects.select_for_update(of=("self",)).get(pk=resource.pk)
    if not free_to_change(current) and (fixed := REGISTERED & set(fields)):
        raise Problem("registration_wanted", ", ".join(sorted(fixed)))


def _check_change(product: Product, fields: list[str]) -> None:
    """Raises Problem version_frozen: a product's terms change by a version (catalog.versions), and the rest of what
    buyers were told only until it was released; a name then by a registration of the change (26号)."""
    current = Product.objects.select_for_update(of=("self",)).get(pk=product.pk)
    names = {"name_zh", "name_en"} if current.version == 0 and current.state == Product.State.DRAFT else set()
    if frozen := sorted(set(fields) - names):
        raise Problem("version_frozen", ", ".join(frozen))


def _body(thing: Resource | Authorization | Product | DataItem, actor: str, **more: Any) -> dict[str, Any]:
    return {"v": 1, "id": str(thing.pk), "code": thing.code, "actor": actor} | more

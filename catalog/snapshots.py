"""What the exchange knows of a node's snapshots: asked by a signed order, kept as the node signed it."""

import json
import time
from functools import lru_cache
from uuid import UUID

from django.conf import settings
from django.db import transaction

from catalog.models import Column, Domain, Resource, Snapshot
from exchange.audit import keys, log
from exchange.crypto.keys import from_jwk
from exchange.errors import Problem
from exchange.ids import new_id
from exchange.sandbox.client import Node
from exchange.sandbox.orders import Order, OrderKind, Outcome
from exchange.sandbox.schema import Manifest, manifest_from_json

COLUMN_FIELDS = ("name", "kind", "role", "label_zh", "label_en")

_nodes: dict[tuple[str, str, str], Node] = {}


def node_of(domain: Domain) -> Node:
    """The connection to a domain's node, one per process."""
    at = (domain.node_url, domain.node_name, domain.node_jwk["x"])
    if at not in _nodes:
        _nodes[at] = Node(domain.node_url, domain.node_name, from_jwk(domain.node_jwk))
    return _nodes[at]


@lru_cache(maxsize=256)
def manifest_of(snapshot: UUID) -> Manifest:
    """A snapshot's manifest; a snapshot never changes, so a process reads it once."""
    return manifest_from_json(Snapshot.objects.values_list("manifest", flat=True).get(pk=snapshot))


def order_for(domain: Domain, kind: OrderKind, **fields: object) -> Order:
    """An order to a domain's node, good for `order_seconds` from now."""
    now = int(time.time())
    return Order(
        id=str(fields.pop("id", None) or new_id()),
        exchange=settings.SLUICE.name,
        node=domain.node_name,
        issued_at=now,
        expires_at=now + settings.SLUICE.order_seconds,
        kind=kind,
        **fields,  # type: ignore[arg-type]
    )


def refresh(resource: Resource, actor: str) -> Snapshot:
    """Ask the node which snapshot of `resource` is in service, and take it into service here.

    Raises Problem node_unreachable, node_untrusted, or the node's own refusal.
    """
    order = order_for(resource.domain, OrderKind.DESCRIBE, resource=resource.code)
    answer = node_of(resource.domain).execute(order, keys.current("order"))
    if answer.release.outcome is not Outcome.RELEASED:
        raise Problem(answer.release.code or "node_refused")
    described = json.loads(answer.result)
    manifest = manifest_from_json(described["manifest"])
    policy = described["policy"] | {"digest": answer.release.policy}
    return _take_up(resource, manifest.snapshot, described["manifest"], policy, answer.release_jws, actor)


def _take_up(resource: Resource, code: str, manifest: dict, policy: dict, release: str, actor: str) -> Snapshot:
    with transaction.atomic():
        snapshot = Snapshot.objects.create(
            resource=resource, code=code, manifest=manifest, policy=policy, release=release
        )
        Resource.objects.filter(pk=resource.pk).update(snapshot=snapshot)
        Column.objects.bulk_create(
            [
                Column(resource=resource, position=position, **{field: column[field] for field in COLUMN_FIELDS})
                for position, column in enumerate(manifest["schema"]["columns"])
            ],
            update_conflicts=True,
            unique_fields=["resource", "name"],
            update_fields=["position", "kind", "role", "label_zh", "label_en"],
        )
        log.append(
            "snapshot.taken_up",
            {"v": 1, "resource": resource.code, "snapshot": code, "policy": policy["digest"], "actor": actor},
        )
    resource.snapshot = snapshot
    return snapshot

"""Whether the node runs an order, judged again as if the exchange were hostile.

Pure: no Django, no I/O. What is refused depends on the order, the holder's policy, public metadata and the
journal, never on the data.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace

from exchange.crypto.canonical import digest
from exchange.crypto.jws import BadSignature
from exchange.errors import Problem
from exchange.sandbox import plan, query
from exchange.sandbox.frames import Shape
from exchange.sandbox.node import policy
from exchange.sandbox.node.home import Settings
from exchange.sandbox.node.policy import Policy, Population
from exchange.sandbox.orders import Joined, Order
from exchange.sandbox.query import AggregateQuery, Profile
from exchange.sandbox.schema import Manifest
from exchange.sandbox.terms import Terms

JOIN = re.compile(r"([a-z0-9_]{1,63}\.)?[a-z0-9][a-z0-9_-]{0,62}")  # its name, which stands in generated SQL
MOST_ID = 64
MOST_NUMBER = 2**53 - 1  # RFC 8785 §3.2.2.3


@dataclass(frozen=True, slots=True)
class Task:
    """An order that may run. `deadline` is in seconds from its start, 0.0 for none; `plan` names the query
    with its terms on its snapshot, to block it after an overrun; `resources` are all that it reads."""

    population: Population
    manifest: Manifest
    terms: Terms
    query: AggregateQuery
    shape: Shape
    deadline: float
    plan: str
    resources: tuple[str, ...]


def check_form(order: Order) -> None:
    """Raises BadSignature where a field is no value of the order's: names are ASCII, numbers what JSON and
    SQLite both can hold."""
    parts: list[Order | Terms | Joined] = [order, *order.joins]
    parts += [order.terms] if order.terms else []
    for part in parts:
        for field in fields(part):
            if not _fits(getattr(part, field.name), field.type):
                raise BadSignature(f"{field.name} is no {field.type}")
    columns = [*order.columns, *(name for each in order.joins for name in each.columns)]
    if not 0 < len(order.id) <= MOST_ID or not all(_fits(name, str) for name in columns):
        raise BadSignature("no order")


def _fits(value: object, wanted: object) -> bool:
    if wanted is int:
        return type(value) is int and 0 <= value <= MOST_NUMBER
    return wanted is not str or (type(value) is str and value.isascii())


def check_validity(order: Order, node: str, now: int) -> None:
    """Raises Problem node_refused for another node's order, or one that has expired (Unix seconds)."""
    if order.node != node:
        raise Problem("node_refused", "the order is for another node")
    if order.expires_at <= now:
        raise Problem("node_refused", "the order has expired")


def task(
    order: Order, law: Policy, manifest: Manifest, capacity: Settings, others: Mapping[str, Manifest] | None = None
) -> Task:
    """The task of a query order on the snapshot of `manifest`; `others` are those of its joins, by their names.

    Raises Problem with the codes of policy.check, query.joined and query.from_json.
    """
    population = policy.check(law, order, manifest.schema)
    terms = order.terms
    if terms is None:
        raise Problem("field_invalid", "a query names its terms")
    others = others or {}
    if population.profile is Profile.PRIVATE:  # how many rows there are is not public: the declared number rules
        manifest = replace(manifest, rows=policy.offered(law, order.resource).most_rows)
        declared = {each.name: policy.offered(law, each.resource).most_rows for each in order.joins}
        others = {
            name: replace(other, rows=declared[name]) if other.population and name in declared else other
            for name, other in others.items()
        }
    manifest = _joined(order, law, manifest, others)
    entity = manifest.schema.entity
    columns = {*order.columns, entity.name} if entity else set(order.columns)
    columns |= {f"{each.name}.{name}" for each in order.joins for name in each.columns}
    asked = query.from_json(order.query, manifest.schema.only(columns), terms)
    parts: dict[str, object] = {
        "query": order.query,
        "terms": asdict(terms),
        "resource": order.resource,
        "snapshot": order.snapshot,
    }
    if plan.memory(asked, manifest, terms, capacity.threads) > capacity.query_bytes:
        raise Problem("query_too_large", "the vaults' memory might not suffice, whatever the data")
    if order.joins:
        parts |= {"joins": [asdict(each) for each in order.joins]}
    return Task(
        population=population,
        manifest=manifest,
        terms=terms,
        query=asked,
        shape=plan.shape(asked, manifest, terms),
        deadline=plan.deadline(asked, manifest, terms, capacity.rows_per_second, capacity.start_ms),
        plan=digest(json.dumps(parts, sort_keys=True).encode()),
        resources=(order.resource, *(each.resource for each in order.joins)),
    )


def _joined(order: Order, law: Policy, manifest: Manifest, others: Mapping[str, Manifest]) -> Manifest:
    """`manifest` with what the order joins: what may be, by columns that are offered. Raises Problem."""
    joins, named = query.joins_from_json(order.query), {each.name: each for each in order.joins}
    if [join.name for join in joins] != sorted(named) or len(named) < len(order.joins):
        raise Problem("field_invalid", "an order names the snapshot of each join, once")
    for join in joins:
        each = named[join.name]
        policy.check_joined(law, order.resource, each)
        if not JOIN.fullmatch(join.name) or join.on not in order.columns or join.key not in each.columns:
            raise Problem("policy_refused", "a join is not by columns that are offered")
    return query.joined(manifest, joins, others)

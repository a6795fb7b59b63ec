"""The holder's law at the node, and whether an order keeps to it.

Pure: no Django, no I/O. Defence in depth: whatever the exchange decided, a compromised exchange cannot lower
a threshold, reach a column or overspend a population here.
"""

import hashlib
import tomllib
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from exchange.crypto.keys import from_jwk, to_jwk
from exchange.errors import Problem
from exchange.sandbox.node.home import NAME, BadConfiguration
from exchange.sandbox.orders import Joined, Order
from exchange.sandbox.query import Profile
from exchange.sandbox.schema import Schema
from exchange.sandbox.terms import Terms


@dataclass(frozen=True, slots=True)
class Population:
    """Whom a set of resources is about, and what may be learned of them, all licences together.

    `queries` is a hard number of queries (`guarded`; the levels of a ROLLUP and the filters of aggregates count as
    more). `rho` is the budget of `private` in micro-ρ, `rho_per_day` the most within 24 hours (0: no limit of its
    own); with `delta`, n for δ = 10⁻ⁿ, it is shown as (ε, δ). `dominance` and `p_ratio` are in basis points, as in
    `orders.Terms`. `least_batch` is the fewest entities, new or with new rows, that a file must add to a snapshot at
    once.
    """

    name: str
    profile: Profile
    entity: str = ""
    threshold: int = 0
    queries: int = 0
    dominance: int = 9000
    p_ratio: int = 1000
    rho: int = 0
    rho_per_day: int = 0
    delta: int = 9
    least_batch: int = 0

    @property
    def budget(self) -> int:
        """All that may ever be spent: micro-ρ on `private`, else queries; 0 is without limit."""
        return self.rho if self.profile is Profile.PRIVATE else self.queries

    @property
    def budget_per_day(self) -> int:
        return self.rho_per_day if self.profile is Profile.PRIVATE else 0

    def cost(self, terms: Terms, looks: int) -> int:
        """What a query under `terms` spends of the budget; `looks` as in plan.looks."""
        return terms.rho if self.profile is Profile.PRIVATE else looks


LEAST_BATCH = 10  # where a holder who protects an entity does not say


@dataclass(frozen=True, slots=True)
class Resource:
    population: Population
    columns: frozenset[str]
    most_rows: int = 0  # of a snapshot, declared; on `private` the real number is not public
    one_row: bool = False  # no entity has two rows; intake takes nothing else in
    joins: frozenset[str] = frozenset()  # resources of the population that may be joined to it by the entity


@dataclass(frozen=True, slots=True)
class Policy:
    resources: dict[str, Resource]
    exchanges: dict[str, Ed25519PublicKey]
    digest: str  # SHA-256 of policy.toml

    @property
    def keys(self) -> dict[str, Ed25519PublicKey]:
        """The exchanges' keys by key id."""
        return {to_jwk(key)["kid"]: key for key in self.exchanges.values()}

    @property
    def names(self) -> dict[str, str]:
        """The exchanges' names by key id."""
        return {to_jwk(key)["kid"]: name for name, key in self.exchanges.items()}


def parse(data: bytes) -> Policy:
    """The policy in the bytes of policy.toml. Raises BadConfiguration with the entry that is wrong."""
    try:
        document = tomllib.loads(data.decode())
    except ValueError as error:
        raise BadConfiguration(f"policy.toml: {error}") from error
    if unknown := document.keys() - {"populations", "resources", "exchanges"}:
        raise BadConfiguration(f"policy.toml: unknown table {min(unknown)!r}")
    populations = {name: _population(name, table) for name, table in _tables(document, "populations")}
    resources = {name: _resource(name, table, populations) for name, table in _tables(document, "resources")}
    for name, resource in resources.items():
        _check_joins(name, resource, resources)
    exchanges = {name: _exchange(name, table) for name, table in _tables(document, "exchanges")}
    return Policy(resources, exchanges, hashlib.sha256(data).hexdigest())


def check(policy: Policy, order: Order, schema: Schema) -> Population:
    """The population that `order` on a resource of `schema` spends from.

    Raises Problem in the precedence of exchange.errors. The number of queries is the journal's to count.
    """
    resource = offered(policy, order.resource)
    population = resource.population
    terms = order.terms
    if terms is None:
        raise Problem("field_invalid", "a query names its terms")
    if terms.profile not in set(Profile):
        raise Problem("field_invalid", "there is no such profile")
    if Profile(terms.profile).strictness < population.profile.strictness:
        raise Problem("profile_too_weak", f"at least {population.profile.value} is asked for")
    if Profile(terms.profile) is Profile.PRIVATE and not (terms.rows and terms.rho):
        raise Problem("field_invalid", "a private query bounds the rows of an entity, and has a cost")
    if _softer(terms, population):
        raise Problem("policy_refused", "the holder asks for a higher threshold or stricter dominance")
    if set(order.columns) - resource.columns - {population.entity}:
        raise Problem("policy_refused", "a column is not offered")
    entity = schema.entity.name if schema.entity else ""
    if population.profile is not Profile.OPEN and entity != population.entity:
        raise Problem("policy_refused", "the snapshot does not protect the population's entity")
    return population


def check_joined(policy: Policy, resource: str, joined: Joined) -> None:
    """Raises Problem unless a table may be joined to `resource`: it is about nobody, or the holder names it there;
    and its columns are offered."""
    other = offered(policy, joined.resource)
    nobody = other.population.profile is Profile.OPEN and not other.population.budget
    if not nobody and joined.resource not in offered(policy, resource).joins:
        raise Problem("join_not_allowed", "what is joined is open and its queries not limited, or the holder names it")
    if set(joined.columns) - other.columns - ({other.population.entity} - {""}):
        raise Problem("policy_refused", "a column is not offered")


def offered(policy: Policy, resource: str) -> Resource:
    """Raises Problem where the policy does not name `resource`."""
    try:
        return policy.resources[resource]
    except KeyError:
        raise Problem("policy_refused", "the resource is not offered") from None


def _softer(terms: Terms, population: Population) -> bool:
    if Profile(terms.profile) is not Profile.GUARDED:
        return False
    return (
        terms.threshold < population.threshold
        or terms.dominance > population.dominance
        or terms.p_ratio < population.p_ratio
    )


def _tables(document: dict[str, Any], kind: str) -> list[tuple[str, dict[str, Any]]]:
    tables = document.get(kind, {})
    if not isinstance(tables, dict):
        raise BadConfiguration(f"policy.toml: {kind} is no table")
    for name, table in tables.items():
        if not isinstance(table, dict) or not NAME.fullmatch(name):
            raise BadConfiguration(f"policy.toml: {kind}.{name} is no table, or its name is no good")
    return list(tables.items())


_POPULATION = {
    "profile": str, "entity": str, "threshold": int, "queries": int, "dominance": int, "p_ratio": int,
    "rho": int, "rho_per_day": int, "delta": int, "least_batch": int,
}  # fmt: skip


_RESOURCE = {"population": str, "columns": list, "most_rows": int, "one_row": bool, "joins": list}


def _population(name: str, table: dict[str, Any]) -> Population:
    where = f"policy.toml: populations.{name}"
    _typed(table, _POPULATION, where)
    try:
        profile = Profile(table.get("profile", ""))
        least = 0 if profile is Profile.OPEN else LEAST_BATCH
        population = Population(name=name, **{"least_batch": least} | table | {"profile": profile})
    except ValueError:
        raise BadConfiguration(f"{where}: profile is one of open, guarded, private") from None
    if population.profile is Profile.OPEN:
        return population
    budget = "rho" if population.profile is Profile.PRIVATE else "queries"
    if not population.entity or not population.budget:
        raise BadConfiguration(f"{where}: {population.profile.value} needs entity and {budget}")
    if not 5 <= population.delta <= 30:
        raise BadConfiguration(f"{where}: delta is n for a δ of 10 to the -n, 5 to 30")
    if population.profile is Profile.GUARDED and population.threshold < 2:
        raise BadConfiguration(f"{where}: guarded needs a threshold of at least 2")
    return population


def _resource(name: str, table: dict[str, Any], populations: dict[str, Population]) -> Resource:
    where = f"policy.toml: resources.{name}"
    _typed(table, _RESOURCE, where)
    if table.get("population") not in populations:
        raise BadConfiguration(f"{where}: population names none of the populations")
    columns, joins = table.get("columns", []), table.get("joins", [])
    if not columns or not all(isinstance(column, str) for column in columns):
        raise BadConfiguration(f"{where}: columns is a list of column names")
    if not all(isinstance(name, str) for name in joins):
        raise BadConfiguration(f"{where}: joins is a list of resources")
    population, most_rows = populations[table["population"]], table.get("most_rows", 0)
    if population.profile is Profile.PRIVATE and not most_rows:
        raise BadConfiguration(f"{where}: on private, most_rows declares how many rows a snapshot has at most")
    one_row = table.get("one_row", False)
    if one_row and population.profile is Profile.OPEN:
        raise BadConfiguration(f"{where}: one_row is about an entity, and nobody is protected here")
    return Resource(population, frozenset(columns), most_rows, one_row, frozenset(joins))


def _check_joins(name: str, resource: Resource, resources: dict[str, Resource]) -> None:
    """Raises BadConfiguration unless what may be joined by the entity is about the same, and has one row of each."""
    for joined in sorted(resource.joins):
        where, other = f"policy.toml: resources.{name}: joins: {joined}", resources.get(joined)
        if other is None or joined == name:
            raise BadConfiguration(f"{where} is no other resource")
        if other.population is not resource.population or not other.one_row:
            raise BadConfiguration(f"{where} is not of the same population with one_row")


def _exchange(name: str, table: dict[str, Any]) -> Ed25519PublicKey:
    where = f"policy.toml: exchanges.{name}"
    _typed(table, {"x": str}, where)
    try:
        return from_jwk({"kty": "OKP", "crv": "Ed25519", "x": table["x"]})
    except (KeyError, ValueError) as error:
        raise BadConfiguration(f"{where}: x is no Ed25519 public key") from error


def _typed(table: dict[str, Any], types: dict[str, type], where: str) -> None:
    for key, value in table.items():
        if key not in types:
            raise BadConfiguration(f"{where}: unknown setting {key!r}")
        if type(value) is not types[key]:
            raise BadConfiguration(f"{where}: {key} is no {types[key].__name__}")
        if isinstance(value, int) and value < 0:
            raise BadConfiguration(f"{where}: {key} is not negative")

"""What crosses between the planes: an order in, a release out, both JWS over canonical JSON.

No Django. An order names the node it is for (`aud`), its own id (`jti`) and when it expires (`exp`); the
node executes an id once. A release answers one order and is signed by the node.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from exchange.crypto import jws
from exchange.crypto.keys import SigningKey
from exchange.sandbox.terms import Terms

ORDER_TYPE = "sluice-order+jws"
RELEASE_TYPE = "sluice-release+jws"


class OrderKind(StrEnum):
    QUERY = "query"  # run an aggregate query
    DESCRIBE = "describe"  # the current manifest of a resource
    JOURNAL = "journal"  # the node's journal from a number on, for fsck


class Outcome(StrEnum):
    RELEASED = "released"
    NOT_EXECUTED = "not_executed"  # and never will be: the id is barred
    FAILED = "failed"  # executed without a result; costs what the query costs


@dataclass(frozen=True, slots=True)
class Joined:
    """What the join `name` of an order's query is with; `columns` as in Order."""

    name: str
    resource: str
    snapshot: str
    columns: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Order:
    id: str  # UUIDv7
    exchange: str  # iss
    node: str  # aud
    issued_at: int  # Unix seconds
    expires_at: int  # Unix seconds
    kind: OrderKind
    resource: str = ""
    snapshot: str = ""
    terms: Terms | None = None
    query: dict[str, Any] = field(default_factory=dict)  # query.to_json(AggregateQuery)
    columns: tuple[str, ...] = ()  # the product's columns; the query may name no others
    since: int = 0  # JOURNAL: entries with a larger number
    seen: str = ""  # QUERY: the population's latest release that the exchange has, as the node signed it
    joins: tuple[Joined, ...] = ()


@dataclass(frozen=True, slots=True)
class Release:
    order: str  # the order's id
    order_digest: str  # SHA-256 of the order's JWS
    exchange: str  # aud
    node: str  # iss
    outcome: Outcome
    code: str = ""  # of exchange.errors, where there is no result
    snapshot: str = ""
    policy: str = ""  # SHA-256 of the holder's policy in force
    result: str = ""  # SHA-256 of the result's bytes (an Arrow IPC stream, or canonical JSON)
    cells: int = 0  # cells charged
    suppressed: int = 0  # of them suppressed
    journal: int = 0  # the order's number in the node's journal
    population: str = ""
    spent: int = 0  # queries the population has spent, this one included
    issued_at: int = 0


def sign_order(order: Order, key: SigningKey) -> str:
    claims: dict[str, Any] = {name: getattr(order, name) for name in Order.__dataclass_fields__}
    claims["terms"] = asdict(order.terms) if order.terms else None
    claims |= {"jti": claims.pop("id"), "iss": claims.pop("exchange"), "aud": claims.pop("node")}
    claims |= {"iat": claims.pop("issued_at"), "exp": claims.pop("expires_at"), "v": 1}
    claims["columns"] = list(order.columns)
    joins = [asdict(join) | {"columns": list(join.columns)} for join in claims.pop("joins")]
    claims |= {"joins": joins} if joins else {}
    return jws.sign(claims, key, ORDER_TYPE)


def read_order(token: str, keys: Mapping[str, Ed25519PublicKey]) -> Order:
    """The order in `token`. Raises jws.BadSignature where it is not signed or not an order.

    Judges neither audience nor expiry: an id seen before is looked up first.
    """
    claims = jws.verify(token, keys, ORDER_TYPE)
    try:
        terms = claims["terms"]
        return Order(
            id=claims["jti"], exchange=claims["iss"], node=claims["aud"],
            issued_at=claims["iat"], expires_at=claims["exp"], kind=OrderKind(claims["kind"]),
            resource=claims["resource"], snapshot=claims["snapshot"],
            terms=Terms(**terms) if terms else None, query=claims["query"],
            columns=tuple(claims["columns"]), since=claims["since"], seen=claims["seen"],
            joins=tuple(Joined(**each | {"columns": tuple(each["columns"])}) for each in claims.get("joins", ())),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError) as error:
        raise jws.BadSignature("not an order") from error


def sign_release(release: Release, key: SigningKey) -> str:
    claims: dict[str, Any] = {name: getattr(release, name) for name in Release.__dataclass_fields__}
    claims |= {
        "iss": claims.pop("node"),
        "aud": claims.pop("exchange"),
        "iat": claims.pop("issued_at"),
        "v": 1,
    }
    return jws.sign(claims, key, RELEASE_TYPE)


def read_release(token: str, keys: Mapping[str, Ed25519PublicKey]) -> Release:
    """The release in `token`. Raises jws.BadSignature where it is not signed or not a release."""
    claims = jws.verify(token, keys, RELEASE_TYPE)
    try:
        names = {"node": "iss", "exchange": "aud", "issued_at": "iat"}
        fields = {name: claims[names.get(name, name)] for name in Release.__dataclass_fields__}
        return Release(**fields | {"outcome": Outcome(fields["outcome"])})
    except (KeyError, TypeError, ValueError) as error:
        raise jws.BadSignature("not a release") from error

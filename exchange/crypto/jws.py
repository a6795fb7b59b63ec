"""Compact JWS (RFC 7515) over canonical JSON, Ed25519 only, with a checked `typ`.

`typ` keeps one kind of signed thing from being taken for another: an order is not a receipt.
"""

import base64
import json
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from exchange.crypto.canonical import canonical
from exchange.crypto.keys import SigningKey

_JWS = jwt.PyJWS(algorithms=["EdDSA"])


class BadSignature(Exception):
    """The token is malformed, of another type, or not signed by a key we trust."""


def sign(payload: Mapping[str, Any], key: SigningKey, typ: str) -> str:
    """The compact JWS of `payload` with header `{alg: EdDSA, kid, typ}`."""
    return _JWS.encode(canonical(payload), key.private, algorithm="EdDSA", headers={"kid": key.kid, "typ": typ})


def verify(token: str, keys: Mapping[str, Ed25519PublicKey], typ: str) -> dict[str, Any]:
    """The payload of `token`, if a key in `keys` (by kid) signed it as `typ`; else raises BadSignature."""
    try:
        said = header(token)
        if said.get("typ") != typ:
            raise BadSignature(f"typ is not {typ}")
        payload = json.loads(_JWS.decode(token, keys[said["kid"]], algorithms=["EdDSA"]))
    except (jwt.PyJWTError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise BadSignature(type(error).__name__) from error
    if not isinstance(payload, dict):
        raise BadSignature("the payload is no object")
    return payload


def header(token: str) -> dict[str, Any]:
    """What `token` says of itself; true only once `verify` has passed. Raises BadSignature.

    Read here and not by PyJWT, which would decode and check the whole token for it.
    """
    first = token.partition(".")[0]
    try:
        said = json.loads(base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)))
    except (ValueError, RecursionError) as error:
        raise BadSignature(type(error).__name__) from error
    if not isinstance(said, dict):
        raise BadSignature("the header is no object")
    return said

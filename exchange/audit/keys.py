"""The exchange's own keys: private halves in var/keys, the history of public halves in the database.

A key's first use is itself a record in the log, so nobody slips in a key unseen.
"""

import os
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.conf import settings
from django.db import connection, transaction
from django.utils import timezone

from exchange.audit import log, notes
from exchange.audit.models import VerificationKey
from exchange.crypto.keys import SigningKey, from_jwk, load_or_create, to_jwk

PURPOSES = ("receipt", "order", "log")
_JOSE = ("receipt", "order")  # the log's key signs notes, never a JWS
_loaded: dict[str, tuple[int, SigningKey]] = {}
_registered: set[tuple[str, str]] = set()


def current(purpose: str) -> SigningKey:
    """The key that signs for `purpose` now; made, and its public half registered, at its first use.

    Raises ValueError for another purpose, a file that is no key, or a wrong passphrase.
    """
    key = _load(purpose)
    mark = (str(connection.settings_dict["NAME"]), key.kid)
    if mark not in _registered:
        with transaction.atomic():
            _register(purpose, key)
        transaction.on_commit(lambda: _registered.add(mark))
    return key


def rotate(purpose: str) -> SigningKey:
    """Put a fresh key into use; what the old one signed stays verifiable.

    Killed half way and run again, it goes on with the key it had made.
    """
    path = Path(_path(purpose))
    fresh = path.with_suffix(".next")
    with transaction.atomic():
        _register(purpose, load_or_create(fresh, settings.SLUICE.key_passphrase))
    fresh.replace(path)
    return current(purpose)


def jwks() -> dict[str, Any]:
    """The public keys of receipts and orders as a JWK set (RFC 7517), retired ones included."""
    for purpose in _JOSE:
        with transaction.atomic():
            _register(purpose, _load(purpose))
    history = VerificationKey.objects.filter(purpose__in=_JOSE).order_by("-since", "kid")
    return {"keys": [key.jwk for key in history]}


def log_vkey() -> str:
    """The verifier key of the log, as one line."""
    return notes.vkey(settings.SLUICE.origin, current("log").public)


def public(purpose: str) -> dict[str, Ed25519PublicKey]:
    """Every public key there was for `purpose`, by kid."""
    return {key.kid: from_jwk(key.jwk) for key in VerificationKey.objects.filter(purpose=purpose)}


def _path(purpose: str) -> str:
    """As text: every query comes by here, and a Path costs more than all the rest."""
    if purpose not in PURPOSES:
        raise ValueError(f"{purpose!r} is not one of {', '.join(PURPOSES)}")
    return f"{settings.SLUICE.var}/keys/{purpose}.pem"


def _load(purpose: str) -> SigningKey:
    """The key of the file, read again only after the file was replaced."""
    path = _path(purpose)
    try:
        stamp = os.stat(path).st_mtime_ns  # noqa: PTH116
    except FileNotFoundError:
        stamp = 0
    found = _loaded.get(path)
    if found is None or found[0] != stamp:
        key = load_or_create(Path(path), settings.SLUICE.key_passphrase)
        found = _loaded[path] = (stamp, key)  # the stamp from before: a file replaced meanwhile is read again
    return found[1]


def _register(purpose: str, key: SigningKey) -> None:
    jwk = to_jwk(key.public)
    _, fresh = VerificationKey.objects.get_or_create(
        kid=key.kid, defaults={"purpose": purpose, "jwk": jwk, "since": timezone.now()}
    )
    if fresh:
        log.append("key.registered", {"purpose": purpose, "jwk": jwk})

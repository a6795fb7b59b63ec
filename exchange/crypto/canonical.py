"""Canonical JSON (RFC 8785) and the two digests made from it."""

import hashlib
from typing import Any

import rfc8785


def canonical(value: Any) -> bytes:
    """`value` as RFC 8785 bytes. Raises ValueError for what JSON cannot say (NaN, huge integers)."""
    return rfc8785.dumps(value)


def digest(data: bytes) -> str:
    """SHA-256 of `data` in hex."""
    return hashlib.sha256(data).hexdigest()

"""Small secrets sealed at rest: AES-256-GCM, bound to what they belong to.

The key is derived (HKDF-SHA256, RFC 5869) from a private key file that signs nothing, so that files, passphrase and
first making are those of every other key.
"""

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from exchange.crypto.keys import SigningKey

_VERSION, _NONCE_BYTES = b"\x01", 12


def seal(key: SigningKey, secret: bytes, owner: bytes) -> bytes:
    """`secret` so that only `unseal` with the same key and `owner` opens it: version, nonce, ciphertext with tag."""
    nonce = os.urandom(_NONCE_BYTES)
    return _VERSION + nonce + _cipher(key).encrypt(nonce, secret, owner)


def unseal(key: SigningKey, sealed: bytes, owner: bytes) -> bytes:
    """Raises ValueError for another key, another owner, or what was altered."""
    if sealed[:1] != _VERSION:
        raise ValueError("sealed by another version")
    nonce, rest = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
    try:
        return _cipher(key).decrypt(nonce, rest, owner)
    except InvalidTag:
        raise ValueError("not sealed by this key for this owner") from None


def _cipher(key: SigningKey) -> AESGCM:
    kdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"sluice sealing v1")
    return AESGCM(kdf.derive(key.private.private_bytes_raw()))

"""Ed25519 keys: made, kept in files that only their owner reads, published as JWK."""

import base64
import hashlib
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from exchange.crypto.canonical import canonical


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private key with its key id, the RFC 7638 thumbprint of the public half."""

    private: Ed25519PrivateKey
    kid: str

    @property
    def public(self) -> Ed25519PublicKey:
        return self.private.public_key()


def b64url(data: bytes) -> str:
    """base64url without padding (RFC 7515 §2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def raw(key: Ed25519PublicKey) -> bytes:
    """The 32 bytes of a public key."""
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def to_jwk(key: Ed25519PublicKey) -> dict[str, str]:
    """The public key as a JWK (RFC 8037) with its thumbprint as `kid`."""
    members = {"crv": "Ed25519", "kty": "OKP", "x": b64url(raw(key))}
    kid = b64url(hashlib.sha256(canonical(members)).digest())
    return members | {"kid": kid, "alg": "EdDSA", "use": "sig"}


def from_jwk(jwk: dict[str, str]) -> Ed25519PublicKey:
    """The public key of a JWK. Raises ValueError for any other key type."""
    if jwk.get("kty") != "OKP" or jwk.get("crv") != "Ed25519":
        raise ValueError("only Ed25519 keys are used here")
    x = jwk["x"]
    return Ed25519PublicKey.from_public_bytes(base64.urlsafe_b64decode(x + "=" * (-len(x) % 4)))


def signing_key(private: Ed25519PrivateKey) -> SigningKey:
    return SigningKey(private, to_jwk(private.public_key())["kid"])


def load_or_create(path: Path, passphrase: bytes | None = None) -> SigningKey:
    """The key in `path` (PKCS #8 PEM, encrypted where a passphrase is given), made there if absent.

    The file is created with mode 0600 and never overwritten; two processes that race get the same key.
    Raises ValueError or TypeError where the file is no Ed25519 key or the passphrase does not open it.
    """
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if passphrase:
            encryption = serialization.BestAvailableEncryption(passphrase)
        pem = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        )
        _write_once(path, pem)
    private = serialization.load_pem_private_key(path.read_bytes(), passphrase or None)
    if not isinstance(private, Ed25519PrivateKey):
        raise ValueError(f"{path} holds no Ed25519 key")
    return signing_key(private)


def _write_once(path: Path, data: bytes) -> None:
    """Write `data` to a new file in full or not at all; leave an existing file alone."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # else a power cut may take the name away after the key has signed
    finally:
        os.close(folder)

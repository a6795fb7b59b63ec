"""Signed notes and checkpoints (C2SP signed-note, tlog-checkpoint), as the log writes them.

Pure: no Django, no I/O. Ed25519 signs the same bytes for the same text, so a checkpoint signed twice is one.
"""

import base64
import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from exchange.crypto.keys import SigningKey, raw

ED25519 = b"\x01"


def vkey(name: str, key: Ed25519PublicKey) -> str:
    """The verifier key by which others know a log: `name+hex(key id)+base64(type, public key)`."""
    public = base64.b64encode(ED25519 + raw(key)).decode()
    return f"{name}+{_key_id(name, key).hex()}+{public}"


def checkpoint(origin: str, size: int, root: bytes, key: SigningKey) -> str:
    """The signed checkpoint of a log of `size` leaves; the key's name is the origin."""
    text = f"{origin}\n{size}\n{base64.b64encode(root).decode()}\n"
    signature = base64.b64encode(_key_id(origin, key.public) + key.private.sign(text.encode())).decode()
    return f"{text}\n— {origin} {signature}\n"


def size_of(note: str) -> int:
    """The size a checkpoint states; its signature is not looked at. Raises ValueError where it is none."""
    lines = note.split("\n")
    if len(lines) < 5 or not (lines[1].isascii() and lines[1].isdecimal()):
        raise ValueError("not a checkpoint")
    return int(lines[1])


def _key_id(name: str, key: Ed25519PublicKey) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + ED25519 + raw(key)).digest()[:4]

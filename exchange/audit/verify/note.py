"""Signed notes and the checkpoints in them (C2SP signed-note, tlog-checkpoint)."""

import hashlib
from typing import NamedTuple

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .text import Failed, decimal, need, unbase64


class Checkpoint(NamedTuple):
    origin: str
    size: int
    root: bytes


class LogKey(NamedTuple):
    """A log's name and key, as its verifier key `name+hex(key id)+base64(type, key)` states them."""

    name: str
    id: bytes
    key: Ed25519PublicKey


def read_vkey(text: str) -> LogKey:
    parts = text.strip().split("+", 2)
    need(len(parts) == 3 and bool(parts[0]), "the verifier key is not name+id+key")
    name, stated, rest = parts
    public = unbase64(rest, "the verifier key")
    need(len(public) == 33 and public[:1] == b"\x01", "the verifier key is no Ed25519 key")
    found = hashlib.sha256(name.encode() + b"\n" + public).digest()[:4]
    need(found.hex() == stated, "the verifier key's id does not fit its name and key")
    return LogKey(name, found, Ed25519PublicKey.from_public_bytes(public[1:]))


def open_checkpoint(note: str, log: LogKey) -> Checkpoint:
    """The checkpoint of a signed note, if the log signed it; its origin is the log's name. Raises Failed."""
    text, blank, signatures = note.rpartition("\n\n")
    text += "\n"
    need(bool(blank) and signatures.endswith("\n"), "the checkpoint is no signed note")
    mine = [found for line in signatures[:-1].split("\n") if (found := _signature(line, log)) is not None]
    need(bool(mine), f"{log.name} has not signed the checkpoint with the given key")
    for signature in mine:
        try:
            log.key.verify(signature, text.encode())
        except InvalidSignature:
            raise Failed("the checkpoint's signature does not verify") from None
    lines = text.split("\n")
    need(len(lines) == 4, "the checkpoint has not three lines")
    need(lines[0] == log.name, f"the checkpoint is of {lines[0]}, the key of {log.name}")
    size, root = decimal(lines[1], "the checkpoint's size"), unbase64(lines[2], "the checkpoint's root")
    need(len(root) == 32, "the checkpoint's root has not 32 bytes")
    return Checkpoint(lines[0], size, root)


def _signature(line: str, log: LogKey) -> bytes | None:
    """The signature of a line `— name base64(id, signature)`, None where it is another key's."""
    parts = line.split(" ")
    need(len(parts) == 3 and parts[0] == "—", "the checkpoint has a malformed signature line")
    data = unbase64(parts[2], "a signature")
    return data[4:] if parts[1] == log.name and data[:4] == log.id else None

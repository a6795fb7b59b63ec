"""One receipt: its signature, the record it carries, the entry that commits to it, its place in the log."""

import hashlib
from collections.abc import Iterator
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from .entry import read_entry
from .note import LogKey, open_checkpoint
from .text import Failed, canonical, decimal, need, read_json, unbase64, unbase64url
from .tree import leaf_hash, root_by_proof

RECEIPT_TYPE = "sluice-receipt+jws"


def receipt_of(token: str, jwks: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """The payload of a receipt's JWS (RFC 7515) and its key id, if a key of the set signed it."""
    parts = token.strip().split(".")
    need(len(parts) == 3, "the receipt is no compact JWS")
    header = read_json(unbase64url(parts[0], "the receipt's header"), "the receipt's header")
    need(isinstance(header, dict) and set(header) == {"alg", "kid", "typ"}, "the receipt's header is not ours")
    need(header["alg"] == "EdDSA" and header["typ"] == RECEIPT_TYPE, "the JWS is no receipt")
    keys = [key for key in jwks["keys"] if key.get("kid") == header["kid"] and key.get("crv") == "Ed25519"]
    need(len(keys) == 1, f"the key set has not the key {header['kid']}")
    public = unbase64url(keys[0].get("x"), "the key")
    need(len(public) == 32, "the key is no Ed25519 key")
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(
            unbase64url(parts[2], "the receipt's signature"), f"{parts[0]}.{parts[1]}".encode()
        )
    except InvalidSignature:
        raise Failed("the receipt's signature does not verify") from None
    payload = read_json(unbase64url(parts[1], "the receipt's payload"), "the receipt's payload")
    need(isinstance(payload, dict) and payload.get("v") == 1, "the receipt is of another version")
    return payload, str(header["kid"])


def read_proof(text: str) -> tuple[int, list[bytes], str]:
    """Index, hashes and checkpoint of a `.tlog-proof`. Raises Failed."""
    head, blank, note = text.partition("\n\n")
    lines = head.split("\n")
    need(bool(blank) and lines[0] == "c2sp.org/tlog-proof@v1", "the proof is no tlog-proof@v1")
    if len(lines) > 1 and lines[1].startswith("extra "):
        del lines[1]  # unauthenticated, and we have no use for it
    need(len(lines) > 1 and lines[1].startswith("index "), "the proof names no index")
    siblings = [unbase64(line, "a hash of the proof") for line in lines[2:]]
    need(all(len(sibling) == 32 for sibling in siblings), "a hash of the proof has not 32 bytes")
    return decimal(lines[1][6:], "the proof's index"), siblings, note


def check_receipt(token: str, proof: str, log: LogKey, jwks: dict[str, Any]) -> Iterator[str]:
    """Sentences on what was found to hold, one by one. Raises Failed at the first that does not."""
    payload, kid = receipt_of(token, jwks)
    yield f"the receipt {payload.get('jti')} is signed by the key {kid}"
    need(payload.get("iss") == log.name, f"the receipt is from {payload.get('iss')}, the key of {log.name}")
    need(isinstance(payload.get("entry"), str), "the receipt carries no log entry")
    entry = read_entry(payload["entry"].encode())
    yield f"its log entry is of {entry['time']}, {entry['kind']}" + (
        f", number {entry['seq']} of licence {entry['licence']}" if entry["licence"] else ""
    )
    need(isinstance(payload.get("record"), dict), "the receipt carries no record")
    salt, commitment = (
        unbase64(payload.get("salt"), "the salt"),
        unbase64(entry["commitment"], "the commitment"),
    )
    need(len(salt) == 32, "the salt has not 32 bytes")
    salted = salt + canonical(payload["record"])
    need(hashlib.sha256(salted).digest() == commitment, "the record is not the one the entry commits to")
    yield "the entry commits to the record in the receipt"
    index, siblings, note = read_proof(proof)
    checkpoint = open_checkpoint(note, log)
    yield f"{log.name} signed a checkpoint of {checkpoint.size} entries"
    root = root_by_proof(index, checkpoint.size, leaf_hash(payload["entry"].encode()), siblings)
    need(root == checkpoint.root, "the proof does not lead to the checkpoint's root")
    yield f"the entry stands in that log at index {index}"

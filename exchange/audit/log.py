"""Appending to the log: a record, its salted body, and its turn with the sequencer."""

import base64
import hashlib
import json
import os
import re
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.transaction import TransactionManagementError
from django.utils import timezone

from exchange.audit.models import About, Record, RecordBody, Unsequenced
from exchange.crypto.canonical import canonical
from exchange.statements import insert

SALT_BYTES = 32
_PSEUDONYM = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KIND = re.compile(r"[a-z0-9_]+(\.[a-z0-9_]+)*")


def append(
    kind: str, body: dict[str, Any], *, about: UUID | None = None, licence: str | None = None, seq: int | None = None
) -> Record:
    """Record that something of `kind` (`order.refused`) happened, in the transaction in which it happens.

    `body` is what happened, JSON without floats; it stays private. `kind`, the time and, where the record
    belongs to a licence, its pseudonym and the number (1, 2, …) within it are public. `about` is the id of the
    object in whose history it stands.
    Raises TransactionManagementError outside a transaction, ValueError for a kind, number or body that the
    log cannot hold, IntegrityError where the licence has that number already.
    """
    if not transaction.get_connection().in_atomic_block:
        raise TransactionManagementError("a record is appended in the transaction of the change it records")
    if len(kind) > 64 or not _KIND.fullmatch(kind):
        raise ValueError(f"{kind!r} is no kind of record")
    if (licence is None) != (seq is None) or (seq is not None and seq < 1):
        raise ValueError("a licence numbers its records from 1, other records have no number")
    if licence is not None and not _PSEUDONYM.fullmatch(licence):
        raise ValueError(f"{licence!r} is no pseudonym of a licence")
    text, salt, now = canonical(body), os.urandom(SALT_BYTES), _now()
    entry = _entry(kind, now, licence, seq, salt + text)
    record = Record(kind=kind, time=now, licence=licence, seq=seq, entry=entry)
    content = RecordBody(record=record, body=text.decode(), salt=salt)
    of = [About(record=record, thing=about)] if about else []
    insert(record, content, Unsequenced(record_id=record.id), *of)
    return record


def history(thing: UUID, most: int = 200) -> list[tuple[Record, dict[str, Any]]]:
    """The newest records about an object, newest first, each with what was recorded."""
    found = Record.objects.filter(about__thing=thing).select_related("content").order_by("-id")[:most]
    return [(record, json.loads(record.content.body)) for record in found]


def entry_of(record: Record) -> bytes:
    """The record's leaf entry: public bytes that commit to its body."""
    entry: str = record.entry
    return entry.encode()


def _entry(kind: str, now: datetime, licence: str | None, seq: int | None, salted: bytes) -> str:
    """Canonical JSON by hand: the members stand in order, and none of the texts needs an escape."""
    commitment = base64.b64encode(hashlib.sha256(salted).digest()).decode()
    whose = f'"licence":"{licence}","seq":{seq}' if licence else '"licence":null,"seq":null'
    time = now.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return f'{{"commitment":"{commitment}","kind":"{kind}",{whose},"time":"{time}","v":1}}'


def _now() -> datetime:
    now: datetime = timezone.now()
    return now.replace(microsecond=now.microsecond // 1000 * 1000)

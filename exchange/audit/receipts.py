"""Receipts: a JWS that carries a record, its salt and its log entry to whom it concerns.

A receipt is a function of the record and the key, so it can be signed again after a crash and is the same.
"""

import base64
import json
from typing import Any

from exchange.audit.models import Record
from exchange.crypto import jws
from exchange.crypto.keys import SigningKey

RECEIPT_TYPE = "sluice-receipt+jws"


def payload(record: Record, issuer: str) -> dict[str, Any]:
    """What a receipt says. Raises RecordBody.DoesNotExist where the body was erased."""
    content = record.content
    return {
        "v": 1,
        "iss": issuer,
        "iat": int(record.time.timestamp()),
        "jti": str(record.id),
        "record": json.loads(content.body),
        "salt": base64.b64encode(bytes(content.salt)).decode(),
        "entry": record.entry,
    }


def sign(record: Record, key: SigningKey, issuer: str) -> str:
    """The receipt of a record as a compact JWS; `issuer` is the log's origin."""
    return jws.sign(payload(record, issuer), key, RECEIPT_TYPE)

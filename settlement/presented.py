"""How an answered query is shown: the buyer's columns, in the buyer's order and names."""

from typing import Any

import pyarrow as pa

from exchange.api import formats
from exchange.money import CURRENCY
from exchange.sandbox import budget
from exchange.sandbox.query import shown_from_json
from exchange.sandbox.shown import shown
from settlement import joined
from settlement.models import MeteredQuery
from settlement.prepared import Prepared


def table_of(query: MeteredQuery) -> pa.Table:
    """The release's table with the columns and rows the buyer asked for, and `status` last."""
    if query.release is None:
        raise ValueError("the query has no release yet")
    table = pa.ipc.open_stream(query.release.result).read_all()
    return shown(table, *shown_from_json(query.outputs))


def priced(prepared: Prepared) -> dict[str, Any]:
    """The JSON answer to what a question would cost."""
    chain, terms = prepared.chain, prepared.chain.disclosure
    document: dict[str, Any] = {
        "product": chain.product.code,
        "price": {"amount": prepared.price, "currency": CURRENCY},
        "cells": prepared.cells,
        "stored": prepared.stored is not None,
    }
    if terms.rho and chain.resource.snapshot:
        left = max(0, prepared.licence.share - chain.spent)
        cost, delta = 0 if prepared.stored else terms.rho, chain.resource.snapshot.policy["delta"]
        document["privacy"] = {"cost": budget.shown(cost, delta), "left": budget.shown(left, delta), "per": "entity"}
    return document


def document_of(query: MeteredQuery) -> dict[str, Any]:
    """The JSON answer. `rows` are lists in the order of `columns`; a suppressed cell has nulls."""
    table, usage = table_of(query), query.usage
    privacy = query.terms.get("privacy")
    rows = joined.of(query)
    more = {"privacy": budget.shown(*privacy)} if privacy else {}
    more |= {"joined": [{"product": row.product.code, "snapshot": row.snapshot} for row in rows]} if rows else {}
    return more | {
        "id": str(query.pk),
        "product": query.product.code,
        "snapshot": query.snapshot,
        "columns": [{"name": field.name, "type": str(field.type)} for field in table.schema],
        "rows": formats.rows(table),
        "cells": {"charged": usage.cells, "suppressed": query.release.suppressed if query.release else 0},
        "stored": query.stored,
        "price": {"amount": usage.amount, "currency": CURRENCY, "lines": usage.lines},
        "receipt": query.receipt.jws,
        "links": {
            "self": f"/v1/queries/{query.pk}",
            "release": f"/v1/queries/{query.pk}/release",
            "receipt": f"/v1/queries/{query.pk}/receipt",
            "proof": f"/v1/queries/{query.pk}/proof",
        },
    }

"""Result tables by content negotiation: JSON, CSV, Arrow IPC stream, Parquet."""

import io
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

ARROW = "application/vnd.apache.arrow.stream"
PARQUET = "application/vnd.apache.parquet"
CSV = "text/csv"
JSON = "application/json"


def to_arrow(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def to_parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pa.parquet.write_table(table, sink, compression="zstd")
    return sink.getvalue()


def to_csv(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pa.csv.write_csv(table, sink)
    return sink.getvalue()


WRITERS: dict[str, Callable[[pa.Table], bytes]] = {ARROW: to_arrow, PARQUET: to_parquet, CSV: to_csv}


def choose(accept: str) -> str | None:
    """The first format of `accept` that is offered, by its quality values; JSON where all are welcome."""
    wanted = sorted(_ranges(accept or "*/*"), key=lambda pair: -pair[1])
    for media_type, quality in wanted:
        if quality <= 0:
            continue
        if media_type in ("*/*", "application/*", JSON, "application/problem+json"):
            return JSON
        if media_type in WRITERS:
            return media_type
        if media_type == "text/*":
            return CSV
    return None


def rows(table: pa.Table) -> list[list[Any]]:
    """The rows as JSON values: decimals as strings, so that no digit is lost; dates as ISO strings."""
    columns = [[_plain(value) for value in column.to_pylist()] for column in table.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return str(value)
    return value.isoformat() if hasattr(value, "isoformat") else value


def _ranges(accept: str) -> list[tuple[str, float]]:
    found = []
    for part in accept.split(","):
        media_type, *parameters = (piece.strip() for piece in part.split(";"))
        quality = next((p[2:] for p in parameters if p.startswith("q=")), "1")
        try:
            found.append((media_type.lower(), float(quality)))
        except ValueError:
            continue
    return found

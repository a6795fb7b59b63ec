"""TPC-H lineitem: its schema for the node, and the questions that are put to it and to bare DuckDB."""

import subprocess
import sys
from pathlib import Path

from exchange.sandbox.schema import Column, Kind, Role, Schema, Value

ROWS_AT_1 = 6_001_215  # of lineitem at scale factor 1


def _dimension(name: str, *domain: Value) -> Column:
    return Column(name, Kind.STRING, Role.DIMENSION, domain, required=True)


SCHEMA = Schema(
    (
        Column("l_orderkey", Kind.INTEGER, Role.ENTITY),
        _dimension("l_returnflag", "A", "N", "R"),
        _dimension("l_linestatus", "F", "O"),
        _dimension("l_shipmode", "AIR", "FOB", "MAIL", "RAIL", "REG AIR", "SHIP", "TRUCK"),
        Column("l_quantity", Kind.INTEGER, Role.MEASURE, low=1, high=50),
        Column("l_discount", Kind.DECIMAL, Role.MEASURE, low=0, high=10, scale=2),
    ),
    row_key=("l_linenumber",),
)
GROUPS = "l_returnflag, l_linestatus, l_shipmode"
ASKED = f"SELECT {GROUPS}, COUNT(*), SUM(l_quantity), AVG(l_discount) FROM lineitem GROUP BY {GROUPS}"
BARE = ASKED.replace("FROM lineitem", "FROM {table}")
PREPARED = (  # the same on the integers that intake made; an average there is a sum and a count
    f"SELECT {GROUPS}, count(*), sum(l_quantity), sum(l_discount), count(l_discount) FROM {{table}} GROUP BY {GROUPS}"
)


def write(folder: Path, scale: float) -> Path:
    """lineitem at a scale factor, as Parquet in `folder`; kept there from one run to the next."""
    path = folder / f"lineitem-{scale:g}" / "lineitem.parquet"
    if not path.exists():
        program = Path(sys.executable).with_name("tpchgen-cli")
        draft = path.parent.with_name(f".{path.parent.name}")
        command = [program, "parquet", "-s", str(scale), "--tables=lineitem", "--output-dir", draft]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        draft.rename(path.parent)
    return path

"""Usage × tariff → lines. The amount of a query is the sum of its lines.

Pure: no Django, no I/O.
"""

from dataclasses import dataclass
from typing import Any

from licensing.tariff import Tariff


@dataclass(frozen=True, slots=True)
class Line:
    """`quantity` units of `what` at `unit_price` minor units each."""

    what: str
    quantity: int
    unit_price: int

    @property
    def amount(self) -> int:
        return self.quantity * self.unit_price

    def to_json(self) -> dict[str, Any]:
        return {"what": self.what, "quantity": self.quantity, "unit_price": self.unit_price}


def rate(tariff: Tariff, calls: int, cells: int) -> tuple[Line, ...]:
    """The lines of `calls` calls that were charged `cells` cells; parts that cost nothing have no line."""
    lines = (Line("call", calls, tariff.per_call), Line("cell", cells, tariff.per_cell))
    return tuple(line for line in lines if line.amount)


def total(lines: tuple[Line, ...]) -> int:
    """Minor units."""
    return sum(line.amount for line in lines)

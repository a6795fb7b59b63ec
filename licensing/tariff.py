"""What a licence charges. A tariff is a value; rating it is `settlement.rating`'s.

Pure: no Django, no I/O.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST = 10**12  # minor units; keeps every product of a tariff and a count inside 63 bits


@dataclass(frozen=True, slots=True)
class Tariff:
    """Minor units per call and per cell charged. Further parts (tiers, packages) come beside these."""

    per_call: int
    per_cell: int


FREE = Tariff(0, 0)
"""65号: public governance and public good are free, by rule and not by discount."""


def from_json(value: Mapping[str, Any]) -> Tariff:
    """Raises ValueError where `value` is no tariff; unknown parts are refused, not ignored."""
    unknown = set(value) - {"per_call", "per_cell"}
    if unknown:
        raise ValueError(f"unknown parts of a tariff: {', '.join(sorted(unknown))}")
    parts = (value.get("per_call", 0), value.get("per_cell", 0))
    for part in parts:
        if not isinstance(part, int) or isinstance(part, bool) or not 0 <= part <= MOST:
            raise ValueError("a tariff's parts are integers of minor units, not negative")
    return Tariff(*parts)

"""What looks alike, and why. Pure: no Django, no I/O.

Two resources look alike by their names, or by their columns. It is a hint for people: nothing is refused for it.
"""

from dataclasses import dataclass

NAME = 60  # of 100: from here on names are said to be alike
COLUMNS = 70
LEAST_COLUMNS = 3  # fewer in common say nothing


@dataclass(frozen=True, slots=True)
class Look:
    """What is compared of a resource: pairs and words of its names (`catalog.words`), the names of its columns."""

    code: str
    grams: frozenset[str]
    columns: frozenset[str]


def why(one: Look, other: Look) -> dict[str, int]:
    """In what respects two look alike, each as a share of 100; empty where in none.

    `name`: pairs in common of all pairs (Jaccard). `columns`: columns in common of those of the one with fewer.
    """
    found = {}
    if (name := _share(one.grams & other.grams, one.grams | other.grams)) >= NAME:
        found["name"] = name
    common = one.columns & other.columns
    fewer = min(one.columns, other.columns, key=len)
    if len(common) >= LEAST_COLUMNS and (columns := _share(common, fewer)) >= COLUMNS:
        found["columns"] = columns
    return found


def _share(part: frozenset[str], whole: frozenset[str]) -> int:
    return 100 * len(part) // len(whole) if whole else 0

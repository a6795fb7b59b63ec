"""How disclosure is controlled for one order. Pure: no Django, no I/O."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Terms:
    """How disclosure is controlled for this order; the holder's policy may be stricter, never softer.

    `threshold` is the least number of distinct entities in a cell; `dominance` (basis points) the most that
    the two largest entities may hold of a cell's absolute total; `p_ratio` (basis points) the least that the
    others must hold, of the largest. For `private`, `rows` is the most rows of an entity that a query reads, and
    `rho` what the query costs its population's budget, in micro-ρ (zero-concentrated differential privacy).
    """

    profile: str
    threshold: int = 0
    dominance: int = 9000
    p_ratio: int = 1000
    rows: int = 0
    rho: int = 0


def strictest(parts: Iterable[Terms]) -> Terms:
    """The terms of a query of several products, at least one: of each the stricter.

    Fewer rows of an entity tell less, and so does a smaller ρ; a profile without them (0) does not say.
    """
    every = list(parts)
    profiles = ("open", "guarded", "private")
    return Terms(
        profile=max((each.profile for each in every), key=profiles.index),
        threshold=max(each.threshold for each in every),
        dominance=min(each.dominance for each in every),
        p_ratio=max(each.p_ratio for each in every),
        rows=min((each.rows for each in every if each.rows), default=0),
        rho=min((each.rho for each in every if each.rho), default=0),
    )

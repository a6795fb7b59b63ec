"""How disclosure is controlled for one order. Pure: no Django, no I/O."""

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

"""Budgets of `private` populations, for people to read. Pure: no Django, no I/O.

What is counted is micro-ρ of zero-concentrated differential privacy, integers that simply add up.
"""

import math

MICRO = 1_000_000


def epsilon(micro_rho: int, delta: int) -> float:
    """The ε of `micro_rho` at δ = 10**-delta, rounded up to two digits after the point.

    ρ-zCDP implies (ρ + 2√(ρ ln(1/δ)), δ)-differential privacy (Bun and Steinke 2016, proposition 1.3).
    """
    rho = micro_rho / MICRO
    exact = rho + 2 * math.sqrt(rho * delta * math.log(10))
    return math.ceil(exact * 100) / 100


def shown(micro_rho: int, delta: int) -> dict[str, object]:
    """A cost as the API shows it."""
    return {"micro_rho": micro_rho, "epsilon": epsilon(micro_rho, delta), "delta": f"1e-{delta}"}

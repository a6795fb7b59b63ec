"""Money: integer minor units (fen) with a currency, and the one rounding rule.

Pure: no Django, no I/O. An amount is an `int` of minor units everywhere; floats never touch it.
"""

from collections.abc import Mapping

CURRENCY = "CNY"
BASIS_POINTS = 10_000


def split(amount: int, shares: Mapping[str, int]) -> dict[str, int]:
    """Divide `amount` (minor units, not negative) by `shares` (basis points that sum to 10,000).

    Largest remainder: each part is rounded down and the minor units left over go, one each, to the
    largest remainders, ties in the order of `shares`. The parts always sum to `amount`.
    Raises ValueError where the amount is negative or the shares do not sum to 10,000.
    """
    if amount < 0:
        raise ValueError("an amount to split is not negative")
    if sum(shares.values()) != BASIS_POINTS or any(share < 0 for share in shares.values()):
        raise ValueError("shares are not negative and sum to 10,000 basis points")
    parts = {name: amount * share // BASIS_POINTS for name, share in shares.items()}
    residue = amount - sum(parts.values())
    by_remainder = sorted(shares, key=lambda name: -(amount * shares[name] % BASIS_POINTS))
    for name in by_remainder[:residue]:
        parts[name] += 1
    return parts


def show(amount: int, currency: str = CURRENCY) -> str:
    """`1234` as `12.34 CNY`, for people."""
    sign, amount = ("-", -amount) if amount < 0 else ("", amount)
    return f"{sign}{amount // 100}.{amount % 100:02d} {currency}"

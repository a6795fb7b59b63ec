"""Registration codes 登记结果查询码. Pure: no Django, no I/O.

RRRRRR-YYYY-T-NNNNNN-CC: the region by GB/T 2260, the year of entry, R for a resource or P for a product, a number that
counts through the year, and two check digits by ISO 7064 MOD 97-10, which find every wrong or swapped character.
"""

import re

FORM = re.compile(r"([0-9]{6})-([0-9]{4})-([RP])-([0-9]{6})-([0-9]{2})")
KINDS = {"resource": "R", "product": "P"}


def series(region: str, year: int, kind: str) -> str:
    """The part of a code before its number. Raises ValueError for another kind or a region that is no code."""
    if not re.fullmatch(r"[0-9]{6}", region):
        raise ValueError(f"{region!r} is no region by GB/T 2260")
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is nothing that is registered")
    return f"{region}-{year:04d}-{KINDS[kind]}"


def code(series: str, number: int) -> str:
    """The code with that number. Raises ValueError beyond 999,999."""
    if not 0 < number < 1_000_000:
        raise ValueError("the series has no such number")
    body = f"{series}-{number:06d}"
    return f"{body}-{98 - _value(body) * 100 % 97:02d}"


def is_valid(text: str) -> bool:
    """Whether `text` is a code that could have been given."""
    return bool(FORM.fullmatch(text)) and _value(text) % 97 == 1


def _value(text: str) -> int:
    """The number a code stands for: R and P are 27 and 25, as ISO 7064 and IBAN read letters."""
    return int("".join(str(int(sign, 36)) for sign in text if sign != "-"))

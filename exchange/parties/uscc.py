"""Unified social credit codes 统一社会信用代码 (GB 32100-2015): 18 characters, the last one a check digit.

Pure: no Django, no I/O.
"""

ALPHABET = "0123456789ABCDEFGHJKLMNPQRTUWXY"
WEIGHTS = tuple(3**i % 31 for i in range(17))


def check_character(first17: str) -> str:
    """The 18th character (GB 32100-2015 §5.2, by GB/T 17710 MOD 31). Raises ValueError for bad characters."""
    total = sum(ALPHABET.index(c) * w for c, w in zip(first17, WEIGHTS, strict=True))
    return ALPHABET[-total % 31]


def is_valid(code: str) -> bool:
    """Whether `code` is well formed and its check digit holds."""
    return len(code) == 18 and all(c in ALPHABET for c in code) and check_character(code[:17]) == code[17]

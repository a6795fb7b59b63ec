"""What of a text is searched for. Pure: no Django, no I/O.

Chinese has no spaces between words, so its text is taken apart into pairs of neighbouring characters (航班延误: 航班,
班延, 延误); other scripts into words. Both without marks and case, full-width letters as the narrow ones.
"""

import re
import unicodedata
from dataclasses import dataclass

MOST_GRAMS = 24  # of one search; what a person types has fewer
LONGEST = 24  # characters of a word that are kept
# Han with its extensions, kana and Hangul are written without spaces, or nearly so.
_PART = re.compile(r"[぀-ヿ㐀-鿿가-힯豈-﫿\U00020000-\U0003ffff]+|[^\W_぀-ヿ㐀-鿿가-힯豈-﫿\U00020000-\U0003ffff]+")
_WORD = re.compile(r"[^\W_぀-ヿ㐀-鿿가-힯豈-﫿\U00020000-\U0003ffff]")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A search: at least `least` of its `grams` stand in what is found."""

    grams: tuple[str, ...]
    least: int


def grams(text: str) -> frozenset[str]:
    """Every pair and word of a text, and its single characters where they stand alone."""
    return frozenset(gram for part in _parts(text) for gram in _grams(part))


def wanted(text: str) -> Wanted | None:
    """What a person searches for; None where there is nothing in it to search for.

    Every word is wanted. Of a run of Chinese one pair in four may be missing, for pairs also form where two words meet:
    航班延误 finds 航班的延误 too, of which 班延 is no part.
    """
    found: dict[str, None] = {}
    least = 0
    for part in _parts(text):
        fresh = [gram for gram in dict.fromkeys(_grams(part)) if gram not in found][: MOST_GRAMS - len(found)]
        found |= dict.fromkeys(fresh)
        least += len(fresh) if _WORD.match(part) else len(fresh) - (len(fresh) + 1) // 4
    return Wanted(tuple(found), least) if found else None


def _parts(text: str) -> list[str]:
    return _PART.findall(unicodedata.normalize("NFKC", text).casefold())


def _grams(part: str) -> list[str]:
    if _WORD.match(part):
        return [_singular(part[:LONGEST])]
    return [part[at : at + 2] for at in range(len(part) - 1)] or [part]


def _singular(word: str) -> str:
    """English plurals are found by their singular: good enough for a catalog, and the same on both sides."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word

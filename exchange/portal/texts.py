"""Texts in the reader's language."""

from django.utils.translation import get_language

from exchange.errors import Problem
from exchange.parties.models import Named


def named(thing: Named) -> str:
    """A name in the reader's language, else in Chinese."""
    return (english() and thing.name_en) or thing.name_zh


def told(problem: Problem) -> str:
    """What went wrong, in the reader's language."""
    return f"{problem.title('en' if english() else 'zh')} {problem.detail}".strip()


def english() -> bool:
    return (get_language() or "").startswith("en")

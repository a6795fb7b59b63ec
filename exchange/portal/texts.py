"""Texts in the reader's language."""

from typing import Any

from django.utils.translation import get_language

from exchange.errors import Problem
from exchange.parties.models import Named


def named(thing: Named) -> str:
    """A name in the reader's language, else in Chinese."""
    return (english() and thing.name_en) or thing.name_zh


def described(thing: Any, what: str = "description") -> str:
    """A text of a thing, or of what JSON says of one, in the reader's language, else in the other."""
    said = thing if isinstance(thing, dict) else vars(thing)
    zh, en = said.get(f"{what}_zh") or "", said.get(f"{what}_en") or ""
    return (en or zh) if english() else (zh or en)


def told(problem: Problem) -> str:
    """What went wrong, in the reader's language."""
    return f"{problem.title('en' if english() else 'zh')} {problem.detail}".strip()


def english() -> bool:
    return (get_language() or "").startswith("en")

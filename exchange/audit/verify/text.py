"""JSON, its canonical form and base64, each in one right spelling only."""

import base64
import json
from typing import Any

LARGEST_INTEGER = 2**53 - 1  # RFC 8785 §3.2.2.3 with RFC 7493 §2.2


class Failed(Exception):
    """Something does not hold; the text says what."""


def need(holds: bool, text: str) -> None:
    if not holds:
        raise Failed(text)


def read_json(data: bytes | str, what: str) -> Any:
    """JSON without floats and without doubled names. Raises Failed."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        need(len({name for name, _ in pairs}) == len(pairs), f"{what} has a name twice")
        return dict(pairs)

    def no_float(text: str) -> Any:
        raise Failed(f"{what} has the number {text}; only integers are expected")

    try:
        return json.loads(data, object_pairs_hook=once, parse_float=no_float, parse_constant=no_float)
    except (ValueError, RecursionError) as error:
        raise Failed(f"{what} is no JSON: {error}") from None


def canonical(value: Any) -> bytes:
    """RFC 8785 for text, integers, truth values, null, lists and objects. Raises Failed for others."""
    try:
        return _canonical(value).encode()
    except (UnicodeEncodeError, RecursionError) as error:
        raise Failed(f"no canonical form: {error}") from None


def _canonical(value: Any) -> str:
    if value is None or isinstance(value, bool | str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, int):
        need(abs(value) <= LARGEST_INTEGER, f"{value} is too large an integer")
        return str(value)
    if isinstance(value, list):
        return "[" + ",".join(map(_canonical, value)) + "]"
    if isinstance(value, dict):
        names = sorted(value, key=lambda name: name.encode("utf-16-be"))
        return "{" + ",".join(f"{_canonical(name)}:{_canonical(value[name])}" for name in names) + "}"
    raise Failed(f"a {type(value).__name__} has no canonical form here")


def unbase64(text: Any, what: str) -> bytes:
    """Standard base64, in its one right spelling. Raises Failed."""
    try:
        data = base64.b64decode(text, validate=True)
    except (ValueError, TypeError):
        raise Failed(f"{what} is no base64") from None
    need(base64.b64encode(data).decode() == text, f"{what} is no proper base64")
    return data


def unbase64url(text: Any, what: str) -> bytes:
    """base64url without padding (RFC 7515 §2), in its one right spelling. Raises Failed."""
    need(isinstance(text, str) and not set("+/=") & set(text), f"{what} is no base64url")
    padded = text.replace("-", "+").replace("_", "/") + "=" * (-len(text) % 4)
    return unbase64(padded, what)


def decimal(text: str, what: str) -> int:
    """A number that is not negative, without leading zeroes. Raises Failed."""
    need(text.isascii() and text.isdecimal() and len(text) < 20, f"{what} is no number")
    need(str(int(text)) == text, f"{what} is no proper number")
    return int(text)

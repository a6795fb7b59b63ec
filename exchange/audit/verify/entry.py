"""Log entries: their form, and the numbers that licences give their records."""

from typing import Any

from .text import canonical, need, read_json, unbase64

MEMBERS = {"v", "time", "kind", "licence", "seq", "commitment"}


def read_entry(data: bytes) -> dict[str, Any]:
    """A log entry, checked for form. Raises Failed."""
    entry = read_json(data, "the entry")
    need(isinstance(entry, dict) and set(entry) == MEMBERS, "the entry has other members than ours")
    need(canonical(entry) == data, "the entry is not canonical JSON")
    need(entry["v"] == 1 and entry["v"] is not True, "the entry is of another version")
    need(isinstance(entry["time"], str) and isinstance(entry["kind"], str), "the entry has no time or kind")
    numbered = isinstance(entry["licence"], str) and type(entry["seq"]) is int and entry["seq"] >= 1
    need(numbered or (entry["licence"] is None and entry["seq"] is None), "the entry is wrongly numbered")
    need(len(unbase64(entry["commitment"], "the commitment")) == 32, "the commitment has not 32 bytes")
    found: dict[str, Any] = entry
    return found


class Numbering:
    """The numbers seen of each licence: together they must be 1, 2, … without a gap or a repeat."""

    def __init__(self) -> None:
        self._seen: dict[str, set[int]] = {}

    def add(self, entry: dict[str, Any]) -> None:
        if entry["licence"] is None:
            return
        seen = self._seen.setdefault(entry["licence"], set())
        need(entry["seq"] not in seen, f"licence {entry['licence']} has two records {entry['seq']}")
        seen.add(entry["seq"])

    def check(self) -> int:
        """The number of licences. Raises Failed where one has a gap."""
        for licence, seen in self._seen.items():
            lost = max(seen) - len(seen)
            need(not lost, f"licence {licence} has numbers up to {max(seen)}, but lacks {lost} of them")
        return len(self._seen)

"""Adopting what a restored journal has forgotten, by the releases that came back to the node."""

import sqlite3

from exchange.sandbox.node.home import BadConfiguration, Home
from exchange.sandbox.node.journal import Journal


def adopt(home: Home) -> list[str]:
    """Enter what is missing in the journal; a line for each population. The node may run. Raises BadConfiguration."""
    if not home.journal_file.exists():
        raise BadConfiguration(f"{home.root} has no journal")
    try:
        journal = Journal(home.journal_file)
        entries = journal.adopt()
        journal.close()
    except sqlite3.Error as error:
        raise BadConfiguration(f"{home.journal_file}: {error}") from error
    return [f"{entry.population}: {journal_line(entry.number, entry.spent)}" for entry in entries]


def journal_line(number: int, spent: int) -> str:
    return f"{spent} spent in all, journal number {number}" if spent else f"nothing more spent, journal number {number}"

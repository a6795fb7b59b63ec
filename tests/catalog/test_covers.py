"""One table: a row for each mode and reason."""

from dataclasses import replace
from datetime import date

import pytest

from catalog.covers import Grant, Item, Mode, Reason, covers

DAY = date(2026, 6, 1)
FULL = Grant(
    Mode.FULL, True, date(2026, 1, 1), date(2026, 12, 31), "operator",
    merchants=frozenset({"merchant"}), excluded=frozenset({"secret"}),
)  # fmt: skip
SECTOR = replace(FULL, mode=Mode.SECTOR, sector="transport", excluded=frozenset())
SCENARIO = replace(
    FULL, mode=Mode.SCENARIO, merchants=frozenset(), grantee="merchant", listed=frozenset({"flights"}),
    purposes=frozenset({"insurance"}),
)  # fmt: skip
FLIGHTS = Item("flights", True, "transport")
HOSPITALS = Item("hospitals", True, "medical")

TABLE = [
    ("full: a registered resource", FULL, FLIGHTS, "any", "merchant", DAY, None),
    ("full: one of another sector too", FULL, HOSPITALS, "any", "merchant", DAY, None),
    ("full: the operator itself", FULL, FLIGHTS, "any", "operator", DAY, None),
    ("full: excluded", FULL, Item("secret", True), "any", "merchant", DAY, Reason.EXCLUDED),
    ("full: not sub-licensed", FULL, FLIGHTS, "any", "stranger", DAY, Reason.OTHER_GRANTEE),
    ("full: not registered", FULL, Item("flights", False), "any", "merchant", DAY, Reason.NOT_REGISTERED),
    ("full: suspended", replace(FULL, in_force=False), FLIGHTS, "any", "merchant", DAY, Reason.NOT_IN_FORCE),
    ("full: the day before", FULL, FLIGHTS, "any", "merchant", date(2025, 12, 31), Reason.NOT_YET),
    ("full: the first day", FULL, FLIGHTS, "any", "merchant", date(2026, 1, 1), None),
    ("full: the last day", FULL, FLIGHTS, "any", "merchant", date(2026, 12, 31), None),
    ("full: the day after", FULL, FLIGHTS, "any", "merchant", date(2027, 1, 1), Reason.EXPIRED),
    ("sector: of the sector", SECTOR, FLIGHTS, "any", "merchant", DAY, None),
    ("sector: of another", SECTOR, HOSPITALS, "any", "merchant", DAY, Reason.OTHER_SECTOR),
    ("sector: without a tag", SECTOR, Item("flights", True), "any", "merchant", DAY, Reason.OTHER_SECTOR),
    ("sector: not admitted", SECTOR, FLIGHTS, "any", "stranger", DAY, Reason.OTHER_GRANTEE),
    ("sector: not registered", SECTOR, Item("x", False, "transport"), "any", "merchant", DAY, Reason.NOT_REGISTERED),
    ("sector: suspended", replace(SECTOR, in_force=False), FLIGHTS, "any", "merchant", DAY, Reason.NOT_IN_FORCE),
    ("scenario: listed, named, its purpose", SCENARIO, FLIGHTS, "insurance", "merchant", DAY, None),
    ("scenario: not listed", SCENARIO, HOSPITALS, "insurance", "merchant", DAY, Reason.NOT_LISTED),
    ("scenario: the operator, not the grantee", SCENARIO, FLIGHTS, "insurance", "operator", DAY, Reason.OTHER_GRANTEE),
    ("scenario: another purpose", SCENARIO, FLIGHTS, "marketing", "merchant", DAY, Reason.OTHER_PURPOSE),
    ("scenario: over", SCENARIO, FLIGHTS, "insurance", "merchant", date(2027, 1, 1), Reason.EXPIRED),
    ("scenario: without a grantee nobody may", replace(SCENARIO, grantee=""), FLIGHTS, "insurance", "merchant", DAY,
     Reason.OTHER_GRANTEE),
]  # fmt: skip


@pytest.mark.parametrize(("grant", "item", "purpose", "grantee", "day", "reason"), [row[1:] for row in TABLE],
                         ids=[row[0] for row in TABLE])  # fmt: skip
def test_an_authorization_covers(
    grant: Grant, item: Item, purpose: str, grantee: str, day: date, reason: Reason | None
) -> None:
    assert covers(grant, item, purpose, grantee, day) is reason


def test_every_reason_has_a_row() -> None:
    assert {row[-1] for row in TABLE} == {None, *Reason}

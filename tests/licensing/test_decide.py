"""Every refusal of `decide` in precedence order: a row breaks one thing and everything below it."""

from dataclasses import replace
from datetime import date

import pytest

from catalog.covers import Grant, Item, Mode
from exchange.errors import CODES
from licensing.decide import Allow, LicenceTerms, Offer, Refuse, Request, Usage, decide

DAY = date(2026, 6, 1)
GRANT = Grant(Mode.FULL, True, date(2026, 1, 1), date(2026, 12, 31), "operator", merchants=frozenset({"merchant"}))
OFFER = Offer(
    Item("flights", True), GRANT, "merchant", listed=True, queryable=True, strictness=1, threshold=10,
    least_strictness=1, least_threshold=10, has_snapshot=True,
)  # fmt: skip
TERMS = LicenceTerms(True, date(2026, 1, 1), date(2026, 12, 31), frozenset({"insurance"}), quota=5, share=3)
REQUEST = Request("insurance", DAY, price=100, fresh=True)
USAGE = Usage(calls=0, population_left=10, credit_left=1000)

# Each breaks one thing of (offer, terms, request, usage).
BREAKS = [
    ("resource_not_in_force", lambda o, t, r, u: (replace(o, item=Item("flights", False)), t, r, u)),
    (
        "authorization_not_in_force",
        lambda o, t, r, u: (replace(o, grant=replace(o.grant, in_force=False)), t, r, u),
    ),
    ("authorization_does_not_cover", lambda o, t, r, u: (replace(o, merchant="other"), t, r, u)),
    ("product_not_listed", lambda o, t, r, u: (replace(o, listed=False), t, r, u)),
    ("product_not_queryable", lambda o, t, r, u: (replace(o, queryable=False), t, r, u)),
    ("licence_not_in_force", lambda o, t, r, u: (o, t and replace(t, in_force=False), r, u)),
    ("purpose_not_allowed", lambda o, t, r, u: (o, t, replace(r, purpose="marketing"), u)),
    ("profile_too_weak", lambda o, t, r, u: (replace(o, threshold=9), t, r, u)),
    ("snapshot_missing", lambda o, t, r, u: (replace(o, has_snapshot=False), t, r, u)),
    ("quota_exhausted", lambda o, t, r, u: (o, t, r, replace(u, calls=5))),
    ("budget_exhausted", lambda o, t, r, u: (o, t, r, replace(u, spent=3))),
    ("population_exhausted", lambda o, t, r, u: (o, t, r, replace(u, population_left=0))),
    ("credit_exhausted", lambda o, t, r, u: (o, t, r, replace(u, credit_left=99))),
]


def test_it_allows_what_breaks_nothing() -> None:
    assert decide(OFFER, TERMS, REQUEST, USAGE) == Allow(100)


@pytest.mark.parametrize("first", range(len(BREAKS)), ids=[code for code, _ in BREAKS])
def test_of_several_refusals_the_first_is_given(first: int) -> None:
    arguments = (OFFER, TERMS, REQUEST, USAGE)
    for _, broken in reversed(BREAKS[first:]):
        arguments = broken(*arguments)
    verdict = decide(*arguments)
    assert isinstance(verdict, Refuse)
    assert verdict.code == BREAKS[first][0]


def test_the_order_is_that_of_the_table_of_codes() -> None:
    codes = [code for code, _ in BREAKS]
    assert codes == sorted(codes, key=list(CODES).index)


def test_without_a_licence_nothing_is_allowed() -> None:
    assert decide(OFFER, None, REQUEST, USAGE) == Refuse("licence_missing")


@pytest.mark.parametrize(
    ("day", "code"),
    [(date(2025, 12, 31), "licence_not_in_force"), (date(2027, 1, 1), "licence_not_in_force")],
)
def test_a_licence_ends_with_its_days(day: date, code: str) -> None:
    ever = replace(OFFER, grant=replace(GRANT, since=date(2000, 1, 1), until=date(2100, 1, 1)))
    verdict = decide(ever, TERMS, replace(REQUEST, day=day), USAGE)
    assert isinstance(verdict, Refuse)
    assert verdict.code == code


def test_a_stored_release_costs_the_population_nothing() -> None:
    spent = replace(USAGE, population_left=0)
    assert decide(OFFER, TERMS, replace(REQUEST, fresh=False), spent) == Allow(100)


def test_a_product_stricter_than_the_holders_policy_is_fine() -> None:
    assert decide(replace(OFFER, strictness=2, threshold=20), TERMS, REQUEST, USAGE) == Allow(100)


def test_a_purpose_the_authorization_does_not_name_is_refused_as_a_purpose() -> None:
    narrow = replace(OFFER, grant=replace(GRANT, purposes=frozenset({"research"})))
    assert decide(narrow, TERMS, REQUEST, USAGE) == Refuse("purpose_not_allowed")

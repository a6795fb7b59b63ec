"""27号: an operator takes no part, direct or indirect, in redeveloping what it delivers; nor reviews its own."""

from typing import Any

from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from catalog import redevelopment, versions
from exchange.parties.models import Accreditation, Membership, Role
from fixtures import city
from licensing import succession
from tests.catalog.shops import Shop, refused


def second_operator(shop: Shop) -> Any:
    """A scenario run by another operator, for the firm that is its grantee."""
    people = shop.people
    Accreditation.objects.create(party=people.neighbour, role=Role.OPERATOR, since=timezone.localdate())
    return lambda grantee: city.authorize(
        people, f"s-{grantee.credit_code[-4:]}".lower(), "scenario", operator=people.neighbour, scenario="核保",
        grantee=grantee, listed=[shop.resource],
    )  # fmt: skip


def firm(shop: Shop, controlled_by: Any = None) -> Any:
    party = shop.people.stranger
    Accreditation.objects.create(party=party, role=Role.MERCHANT, since=timezone.localdate())
    party.controlled_by = controlled_by
    party.save(update_fields=["controlled_by"])
    return party


def test_an_operator_does_not_redevelop_what_was_delivered_under_its_authorization(shop: Shop) -> None:
    base = shop.released()
    version = shop.draft("again", merchant=shop.people.operator, bases=[base])
    by = city.person(shop.people.operator)
    assert refused(versions.do_step, version, "submit", by) == "redevelopment_barred"


def test_nor_does_whom_it_controls_through_whatever_lies_between(shop: Shop) -> None:
    base, between = shop.released(), shop.people.buyer
    party = firm(shop, controlled_by=between)
    between.controlled_by = shop.people.operator
    between.save(update_fields=["controlled_by"])
    version = shop.draft("again", merchant=party, authorization=second_operator(shop)(party), bases=[base])
    assert refused(versions.do_step, version, "submit", city.person(party)) == "redevelopment_barred"


def test_nor_by_way_of_a_product_that_another_made_from_it(shop: Shop) -> None:
    base, party = shop.released(), firm(shop)
    middle = shop.released("middle", merchant=party, authorization=second_operator(shop)(party), bases=[base])
    version = shop.draft("again", merchant=shop.people.operator, bases=[middle])
    assert refused(versions.do_step, version, "submit", city.person(shop.people.operator)) == "redevelopment_barred"


def test_who_comes_under_the_operators_control_after_the_review_releases_nothing(shop: Shop) -> None:
    base, party = shop.released(), firm(shop)
    version = shop.approved(
        shop.draft("again", merchant=party, authorization=second_operator(shop)(party), bases=[base])
    )
    party.controlled_by = shop.people.operator
    party.save(update_fields=["controlled_by"])
    assert refused(succession.do_release, version, city.person(party)) == "redevelopment_barred"


def test_another_merchant_redevelops_and_a_circle_of_control_ends(shop: Shop) -> None:
    base, party = shop.released(), firm(shop, controlled_by=shop.people.buyer)
    shop.people.buyer.controlled_by = party
    shop.people.buyer.save(update_fields=["controlled_by"])
    made = shop.released("again", merchant=party, authorization=second_operator(shop)(party), bases=[base])
    assert made.offered


def test_a_product_is_not_made_from_itself(shop: Shop) -> None:
    product = shop.released()
    draft = versions.do_revise(product, shop.merchant)
    draft.bases.add(product)
    assert refused(versions.do_step, draft, "submit", shop.merchant) == "field_invalid"


def test_what_the_operator_makes_itself_the_implementing_body_reviews(shop: Shop) -> None:
    own = shop.draft(merchant=shop.people.operator)
    assert own.reviewer == shop.authorization.plan.body == shop.people.authority
    version = versions.do_step(own, "submit", shop.clerk)
    assert refused(versions.do_step, version, "approve", shop.head, "x") == "step_not_yours"
    head = city.verified(city.person(shop.people.authority, Membership.Duty.APPROVER))
    assert versions.do_step(version, "approve", head, "x").state == "approved"


def test_and_what_its_subsidiary_makes_too(shop: Shop) -> None:
    shop.people.merchant.controlled_by = shop.people.operator
    shop.people.merchant.save(update_fields=["controlled_by"])
    assert shop.draft().reviewer == shop.people.authority


# The rule itself

PARTIES = st.sampled_from("abcdef")


@given(PARTIES, st.dictionaries(PARTIES, PARTIES))
def test_whoever_controls_is_named_once_and_every_circle_ends(party: str, controlled_by: dict[str, str]) -> None:
    found = list(redevelopment.controllers(party, controlled_by))
    assert found[0] == party
    assert len(set(found)) == len(found)
    assert all(controlled_by[one] == other for one, other in zip(found, found[1:], strict=False))


@given(PARTIES, st.dictionaries(PARTIES, st.lists(PARTIES)))
def test_what_a_product_is_made_of_is_closed(product: str, bases: dict[str, list[str]]) -> None:
    found = redevelopment.closure(product, bases)
    assert {base for each in found | {product} for base in bases.get(each, ())} - {product} == found

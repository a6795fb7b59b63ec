"""What a licence has of a product's versions; and two people at one version at once."""

from hypothesis import given
from hypothesis import strategies as st

from catalog import versions
from catalog.composition import Composition, stricter
from catalog.models import Version
from exchange.audit.models import Record
from exchange.parties.models import Notice
from exchange.sandbox.query import Profile
from fixtures import city
from licensing import registry as licences
from licensing import succession
from tests.catalog.shops import COLUMNS, Shop, asked, refused, together, told


def test_a_narrower_version_narrows_a_licence_at_once_and_its_buyer_is_told_what_went(shop: Shop) -> None:
    product = shop.released()
    city.license_to(shop.people.buyer, product, ["insurance"])
    city.revise(product, columns=["carrier", "tailnum"], threshold=30)
    made = asked(shop, product)[0].composition
    assert (made.columns, made.threshold) == ({"carrier", "tailnum"}, 30)
    notice = Notice.objects.get(party=shop.people.buyer, kind="version.live")
    assert "columns removed: dep_delay, month, origin" in notice.text_en
    assert "10 → 30" in notice.text_zh


def test_a_wider_version_widens_a_licence_only_when_it_is_moved_there(shop: Shop) -> None:
    product = shop.released(columns=["carrier", "tailnum"], threshold=30)
    licence = city.license_to(shop.people.buyer, product, ["insurance"])
    city.revise(product, columns=COLUMNS, threshold=10)
    made = asked(shop, product)[0].composition
    assert (made.columns, made.threshold) == ({"carrier", "tailnum"}, 30)
    licences.do_succeed(licence, "test")
    made = asked(shop, product)[0].composition
    assert (made.columns, made.threshold) == (set(COLUMNS), 10)


def test_buyers_are_told_when_what_is_live_is_withdrawn(shop: Shop) -> None:
    product = shop.released()
    city.license_to(shop.people.buyer, product, ["insurance"])
    succession.do_withdraw(product.versions.get(), shop.merchant, "有误")
    assert "有误" in Notice.objects.get(party=shop.people.buyer, kind="version.withdrawn").text_zh
    assert not Notice.objects.filter(party=shop.people.stranger).exists()


def test_a_new_licence_has_the_live_version(shop: Shop) -> None:
    product = shop.released(columns=["carrier", "tailnum"])
    city.revise(product, columns=COLUMNS)
    city.license_to(shop.people.buyer, product, ["insurance"])
    assert asked(shop, product)[0].composition.columns == set(COLUMNS)


def test_a_licence_given_for_the_public_good_stays_free(shop: Shop) -> None:
    product = shop.released(use="public_good")
    city.license_to(shop.people.buyer, product, ["insurance"])
    city.revise(product, use="industry")
    assert asked(shop, product)[0].composition.free


def test_a_licence_that_ended_is_moved_nowhere(shop: Shop) -> None:
    licence = city.license_to(shop.people.buyer, shop.released(), ["insurance"])
    licences.do_transition(licence, "ended", "test")
    assert refused(licences.do_succeed, licence, "test") == "field_invalid"


MADE = st.builds(
    Composition, st.frozensets(st.sampled_from("abcd")), st.sampled_from(Profile), st.integers(0, 9), st.integers(1, 9),
    st.integers(1, 9), st.booleans(),
)  # fmt: skip


@given(MADE, MADE)
def test_the_stricter_of_two_allows_nothing_that_one_of_them_does_not(one: Composition, other: Composition) -> None:
    made = stricter(one, other)
    assert made == stricter(other, one)
    assert stricter(made, one) == made
    for each in (one, other):
        assert made.columns <= each.columns
        assert made.profile.strictness >= each.profile.strictness
        assert made.threshold >= each.threshold
        if each.profile is Profile.PRIVATE:
            assert (made.rows, made.rho) <= (each.rows, made.rho)
            assert made.rho <= each.rho


# Two at once


def test_of_two_releases_at_once_one_is_told_that_the_state_has_changed(shop: Shop) -> None:
    version = shop.approved(shop.draft())
    found = together(*[lambda: succession.do_release(version, shop.merchant)] * 4)
    assert sorted(found) == ["", *["step_not_possible"] * 3]
    assert Record.objects.filter(kind="version.release").count() == 1


def test_the_release_of_the_next_and_the_withdrawal_of_the_live_one_never_wait_in_a_circle(shop: Shop) -> None:
    product = shop.released()
    live, following = product.versions.get(), shop.approved(versions.do_revise(product, shop.merchant))
    found = together(
        lambda: succession.do_release(following, shop.merchant),
        lambda: versions.do_step(live, "withdraw", shop.merchant, "有误"),
    )
    assert found in (["", ""], ["", "step_not_possible"])
    product.refresh_from_db()
    assert product.version == 2
    assert product.versions.filter(state="live").get().number == 2


def test_an_edit_beside_a_submission_is_in_it_or_refused(shop: Shop) -> None:
    version = shop.draft()
    edited = Version.objects.get(pk=version.pk)
    edited.columns = ["carrier", "tailnum"]
    found = together(
        lambda: versions.do_step(version, "submit", shop.merchant),
        lambda: versions.do_edit(edited, shop.merchant, ["columns"]),
    )
    version.refresh_from_db()
    assert version.state == "submitted"
    assert found in (["", ""], ["", "version_frozen"])
    submitted = told("version.submit")["terms"]["columns"]
    assert submitted == sorted(version.columns) == (["carrier", "tailnum"] if found[1] == "" else sorted(COLUMNS))


def test_two_people_open_one_next_version(shop: Shop) -> None:
    product = shop.released()
    found = together(*[lambda: versions.do_revise(product, shop.merchant)] * 3)
    assert sorted(found) == ["", "version_open", "version_open"]

"""Versions of a product: composed, reviewed, released, frozen; and what a licence has of them."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from catalog import authorizing, registration, registry, versions
from catalog.models import Product, Registration, Resource, Version
from catalog.views import LISTED
from exchange.audit.models import Record
from exchange.parties.models import Accreditation, Membership, Notice
from fixtures import city
from licensing import succession
from licensing.chain import load_chain
from tests.catalog.shops import COLUMNS, Shop, asked, known, refused, told

# From draft to release


def test_a_version_is_composed_submitted_approved_and_released(shop: Shop) -> None:
    version = shop.draft(columns=["carrier", "tailnum"])
    assert (version.number, version.state, Product.objects.get().state) == (1, "draft", "draft")
    version = shop.approved(version)
    version = succession.do_release(version, shop.merchant)
    product = Product.objects.get()
    assert (version.state, product.version, product.columns) == ("live", 1, ["carrier", "tailnum"])
    assert not LISTED.exists()
    assert versions.do_product_step(product, "list", shop.merchant).offered
    assert LISTED.get() == product


def test_each_step_is_on_record_with_the_whole_terms_and_the_reason(shop: Shop) -> None:
    shop.released()
    kinds = set(Record.objects.filter(kind__startswith="version.").values_list("kind", flat=True))
    assert kinds == {"version.opened", "version.submit", "version.approve", "version.release"}
    assert told("version.approve")["reason"] == "样例已在他处审核"
    said = told("version.release")
    assert (said["code"], said["number"], said["terms"]["columns"]) == ("delays", 1, sorted(COLUMNS))
    assert told("product.list")["actor"] == str(shop.merchant.pk)


def test_only_the_reviewers_approver_approves_and_never_who_submitted(shop: Shop) -> None:
    version = versions.do_step(shop.draft(), "submit", shop.merchant)
    for person in (shop.merchant, shop.clerk, shop.stranger):
        assert refused(versions.do_step, version, "approve", person, "x") == "step_not_yours"
    Membership.objects.create(user=shop.merchant, party=shop.people.operator, duty=Membership.Duty.APPROVER)
    assert refused(versions.do_step, version, "approve", city.verified(shop.merchant), "x") == "step_own"
    assert refused(versions.do_step, version, "approve", shop.head.user, "x") == "second_factor_missing"
    assert versions.do_step(version, "approve", shop.head, "x").state == "approved"


@pytest.mark.parametrize("step", ["submit", "release", "withdraw"])
def test_only_the_merchant_submits_releases_and_withdraws(shop: Shop, step: str) -> None:
    version = shop.approved(shop.draft()) if step == "release" else shop.draft()
    for person in (shop.clerk, shop.head, shop.stranger):
        assert refused(versions.do_step, version, step, person) == "step_not_yours"


def test_without_a_sample_answer_the_reviewer_says_why(shop: Shop) -> None:
    version = versions.do_step(shop.draft(), "submit", shop.merchant)
    assert refused(versions.do_step, version, "approve", shop.head, " ") == "sample_missing"
    assert versions.do_step(version, "approve", shop.head, "节点停机").unsampled == "节点停机"


def test_what_is_sent_back_is_edited_and_comes_again_with_a_review_of_its_own(shop: Shop) -> None:
    version = versions.do_step(shop.draft(), "submit", shop.merchant)
    assert refused(versions.do_step, version, "send_back", shop.head) == "reason_missing"
    version = versions.do_step(version, "send_back", shop.head, "列太多")
    assert "列太多" in Notice.objects.filter(party=shop.people.merchant, kind="version.sent_back").get().text_zh
    version.columns = ["carrier", "tailnum"]
    versions.do_edit(version, shop.merchant, ["columns"])
    version = versions.do_step(version, "submit", shop.merchant)
    assert (version.submission, version.unsampled) == (2, "")
    assert refused(versions.do_step, version, "approve", shop.head) == "sample_missing"


def test_who_reviews_is_told(shop: Shop) -> None:
    versions.do_step(shop.draft(), "submit", shop.merchant)
    assert Notice.objects.filter(party=shop.people.operator, kind="version.submitted").exists()


def test_a_code_is_taken_once(shop: Shop) -> None:
    shop.draft()
    assert refused(shop.draft) == "field_invalid"
    assert Version.objects.count() == 1


# What is checked when it is submitted, and again when it is released

FAULTS: dict[str, tuple[dict[str, Any], str]] = {
    "a column that is not there": ({"columns": ["carrier", "tailnum", "salary"]}, "column_unknown"),
    "no columns": ({"columns": []}, "item_missing"),
    "nothing but the entity": ({"columns": ["tailnum"]}, "item_missing"),
    "no entity": ({"columns": ["carrier"]}, "item_missing"),
    "a softer threshold": ({"threshold": 9}, "profile_too_weak"),
    "a softer profile": ({"profile": "open"}, "profile_too_weak"),
    "private without a cost": ({"profile": "private"}, "field_invalid"),
    "private without rows": ({"profile": "private", "rho": 9, "rows": 0}, "field_invalid"),
    "shares above the whole": ({"merchant_share": 6501}, "field_invalid"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_sound_is_not_submitted(shop: Shop, fault: str) -> None:
    terms, code = FAULTS[fault]
    assert refused(versions.do_step, shop.draft(**terms), "submit", shop.merchant) == code


def test_a_resource_that_the_authorization_does_not_cover_is_not_submitted(shop: Shop) -> None:
    shop.authorization.excluded.add(shop.resource)
    assert refused(versions.do_step, shop.draft(), "submit", shop.merchant) == "authorization_does_not_cover"


def test_a_merchant_whose_accreditation_is_over_submits_nothing(shop: Shop) -> None:
    Accreditation.objects.filter(party=shop.people.merchant).update(until=timezone.localdate() - timedelta(days=1))
    assert refused(versions.do_step, shop.draft(), "submit", shop.merchant) == "party_not_accredited"


def test_what_held_at_the_submission_holds_again_at_the_release_and_the_listing(shop: Shop) -> None:
    version = shop.approved(shop.draft())
    clerk, head = (
        city.person(shop.people.authority),
        city.verified(city.person(shop.people.authority, Membership.Duty.APPROVER)),
    )
    authorizing.do_step(shop.authorization, "suspend", clerk, "检查")
    assert refused(succession.do_release, version, shop.merchant) == "authorization_does_not_cover"
    authorizing.do_step(shop.authorization, "resume", head)
    known(shop.resource, threshold=20)
    assert refused(succession.do_release, version, shop.merchant) == "profile_too_weak"
    known(shop.resource)
    succession.do_release(version, shop.merchant)
    authorizing.do_step(shop.authorization, "end", clerk, "期满")
    product = Product.objects.get()
    assert refused(versions.do_product_step, product, "list", shop.merchant) == "authorization_does_not_cover"


def test_a_product_delivered_elsewhere_needs_no_snapshot(shop: Shop) -> None:
    Resource.objects.update(snapshot=None)
    shop.resource.refresh_from_db()
    assert refused(versions.do_step, shop.draft(), "submit", shop.merchant) == "snapshot_missing"
    assert shop.released("report", kind="external", columns=[]).version == 1


# Frozen


def test_a_new_version_is_reviewed_beside_the_live_one_which_stays_as_it_is(shop: Shop) -> None:
    product = shop.released()
    draft = versions.do_revise(product, shop.merchant)
    assert (draft.number, draft.columns) == (2, COLUMNS)
    draft.columns, draft.threshold = ["carrier", "tailnum"], 20
    versions.do_edit(draft, shop.merchant, ["columns", "threshold"])
    for step in ("submit", "approve", "release"):
        product.refresh_from_db()
        assert (product.version, product.columns, product.threshold, product.state) == (1, COLUMNS, 10, "listed")
        by = shop.head if step == "approve" else shop.merchant
        draft = versions.do_step(draft, step, by, "无样例")
    product.refresh_from_db()
    assert (product.version, product.columns, product.threshold) == (2, ["carrier", "tailnum"], 20)
    assert product.versions.get(number=1).state == "replaced"


def test_one_version_is_made_at_a_time(shop: Shop) -> None:
    product = shop.released()
    draft = versions.do_revise(product, shop.merchant)
    assert refused(versions.do_revise, product, shop.merchant) == "version_open"
    versions.do_step(draft, "withdraw", shop.merchant)
    assert versions.do_revise(product, shop.merchant).number == 3


def test_only_its_merchant_opens_the_next_version(shop: Shop) -> None:
    assert refused(versions.do_revise, shop.released(), shop.clerk) == "step_not_yours"


def test_another_resource_is_another_product(shop: Shop) -> None:
    product = shop.released()
    other = city.register("rides", "飞行", "Rides", shop.people.holder, shop.resource.domain)
    known(other)
    draft = versions.do_revise(product, shop.merchant)
    draft.resource = other
    versions.do_edit(draft, shop.merchant, ["resource"])
    assert refused(versions.do_step, draft, "submit", shop.merchant) == "field_invalid"


@pytest.mark.parametrize("state", ["submitted", "approved", "live", "replaced", "withdrawn"])
def test_what_was_submitted_is_edited_by_nobody(shop: Shop, state: str) -> None:
    version = shop.draft()
    Version.objects.filter(pk=version.pk).update(state=state)
    version.columns = ["carrier", "tailnum", "distance"]
    assert refused(versions.do_edit, version, shop.merchant, ["columns"]) == "version_frozen"
    version.refresh_from_db()
    assert version.columns == COLUMNS


@pytest.mark.parametrize("field", ["columns", "threshold", "use", "merchant_share", "name_zh", "code", "version"])
def test_the_registry_changes_nothing_of_a_released_product(shop: Shop, field: str) -> None:
    product = shop.released()
    before = getattr(product, field)
    setattr(product, field, {"columns": ["carrier"], "use": "public_good"}.get(field, 7))
    assert refused(registry.do_change, product, "test", [field]) == "version_frozen"
    product.refresh_from_db()
    assert getattr(product, field) == before


def test_the_line_of_a_product_is_edited_with_its_first_version_only(shop: Shop) -> None:
    draft = shop.draft()
    draft.product.name_zh = "延误"
    versions.do_edit(draft, shop.merchant, [], ["name_zh"])
    assert Product.objects.get().name_zh == "延误"
    succession.do_release(shop.approved(draft), shop.merchant)
    draft = versions.do_revise(Product.objects.get(), shop.merchant)
    draft.product.name_zh = "别名"
    assert refused(versions.do_edit, draft, shop.merchant, [], ["name_zh"]) == "version_frozen"


# Listed, suspended, delisted


def test_nothing_is_listed_without_a_live_version(shop: Shop) -> None:
    product = shop.draft().product
    assert refused(versions.do_product_step, product, "list", shop.merchant) == "version_missing"


def test_who_suspends_says_why_and_the_reviewer_resumes(shop: Shop) -> None:
    product = shop.released()
    assert refused(versions.do_product_step, product, "suspend", shop.merchant) == "reason_missing"
    assert refused(versions.do_product_step, product, "suspend", shop.stranger, "x") == "step_not_yours"
    product = versions.do_product_step(product, "suspend", shop.clerk, "检查")
    assert refused(versions.do_product_step, product, "resume", shop.merchant) == "step_not_yours"
    assert versions.do_product_step(product, "resume", shop.clerk).offered


def test_what_is_delisted_is_over(shop: Shop) -> None:
    product = versions.do_product_step(shop.released(), "delist", shop.merchant, "停售")
    assert refused(versions.do_product_step, product, "list", shop.merchant) == "step_not_possible"
    assert refused(versions.do_revise, product, shop.merchant) == "step_not_possible"


def test_a_live_version_that_is_withdrawn_leaves_nothing_to_ask(shop: Shop) -> None:
    product = shop.released()
    city.license_to(shop.people.buyer, product, ["insurance"])
    assert not hasattr(asked(shop, product)[1], "code")
    live = product.versions.get()
    assert refused(versions.do_step, live, "withdraw", shop.merchant) == "reason_missing"
    versions.do_step(live, "withdraw", shop.merchant, "有误")
    assert asked(shop, product)[1].code == "product_not_listed"
    assert not LISTED.exists()
    assert refused(city.license_to, shop.people.stranger, product, ["insurance"]) == "version_missing"
    assert refused(versions.do_product_step, product, "resume", shop.clerk) == "version_missing"
    city.release(versions.do_revise(product, shop.merchant))
    versions.do_product_step(product, "resume", shop.clerk)
    assert not hasattr(asked(shop, product)[1], "code")


def test_a_product_whose_registration_is_revoked_is_delisted(shop: Shop) -> None:
    product, today = shop.released(), timezone.localdate()
    entry = Registration(product=product, registrant=shop.people.merchant, registrar=shop.people.registrar)
    registration.do_adopt(entry, "省-P1", today, today, by=None)
    head = city.verified(city.person(shop.people.registrar, Membership.Duty.APPROVER))
    registration.do_step(entry, "revoke", head, "材料虚假")
    product.refresh_from_db()
    assert (product.state, product.offered) == ("delisted", False)
    assert told("product.cancel")["actor"] == "clock"


def test_a_draft_is_not_there_to_ask(shop: Shop) -> None:
    shop.draft()
    assert refused(load_chain, shop.people.buyer.pk, "delays", "insurance") == "not_found"

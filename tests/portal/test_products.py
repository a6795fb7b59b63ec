"""The desks of products: composing in a browser and without scripts, the review, and what others see of it."""

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client as Browser
from playwright.sync_api import Page

from catalog import versions
from catalog.models import Product, Version
from exchange.parties.models import Accreditation, Membership, Role, User
from exchange.portal.persons import KEPT
from fixtures import city
from settlement.models import MeteredQuery
from tests.market import Market
from tests.portal.test_desks import enter, logged_in
from tests.portal.test_pages import DESK, PHONE, browser, page, shot  # noqa: F401

Open = Callable[..., Page]
ADD = "/admin/catalog/version/add/"
COLUMNS = ["carrier", "origin", "tailnum", "dep_delay"]


def compose(desk: Page, url: str, market: Market, code: str) -> None:
    """Choose from the top down, until the columns are there."""
    desk.goto(f"{url}{ADD}")
    desk.select_option("#id_authorization", str(market.authorization.pk))
    desk.locator(f"#id_resource option[value='{market.flights.pk}']").wait_for(state="attached")
    desk.fill("#id_code", code)
    desk.fill("#id_name_zh", "航班延误")
    desk.select_option("#id_resource", str(market.flights.pk))
    desk.locator("#id_dimensions input[value=carrier]").wait_for()
    desk.fill("#id_merchant_share", "4000")


@pytest.mark.parametrize(("language", "viewport"), [("zh-CN", DESK), ("en", DESK), ("zh-CN", PHONE), ("en", PHONE)])
def test_a_merchant_composes_and_sees_at_once_what_a_buyer_could_ask(
    market: Market,
    page: Open,  # noqa: F811
    language: str,
    viewport: dict[str, int],
) -> None:
    desk = enter(page, market.buyer.url, market.people.merchant, "yun", language=language, viewport=viewport)
    compose(desk, market.buyer.url, market, "delays")
    assert desk.locator("#id_profile option").evaluate_all("all => all.map(each => each.value)") == [
        "guarded",
        "private",
    ]
    for name in (
        "dimensions input[value=carrier]",
        "dimensions input[value=origin]",
        "measures input[value=dep_delay]",
    ):
        desk.check(f"#id_{name}")
    shown = desk.locator("#composing-preview")
    shown.get_by_text("SELECT carrier, AVG(dep_delay) AS figure FROM delays GROUP BY carrier").wait_for()
    assert "month" not in shown.inner_text()
    desk.check("#id_dimensions input[value=month]")
    shown.get_by_text("SELECT month, COUNT(*) AS n FROM delays GROUP BY month").wait_for()
    assert desk.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    shot(desk, f"composing-{language}-{viewport['width']}")
    desk.click("button[name=_save]")
    made = Version.objects.get(product__code="delays")
    assert (made.state, made.columns) == ("draft", ["carrier", "origin", "month", "tailnum", "dep_delay"])
    assert made.product.merchant == market.people.merchant


def form_of(market: Market, **more: Any) -> dict[str, Any]:
    return {
        "authorization": market.authorization.pk, "merchant": market.people.merchant.pk, "code": "delays",
        "name_zh": "延误", "kind": "aggregate", "resource": market.flights.pk, "dimensions": ["carrier", "origin"],
        "measures": ["dep_delay"], "profile": "guarded", "threshold": 12, "rows": 1, "rho": 0, "use": "industry",
        "merchant_share": 4000,
    } | more  # fmt: skip


@pytest.fixture
def merchant(market: Market) -> Browser:
    return logged_in(city.person(market.people.merchant))


def test_without_scripts_a_button_shows_it_and_saves_nothing(market: Market, merchant: Browser) -> None:
    answer = merchant.post(ADD, {"authorization": market.authorization.pk, "resource": market.flights.pk,
                                 "merchant": market.people.merchant.pk, "code": "delays", "dimensions": ["month"],
                                 "profile": "guarded", "threshold": 12, "_show": "1"})  # fmt: skip
    text = answer.content.decode()
    assert "SELECT month, COUNT(*) AS n FROM delays GROUP BY month" in text
    assert "errornote" not in text
    assert not Product.objects.filter(code="delays").exists()
    assert merchant.post(ADD, form_of(market)).status_code == 302
    assert Version.objects.get(product__code="delays").columns == COLUMNS


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("profile", "open", "不在可用的选项中"),
        ("threshold", 9, "大于或等于"),
        ("code", "flight_delays", "该代码已被占用"),
        ("dimensions", ["salary"], "salary"),
        ("resource", "00000000-0000-0000-0000-000000000000", "不在可用的选项中"),
    ],
)
def test_what_is_not_to_be_chosen_is_refused_beside_its_field(
    market: Market, merchant: Browser, field: str, value: object, told: str
) -> None:
    number = Version.objects.count()
    answer = merchant.post(ADD, form_of(market, **{field: value}))
    assert answer.status_code == 200
    assert told in answer.content.decode()
    assert Version.objects.count() == number


def test_nobody_composes_for_another_or_under_what_is_not_theirs(market: Market, merchant: Browser) -> None:
    assert merchant.post(ADD, form_of(market, merchant=market.people.stranger.pk)).status_code == 200
    other = city.person(market.people.stranger)
    Accreditation.objects.create(party=market.people.stranger, role=Role.MERCHANT, since=market.licence.since)
    stranger = logged_in(other)
    page_of = stranger.post(ADD, form_of(market, merchant=market.people.stranger.pk, _show="1"))  # noqa: F811
    assert "carrier" not in page_of.content.decode()
    assert stranger.post(ADD, form_of(market, merchant=market.people.stranger.pk)).status_code == 200
    assert logged_in(city.person(market.people.buyer)).post(ADD, form_of(market)).status_code == 403
    assert not Product.objects.filter(code="delays").exists()


def drafted(market: Market) -> Version:
    merchant = logged_in(city.person(market.people.merchant))
    merchant.post(ADD, form_of(market))
    return Version.objects.get(product__code="delays")


def change(version: Version) -> str:
    return f"/admin/catalog/version/{version.pk}/change/"


def test_a_draft_is_its_merchants_alone_and_what_is_submitted_its_reviewers_too(market: Market) -> None:
    draft, people = drafted(market), market.people
    seen = {
        name: logged_in(city.person(getattr(people, name))) for name in ("operator", "authority", "stranger", "buyer")
    }
    assert {name: one.get(change(draft)).status_code for name, one in seen.items()} == dict.fromkeys(seen, 302)
    versions.do_step(draft, "submit", city.person(people.merchant))
    found = {name: one.get(change(draft)).status_code for name, one in seen.items()}
    assert found == {"operator": 200, "authority": 200, "stranger": 302, "buyer": 302}


def test_what_was_submitted_is_frozen_at_every_desk(market: Market, merchant: Browser) -> None:
    draft = drafted(market)
    assert merchant.post(change(draft), form_of(market, threshold=15)).status_code == 302
    draft.refresh_from_db()
    assert draft.threshold == draft.product.threshold == 15
    draft = versions.do_step(draft, "submit", city.person(market.people.merchant))
    root = logged_in(User.objects.create_superuser("root"))
    for one in (merchant, root, logged_in(city.person(market.people.operator))):
        for url in (change(draft), f"/admin/catalog/product/{draft.product_id}/change/"):
            assert one.post(url, form_of(market, threshold=30)).status_code == 403
    draft.refresh_from_db()
    assert draft.threshold == 15


def test_the_product_of_a_released_version_is_fixed_in_the_form_of_the_next(market: Market, merchant: Browser) -> None:
    draft = versions.do_revise(market.guarded, city.person(market.people.merchant))
    form = form_of(market, code="other", name_zh="别名", dimensions=["carrier"], note="少一些")
    assert merchant.post(change(draft), form).status_code == 302
    draft.refresh_from_db()
    market.guarded.refresh_from_db()
    assert (draft.columns, draft.note) == (["carrier", "tailnum", "dep_delay"], "少一些")
    assert (market.guarded.code, market.guarded.name_zh) == ("flight_delays", "flight_delays")
    assert "month" in market.guarded.columns


def approver(market: Market) -> Browser:
    """The operator's approver, with the second factor shown in this session."""
    person = city.person(market.people.operator, Membership.Duty.APPROVER)
    seat = logged_in(person)
    session = seat.session
    session[KEPT] = city.verified(person).for_session()
    session.save()
    return seat


def act(browser: Browser, version: Version, name: str, reason: str = "") -> str:  # noqa: F811
    """Take an action on one version in the list; what the desk says."""
    form = {"action": name, "reason": reason, "_selected_action": [str(version.pk)]}
    return browser.post("/admin/catalog/version/", form, follow=True).content.decode()


def test_the_reviewer_reads_the_sample_answers_and_the_merchant_only_that_there_are(
    market: Market,
    merchant: Browser,
    page: Open,  # noqa: F811
) -> None:
    version, people = drafted(market), market.people
    act(merchant, version, "step_submit")
    reviewer = approver(market)
    assert "没有样例结果" in act(reviewer, version, "step_approve")
    assert "此操作由其他主体办理" in act(merchant, version, "ask_samples")
    assert "已有结果" in act(reviewer, version, "ask_samples")
    released = "<th>n</th>"
    assert released in reviewer.get(change(version)).content.decode()
    assert released not in merchant.get(change(version)).content.decode()
    desk = enter(page, market.buyer.url, people.operator, "haizhou", Membership.Duty.APPROVER)
    for language, viewport in (("zh", DESK), ("zh", PHONE)):
        desk.set_viewport_size(viewport)
        desk.goto(f"{market.buyer.url}{change(version)}")
        desk.get_by_text("SELECT COUNT(*) AS n FROM delays").first.wait_for()
        shot(desk, f"review-{language}-{viewport['width']}")
    act(reviewer, version, "step_approve")
    act(merchant, version, "step_release")
    version.refresh_from_db()
    assert version.state == "live"


def test_the_button_of_the_sample_questions_is_the_reviewers(market: Market, merchant: Browser) -> None:
    version = drafted(market)
    versions.do_step(version, "submit", city.person(market.people.merchant))
    url = f"/admin/catalog/version/{version.pk}/samples/"
    said = merchant.post(url, follow=True).content.decode()
    assert "此操作由其他主体办理" in said
    assert url not in said
    assert logged_in(city.person(market.people.stranger)).post(url).headers["location"] == "/admin/"
    reviewer = logged_in(city.person(market.people.operator))
    assert reviewer.get(url).status_code == 405
    assert url in reviewer.get(change(version)).content.decode()
    assert not MeteredQuery.objects.exists()


def test_a_merchant_opens_the_next_version_from_the_products_list(market: Market, merchant: Browser) -> None:
    form = {"action": "revise", "_selected_action": [str(market.guarded.pk)]}
    answer = merchant.post("/admin/catalog/product/", form)
    draft = market.guarded.versions.get(number=2)
    assert answer.headers["location"] == change(draft)
    assert "该产品已有版本正在办理" in merchant.post("/admin/catalog/product/", form, follow=True).content.decode()


def test_a_merchant_moves_a_licence_to_the_live_version_and_a_buyer_does_not(market: Market, merchant: Browser) -> None:
    city.revise(market.guarded, threshold=20)
    form = {"action": "succeed", "_selected_action": [str(market.licence.pk)]}
    logged_in(city.person(market.people.buyer)).post("/admin/licensing/licence/", form)
    market.licence.refresh_from_db()
    assert market.licence.version.number == 1
    merchant.post("/admin/licensing/licence/", form)
    market.licence.refresh_from_db()
    assert market.licence.version.number == 2

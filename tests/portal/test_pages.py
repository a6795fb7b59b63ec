"""The pages people see, in a real browser: they load, in both languages, on a desk and on a phone."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from fixtures import city
from tests.market import Market

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
DESK, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("chromium is not installed (Debian: apt-get install chromium)")
    # Playwright runs an event loop in this thread; Django would take that for an asynchronous view.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def page(browser: Browser) -> Iterator[Callable[..., Page]]:
    """A function that opens a page whose errors and failed loads fail the test."""
    contexts, wrong = [], []

    def open_page(language: str = "zh-CN", viewport: dict[str, int] = DESK) -> Page:
        context = browser.new_context(locale=language, viewport=viewport)
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: wrong.append(str(error)))
        # What a page still loads when one leaves it is aborted, and nothing is wrong with it.
        page.on("requestfailed", lambda request: request.failure != "net::ERR_ABORTED" and wrong.append(request.url))
        page.on("response", lambda response: response.status >= 400 and wrong.append(response.url))
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert [url for url in wrong if not url.endswith("favicon.ico")] == []


def shot(page: Page, name: str) -> None:
    """Keep a screenshot where SLUICE_SCREENSHOTS names a folder."""
    if folder := os.environ.get("SLUICE_SCREENSHOTS"):
        page.screenshot(path=str(Path(folder) / f"{name}.png"), full_page=True)


@pytest.mark.parametrize(("language", "heading"), [("zh-CN", "已上架产品"), ("en", "Listed products")])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_the_front_page_lists_products_and_fits_the_screen(
    market: Market, page: Callable[..., Page], language: str, heading: str, viewport: dict[str, int]
) -> None:
    front = page(language, viewport)
    front.goto(market.buyer.url)
    assert front.get_by_role("heading", name=heading).is_visible()
    assert front.get_by_text("flight_delays").first.is_visible()
    assert front.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    shot(front, f"front-{language}-{viewport['width']}")


def test_the_api_pages_are_served_from_here_alone(market: Market, page: Callable[..., Page]) -> None:
    docs = page("en")
    elsewhere: list[str] = []
    docs.on("request", lambda request: request.url.startswith(market.buyer.url) or elsewhere.append(request.url))
    docs.goto(f"{market.buyer.url}/docs/")
    docs.get_by_text("/v1/queries", exact=True).first.wait_for()
    assert [url for url in elsewhere if not url.startswith("data:")] == []
    shot(docs, "docs-en")


@pytest.mark.parametrize(("language", "product"), [("zh-CN", "产品"), ("en", "Products")])
def test_a_merchant_sees_its_products_in_the_admin_and_suspends_one(
    market: Market, page: Callable[..., Page], language: str, product: str
) -> None:
    _, password = city.hire(market.people.merchant, "yun")
    admin = page(language)
    admin.goto(f"{market.buyer.url}/admin/")
    admin.fill("#id_username", "yun")
    admin.fill("#id_password", password)
    admin.click("button[type=submit]")
    admin.locator("#nav-sidebar-apps").get_by_text(product, exact=True).click()
    admin.get_by_text("flight_delays").first.wait_for()
    shot(admin, f"admin-products-{language}")
    admin.locator("tr", has_text="flight_delays").locator("input.action-select").check()
    admin.select_option("select[name=action]", "step_suspend")
    admin.fill("input[name=reason]", "检查")
    admin.click("button[name=index]")
    admin.get_by_text({"zh-CN": ": 已暂停", "en": ": suspended"}[language]).wait_for()
    shot(admin, f"admin-suspended-{language}")
    market.guarded.refresh_from_db()
    assert market.guarded.state == "suspended"
    assert market.buyer.ask("SELECT COUNT(*) FROM flight_delays").json()["code"] == "product_not_listed"


def test_a_merchant_that_buys_cannot_change_its_own_licence(market: Market) -> None:
    from django.test import Client

    from exchange.parties.models import Accreditation, Role

    Accreditation.objects.create(party=market.people.buyer, role=Role.MERCHANT, since=market.licence.since)
    user, _ = city.hire(market.people.buyer, "lan")
    browser = Client(HTTP_HOST="localhost")
    browser.force_login(user, "django.contrib.auth.backends.ModelBackend")
    url = f"/admin/licensing/licence/{market.licence.pk}/change/"
    assert browser.get(url).status_code == 200
    assert browser.post(url, {"quota": 10**9}).status_code == 403
    market.licence.refresh_from_db()
    assert market.licence.quota == 1000

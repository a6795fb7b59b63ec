"""The page of the second factor: in a browser in both languages, and what a session may not do with it."""

import re

import pytest
from django.test import Client as Browser
from pyotp import TOTP

from exchange.parties import second_factor
from exchange.parties.models import User
from exchange.parties.second_factor import Verified
from tests.portal.test_desks import Open, logged_in
from tests.portal.test_pages import DESK, PHONE, browser, page, shot  # noqa: F401

PAGE = "/second-factor/"


@pytest.fixture
def wei(db: str) -> User:
    return User.objects.create_user("wei", is_staff=True)


@pytest.fixture
def at_desk(wei: User) -> Browser:
    return logged_in(wei)


def secret_on(text: str) -> str:
    found = re.search(r'class="secret">([^<]+)<', text)
    assert found
    return found[1].replace(" ", "")


def enrolled(at_desk: Browser) -> list[str]:
    """The recovery codes of the authenticator that the person now has."""
    secret = secret_on(at_desk.post(PAGE, {"act": "begin"}).content.decode())
    shown = at_desk.post(PAGE, {"act": "confirm", "code": TOTP(secret).now()}).content.decode()
    return re.findall(r"<li><code>([^<]+)</code>", shown)


def verified(at_desk: Browser, user: User) -> bool:
    return isinstance(second_factor.of_session(user, at_desk.session.get("second_factor")), Verified)


@pytest.mark.parametrize(("language", "begin"), [("zh-CN", "设置动态口令器"), ("en", "Set up an authenticator")])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_an_authenticator_is_set_up(
    wei: User, server: str, page: Open, language: str, begin: str, viewport: dict[str, int]  # noqa: F811
) -> None:  # fmt: skip
    wei.set_password("a long enough one")
    wei.save()
    desk = page(language, viewport)
    desk.goto(f"{server}{PAGE}")
    desk.fill("#id_username", "wei")
    desk.fill("#id_password", "a long enough one")
    desk.click("button[type=submit]")
    shot(desk, f"second-factor-begin-{language}-{viewport['width']}")
    desk.get_by_role("button", name=begin).click()
    assert desk.locator("svg.qr").is_visible()
    assert desk.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    shot(desk, f"second-factor-{language}-{viewport['width']}")
    desk.fill("#id_code", TOTP(desk.locator(".secret").inner_text().replace(" ", "")).now())
    desk.click("button[value=confirm]")
    assert desk.locator(".codes li").count() == 10
    assert desk.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    shot(desk, f"second-factor-codes-{language}-{viewport['width']}")
    assert second_factor.is_enrolled(wei)


def test_the_page_is_kept_by_nobody(at_desk: Browser) -> None:
    assert "no-store" in at_desk.post(PAGE, {"act": "begin"})["Cache-Control"]


def test_a_session_is_verified_by_a_code_and_no_other_is(at_desk: Browser, wei: User) -> None:
    enrolled(at_desk)
    elsewhere = logged_in(wei)
    assert (verified(at_desk, wei), verified(elsewhere, wei)) == (True, False)
    assert elsewhere.post(PAGE, {"act": "verify", "code": "000000"}).status_code == 400
    assert not verified(elsewhere, wei)
    at_desk.logout()
    assert not verified(at_desk, wei)


def test_a_session_gets_another_key_when_it_is_verified(at_desk: Browser) -> None:
    before = at_desk.session.session_key
    enrolled(at_desk)
    assert at_desk.session.session_key != before


def test_who_only_has_the_password_sets_up_no_other_authenticator(at_desk: Browser, wei: User) -> None:
    enrolled(at_desk)
    answer = logged_in(wei).post(PAGE, {"act": "begin"})
    assert answer.status_code == 400
    assert 'class="secret"' not in answer.content.decode()


def test_one_is_sent_on_to_pages_of_ours_only(at_desk: Browser, wei: User) -> None:
    codes = enrolled(at_desk)
    for code, elsewhere in zip(codes, ("https://example.com/", "//example.com/", "javascript:alert(1)"), strict=False):
        answer = logged_in(wei).post(PAGE, {"act": "verify", "code": code, "next": elsewhere})
        assert answer["Location"] == PAGE
    answer = logged_in(wei).post(PAGE, {"act": "verify", "code": codes[-1], "next": "/admin/catalog/"})
    assert answer["Location"] == "/admin/catalog/"

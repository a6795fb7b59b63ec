"""Guessing passwords at the admin's door is slow, and locks nobody else out."""

from collections.abc import Iterator

import pytest
from django.test import Client as Browser

from exchange.portal import login
from fixtures import city


@pytest.fixture
def password(db: str) -> Iterator[str]:
    _, password = city.hire(city.found_city().holder, "jiao")
    login.BY_NAME.forget()
    login.BY_ADDRESS.forget()
    yield password
    login.BY_NAME.forget()
    login.BY_ADDRESS.forget()


def attempt(name: str, password: str, address: str = "10.0.0.1") -> str:
    """The page after an attempt to log in; empty where it leads on to the desk."""
    browser = Browser(HTTP_HOST="localhost", REMOTE_ADDR=address, headers={"accept-language": "zh-CN"})
    answer = browser.post("/admin/login/", {"username": name, "password": password})
    return "" if answer.status_code == 302 else answer.content.decode()


def test_after_some_wrong_passwords_even_the_right_one_waits(password: str) -> None:
    assert attempt("jiao", password) == ""
    for _ in range(login.BY_NAME.burst - 1):
        assert "请求过于频繁" not in attempt("jiao", "wrong")
    assert "请求过于频繁" in attempt("jiao", password)
    assert attempt("jiao", password, "10.0.0.2") == ""  # whose address it is not is not locked out


def test_one_address_does_not_try_many_names(password: str) -> None:
    while login.BY_ADDRESS.allow("10.0.0.1"):
        pass
    assert "请求过于频繁" in attempt("another", "wrong")

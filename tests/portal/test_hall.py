"""The registration hall in a real browser: notices with objections, certificates that anyone can verify."""

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from django.utils import timezone
from playwright.sync_api import Page

from catalog import registration, registry
from catalog.models import Objection, Registration, Resource
from exchange.audit import sequencer
from exchange.parties.models import Document
from tests.catalog.test_registration import Office, noticed_enough, office  # noqa: F401
from tests.nodes import ROOT
from tests.portal.test_pages import DESK, PHONE, browser, page, shot  # noqa: F401

Open = Callable[..., Page]


@pytest.fixture
def paper(tmp_path: Path) -> Path:
    file = tmp_path / "proof.pdf"
    file.write_bytes(b"%PDF-1.7 proof")
    return file


@pytest.mark.parametrize(("language", "heading"), [("zh-CN", "登记公示"), ("en", "Public notices")])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_a_notice_is_seen_and_objected_to(
    office: Office, server: str, page: Open, paper: Path, language: str, heading: str, viewport: dict[str, int]  # noqa: F811
) -> None:  # fmt: skip
    made = office.noticed()
    hall = page(language, viewport)
    hall.goto(f"{server}/notices/")
    assert hall.get_by_role("heading", name=heading).is_visible()
    assert hall.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    shot(hall, f"notices-{language}-{viewport['width']}")
    hall.get_by_role("link", name="航班").click()
    hall.fill("#id_name", "张三")
    hall.fill("#id_contact", "13800000000")
    hall.fill("#id_text", "<b>数据</b>属于我")
    hall.set_input_files("#id_evidence", paper)
    shot(hall, f"notice-{language}-{viewport['width']}")
    hall.click("main button")
    hall.locator(".good").wait_for()
    objection = Objection.objects.get(registration=made)
    assert (objection.name, objection.text, objection.state) == ("张三", "<b>数据</b>属于我", "made")
    assert hall.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def post(url: str, form: str = "", **said: str | None) -> requests.Response:
    """The form of a notice, or that of the page `form`, sent as a browser does; None leaves a field out."""
    browser = requests.Session()  # noqa: F811
    browser.headers["Accept-Language"] = "en"
    browser.get(form or url, timeout=30)
    files = {"evidence": ("proof.pdf", said.pop("evidence", "%PDF-1.7"), "application/pdf")}
    fields = {"name": "A", "contact": "B", "text": "C"} | said
    data = {key: value for key, value in fields.items() if value is not None}
    data["csrfmiddlewaretoken"] = browser.cookies["csrftoken"]
    return browser.post(url, data=data, files=files, timeout=30)


WRONG = [
    ({"name": None}, "This field is required"),
    ({"text": "x" * 10_000}, "at most 5000 characters"),
    ({"evidence": "<script>alert(1)</script>"}, "no format offered"),
]


@pytest.mark.parametrize(("said", "told"), WRONG, ids=["no name", "too long", "no document"])
def test_an_objection_that_is_none_is_told_why_and_leaves_nothing(
    office: Office, server: str, said: dict[str, str | None], told: str  # noqa: F811
) -> None:  # fmt: skip
    made = office.noticed()
    answer = post(f"{server}/notices/{made.pk}/", **said)
    assert answer.status_code == 400
    assert told in answer.text
    assert not Objection.objects.exists()
    assert not Document.objects.exists()


def test_markup_in_names_stays_text(office: Office, server: str) -> None:  # noqa: F811
    office.resource.name_zh = "<script>alert(1)</script>"
    office.resource.save()
    made = office.noticed()
    for path in ("/notices/", f"/notices/{made.pk}/"):
        answer = requests.get(f"{server}{path}", timeout=30).text
        assert "<script>alert" not in answer
        assert "&lt;script&gt;" in answer


def test_what_is_not_under_notice_is_nobodys_to_see(office: Office, server: str) -> None:  # noqa: F811
    made = office.draft()
    assert requests.get(f"{server}/notices/{made.pk}/", timeout=30).status_code == 404
    registration.do_step(made, "withdraw", office.holder)
    assert requests.get(f"{server}/notices/{made.pk}/", timeout=30).status_code == 404
    assert requests.get(f"{server}/registrations/000000-2026-R-000001-00/", timeout=30).status_code == 404


@pytest.mark.parametrize(("language", "heading"), [("zh-CN", "登记证书"), ("en", "Certificate of registration")])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_a_certificate_is_shown_and_says_what_became_of_it(
    office: Office, server: str, page: Open, language: str, heading: str, viewport: dict[str, int]  # noqa: F811
) -> None:  # fmt: skip
    made = office.entered()
    hall = page(language, viewport)
    hall.goto(f"{server}/registrations/{made.code}/")
    assert hall.get_by_role("heading", name=heading).is_visible()
    assert hall.locator(".state.good").is_visible()
    assert hall.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    shot(hall, f"certificate-{language}-{viewport['width']}")
    registration.do_step(made, "revoke", office.head, "材料虚假")
    hall.reload()
    assert hall.locator(".state.bad").is_visible()


def test_anyone_verifies_a_certificate_with_the_stand_alone_verifier(
    office: Office, server: str, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    made = office.entered()
    sequencer.run_once()
    here = f"{server}/registrations/{made.code}/certificate"
    names = {"jws": f"{here}.jws", "tlog-proof": f"{here}.tlog-proof"}
    for suffix, url in names.items():
        (tmp_path / f"certificate.{suffix}").write_text(requests.get(url, timeout=30).text)
    for name in ("log.vkey", ".well-known/jwks.json"):
        (tmp_path / Path(name).name).write_text(requests.get(f"{server}/{name}", timeout=30).text)
    command = [sys.executable, "-m", "exchange.audit.verify", str(tmp_path / "certificate.jws")]
    command += ["--proof", str(tmp_path / "certificate.tlog-proof"), "--vkey", str(tmp_path / "log.vkey")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "registration.enter" in done.stdout
    payload = made.certificate.split(".")[1]
    said = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["record"]
    assert (said["code"], said["subject"], said["registrant"]) == (made.code, "flights", "海州市交通运输局")
    assert (said["since"], said["until"]) == (str(made.since), str(made.until))


def test_pages_are_read_in_the_language_one_chooses(office: Office, server: str, page: Open) -> None:  # noqa: F811
    office.noticed()
    hall = page("zh-CN")
    hall.goto(f"{server}/notices/")
    hall.get_by_role("button", name="English").click()
    hall.get_by_role("heading", name="Public notices").wait_for()
    assert hall.url == f"{server}/notices/"
    hall.get_by_role("button", name="中文").click()
    hall.get_by_role("heading", name="登记公示").wait_for()


def make_notices(office: Office, number: int) -> None:  # noqa: F811
    """So many registrations under notice, with their clocks running."""
    due = timezone.localdate() + timedelta(days=5)
    for _ in range(number):
        resource = Resource(
            code=f"r{Resource.objects.count()}", name_zh="表", holder=office.people.holder,
            domain=office.resource.domain,
        )  # fmt: skip
        registry.do_create(resource, actor="test")
        Registration.objects.create(
            resource=resource, registrant=office.people.holder, registrar=office.people.registrar,
            state="noticed", due_on=due, clock_from=timezone.localdate(), clock_days=3,
        )  # fmt: skip


def test_the_hall_asks_the_database_as_often_for_many_as_for_few(
    office: Office, django_assert_max: Callable[..., None]  # noqa: F811
) -> None:  # fmt: skip
    make_notices(office, 12)
    django_assert_max("/notices/", 10)


@pytest.fixture
def django_assert_max() -> Callable[[str, int], None]:
    """Fails where a page takes more SQL queries than so many."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    def check(path: str, most: int) -> None:
        with CaptureQueriesContext(connection) as asked:
            assert Client(HTTP_HOST="localhost").get(path).status_code == 200
        assert len(asked) <= most, [query["sql"][:100] for query in asked]

    return check


def test_a_notice_that_ran_out_can_still_be_read_and_not_objected_to(office: Office, server: str) -> None:  # noqa: F811
    made = registration.do_step(noticed_enough(office.noticed()), "enter", office.head)
    answer = requests.get(f"{server}/notices/{made.pk}/", headers={"Accept-Language": "en"}, timeout=30)
    assert "The public notice has ended" in answer.text
    assert "<textarea" not in answer.text


def test_an_objection_after_the_notice_is_refused_and_leaves_no_document(office: Office, server: str) -> None:  # noqa: F811
    made = registration.do_step(noticed_enough(office.noticed()), "enter", office.head)
    other = f"{server}/notices/{office_with_another(office).pk}/"
    answer = post(f"{server}/notices/{made.pk}/", form=other)
    assert answer.status_code == 400
    assert "The public notice has ended" in answer.text
    assert not Objection.objects.exists()
    assert not Document.objects.exists()


def office_with_another(office: Office) -> Registration:  # noqa: F811
    """Another registration that is under notice: its page has a form, and so the browser its cookie."""
    make_notices(office, 1)
    return Registration.objects.filter(state="noticed").get()

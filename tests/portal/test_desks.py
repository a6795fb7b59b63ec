"""The desks of registrant and registrar in a real browser, and what they refuse in words one understands."""

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.contrib import admin
from django.db import transaction
from django.test import Client as Browser
from django.test import RequestFactory
from django.utils import timezone, translation
from playwright.sync_api import Page
from pyotp import TOTP

from catalog.models import Registration
from exchange.parties.models import Day, Document, User
from exchange.parties.second_factor import Verified, user_of
from exchange.portal.persons import KEPT
from fixtures import city
from tests.catalog.test_registration import Office, noticed_enough, object_to, office  # noqa: F401
from tests.portal.test_hall import make_notices
from tests.portal.test_pages import DESK, PHONE, browser, page, shot  # noqa: F401

Open = Callable[..., Page]
ITEMS = {"source": "依法采集", "description": "航班", "uses": "统计", "scenarios": "保险", "risk": "低"}


def enter(
    open_page: Open, url: str, party: object, name: str, duty: str = "editor", language: str = "zh-CN",
    viewport: dict[str, int] = DESK,
) -> Page:  # fmt: skip
    """Somebody of the party at their desk."""
    _, password = city.hire(party, name, duty)
    desk = open_page(language, viewport)
    desk.goto(f"{url}/admin/")
    desk.fill("#id_username", name)
    desk.fill("#id_password", password)
    desk.click("button[type=submit]")
    desk.locator("#content").wait_for()
    return desk


def enrol(desk: Page) -> None:
    """Set up an authenticator on the page one was sent to, and go on to where one came from."""
    desk.get_by_role("button", name="设置动态口令器").click()
    desk.fill("#id_code", TOTP(desk.locator(".secret").inner_text().replace(" ", "")).now())
    shot(desk, f"second-factor-{desk.viewport_size['width']}")
    desk.click("button[value=confirm]")
    shot(desk, f"recovery-codes-{desk.viewport_size['width']}")
    desk.locator("main .button").click()


def take(desk: Page, url: str, step: str, reason: str = "") -> str:
    """Take a step of the one registration on its page; what the desk says then."""
    desk.goto(f"{url}/admin/catalog/registration/{Registration.objects.get().pk}/step/{step}/")
    if desk.locator("#id_reason").count():
        desk.fill("#id_reason", reason)
        desk.click("button[name=take]")
    if "/second-factor/" in desk.url:
        enrol(desk)
        return take(desk, url, step, reason)
    return desk.locator("#page").inner_text()


def test_a_resource_is_registered_at_the_desks(office: Office, server: str, page: Open, tmp_path: Path) -> None:  # noqa: F811
    paper = tmp_path / "evidence.pdf"
    paper.write_bytes(b"%PDF-1.7 evidence")
    holder = enter(page, server, office.people.holder, "jiao")
    holder.goto(f"{server}/admin/catalog/registration/add/")
    holder.select_option("#id_resource", str(office.resource.pk))
    holder.select_option("#id_registrant", str(office.people.holder.pk))
    holder.select_option("#id_registrar", str(office.people.registrar.pk))
    holder.fill("#id_evidenced_on", "2026-01-05")
    for number, (what, text) in enumerate(ITEMS.items()):
        holder.get_by_text("添加另一个").click()
        holder.select_option(f"#id_items-{number}-what", what)
        holder.fill(f"#id_items-{number}-text", text)
    holder.get_by_text("添加另一个").click()
    holder.select_option("#id_items-5-what", "evidence")
    holder.set_input_files("#id_items-5-file", paper)
    shot(holder, "desk-application")
    holder.click("button[name=_save]")
    holder.get_by_text("草稿").first.wait_for()
    made = Registration.objects.get()
    assert (made.state, made.items.count()) == ("draft", 6)
    assert made.items.get(what="evidence").document == Document.objects.get(party=office.people.holder)
    assert "已申请" in take(holder, server, "submit")
    clerk = enter(page, server, office.people.registrar, "deng")
    for step in ("accept", "publish"):
        take(clerk, server, step)
    assert "当前状态不能进行此操作" in take(clerk, server, "enter")  # it is for who approves
    shot(clerk, "desk-registrar")
    noticed_enough(made)
    head = enter(page, server, office.people.registrar, "zhang", "approver")
    take(head, server, "enter")
    made.refresh_from_db()
    assert made.state == "in_force"
    head.goto(f"{server}/registrations/{made.code}/")
    assert head.get_by_text(made.code).first.is_visible()


@pytest.fixture
def clerk(office: Office) -> Browser:  # noqa: F811
    return logged_in(office.clerk)


def logged_in(by: User | Verified) -> Browser:
    """A browser in which the person is logged in, with the second factor shown if `by` is the proof of it."""
    browser = Browser(HTTP_HOST="localhost", headers={"accept-language": "zh-CN"})  # noqa: F811
    browser.force_login(user_of(by), "django.contrib.auth.backends.ModelBackend")
    if isinstance(by, Verified):
        session = browser.session
        session[KEPT] = by.for_session()
        session.save()
    return browser


def form_of(office: Office, **more: object) -> dict[str, object]:  # noqa: F811
    form = {"kind": "first", "resource": office.resource.pk, "registrant": office.people.holder.pk,
            "registrar": office.people.registrar.pk, "changes": "{}", "items-TOTAL_FORMS": 0,
            "items-INITIAL_FORMS": 0}  # fmt: skip
    return form | more


def test_a_second_application_is_refused_in_words_and_leaves_nothing(office: Office) -> None:  # noqa: F811
    office.draft()
    answer = logged_in(office.holder).post(
        "/admin/catalog/registration/add/", form_of(office, evidenced_on="2026-01-05")
    )
    said = answer.content.decode()
    assert "已有登记事项正在办理" in said
    assert 'value="2026-01-05"' in said  # what was typed is still there
    assert Registration.objects.count() == 1


def test_nobody_applies_for_another_partys_resource(office: Office) -> None:  # noqa: F811
    stranger = logged_in(office.stranger)
    assert stranger.post("/admin/catalog/registration/add/", form_of(office)).status_code == 403
    assert not Registration.objects.exists()


def test_a_file_that_is_no_document_is_told_beside_its_field(office: Office) -> None:  # noqa: F811
    from django.core.files.uploadedfile import SimpleUploadedFile

    form = form_of(office) | {"items-TOTAL_FORMS": 1, "items-0-what": "evidence", "items-0-text": ""}
    form["items-0-file"] = SimpleUploadedFile("x.exe", b"MZ", "application/octet-stream")
    answer = logged_in(office.holder).post("/admin/catalog/registration/add/", form)
    assert "不支持的请求格式" in answer.content.decode()
    assert not Registration.objects.exists()
    assert not Document.objects.exists()


def test_what_is_submitted_is_not_edited(office: Office) -> None:  # noqa: F811
    from catalog import registration

    made = registration.do_step(office.draft(), "submit", office.holder)
    answer = logged_in(office.holder).post(f"/admin/catalog/registration/{made.pk}/change/", form_of(office))
    assert answer.status_code == 403


def test_a_registrar_adds_a_holiday_and_clocks_move(office: Office, clerk: Browser) -> None:  # noqa: F811
    from catalog import registration

    made = registration.do_step(office.draft(), "submit", office.holder)
    answer = clerk.post("/admin/parties/day/add/", {"day": made.due_on, "name": "停工"})
    assert answer.status_code == 302
    assert Day.objects.get(day=made.due_on).edited
    before = made.due_on
    made.refresh_from_db()
    assert made.due_on > before


def test_an_edit_that_comes_after_the_submission_is_refused_and_changes_nothing(office: Office) -> None:  # noqa: F811
    """The form was opened on a draft; before it is saved somebody submits. Seen at the lock, not at the door."""
    from catalog import registration
    from exchange.portal.admin.desks import Refused
    from exchange.portal.admin.registry import RegistrationAdmin

    stale = office.draft()
    registration.do_step(stale, "submit", office.holder)
    desk = RegistrationAdmin(Registration, admin.site)
    request = RequestFactory().post("/")
    request.user = office.holder
    stale.kind = "change"
    form = desk.get_form(request, stale)()
    form.changed_data = ["kind"]
    with translation.override("en"), pytest.raises(Refused, match="cannot be taken"), transaction.atomic():
        desk.save_model(request, stale, form, change=True)
    made = Registration.objects.get()
    assert (made.state, made.kind) == ("applied", "first")


def test_what_is_registered_is_not_edited_and_what_is_not_about_it_is(office: Office) -> None:  # noqa: F811
    office.entered()
    holder = logged_in(office.holder)
    change = f"/admin/catalog/resource/{office.resource.pk}/change/"
    form = {"name_zh": "别的", "sector": "finance", "columns-TOTAL_FORMS": 0, "columns-INITIAL_FORMS": 0}
    assert holder.post(change, form).status_code == 302
    assert (office.now().name_zh, office.now().sector) == ("航班", "")


def test_a_day_is_not_moved_to_another(office: Office, clerk: Browser) -> None:  # noqa: F811
    day = Day.objects.filter(provisional=False).first()
    answer = clerk.post(f"/admin/parties/day/{day.pk}/change/", {"day": "2031-01-01", "name": "改", "worked": "on"})
    assert answer.status_code == 302
    assert not Day.objects.filter(day="2031-01-01").exists()
    assert Day.objects.get(pk=day.pk).name == "改"


def test_the_registrars_list_asks_the_database_as_often_for_many_as_for_few(office: Office, clerk: Browser) -> None:  # noqa: F811
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    def asked() -> int:
        with CaptureQueriesContext(connection) as queries:
            assert clerk.get("/admin/catalog/registration/").status_code == 200
        return len(queries)

    make_notices(office, 2)
    few = asked()
    make_notices(office, 12)
    assert asked() == few


# What waits for whom, and what was done


def work_of(user: User | Verified) -> str:
    return logged_in(user).get("/admin/").content.decode()


def test_what_is_to_be_done_waits_for_whom_it_waits_for(office: Office) -> None:  # noqa: F811
    from catalog import registration

    made = office.draft()
    assert f"/{made.pk}/step/submit/" in work_of(office.holder)
    assert str(made.pk) not in work_of(office.clerk)  # a draft is its author's alone
    made = registration.do_step(made, "submit", office.holder)
    assert str(made.pk) not in work_of(office.holder)  # withdrawing is nothing that waits
    for step in ("ask", "accept"):
        assert f"/{made.pk}/step/{step}/" in work_of(office.clerk)
    assert f"/{made.pk}/step/decline/" not in work_of(office.clerk)  # that is for who approves
    assert f"/{made.pk}/step/decline/" in work_of(office.head)
    assert str(made.pk) not in work_of(office.stranger)
    made = registration.do_step(registration.do_step(made, "accept", office.clerk), "publish", office.clerk)
    registration.do_step(noticed_enough(made), "enter", office.head)
    for user in (office.holder, office.clerk, office.head):
        assert str(made.pk) not in work_of(user)


def test_an_objection_waits_for_the_registrar(office: Office) -> None:  # noqa: F811
    objection = object_to(office.noticed(), office)
    assert f"/{objection.pk}/step/uphold/" in work_of(office.clerk)
    assert str(objection.pk) not in work_of(office.holder)


@pytest.mark.parametrize(("days", "counted"), [(-1, "overdue"), (0, "soon"), (30, "later")])
def test_what_is_due_is_counted_and_found(office: Office, days: int, counted: str) -> None:  # noqa: F811
    from catalog import registration

    made = registration.do_step(office.draft(), "submit", office.holder)
    Registration.objects.filter(pk=made.pk).update(due_on=timezone.localdate() + timedelta(days=days))
    shown = work_of(office.clerk)
    assert ("life-over" in shown) == (counted == "overdue")
    assert ("life-soon" in shown) == (counted == "soon")
    clerk = logged_in(office.clerk)
    for choice, name in (("over", "overdue"), ("soon", "soon"), ("later", "later")):
        found = clerk.get(f"/admin/catalog/registration/?due={choice}").content.decode()
        assert (f"/{made.pk}/change/" in found) == (name == counted)


def test_a_step_without_its_reason_says_so_on_its_page_and_keeps_what_was_typed(office: Office) -> None:  # noqa: F811
    from catalog import registration

    made = registration.do_step(office.draft(), "submit", office.holder)
    steps = f"/admin/catalog/registration/{made.pk}/step"
    answer = logged_in(office.head).post(f"{steps}/decline/", {"reason": "  "})
    assert answer.status_code == 400
    assert "请填写理由" in answer.content.decode()
    assert logged_in(office.head).post(f"{steps}/decline/", {"reason": "来源不合法"}).status_code == 302
    made.refresh_from_db()
    assert made.state == "declined"


def test_nobody_takes_a_step_on_a_page_that_is_not_theirs(office: Office) -> None:  # noqa: F811
    from catalog import registration

    made = registration.do_step(office.draft(), "submit", office.holder)
    for user, step in [(office.stranger, "accept"), (office.holder, "accept"), (office.clerk, "decline")]:
        assert logged_in(user).post(f"/admin/catalog/registration/{made.pk}/step/{step}/").status_code == 302
    made.refresh_from_db()
    assert made.state == "applied"


def test_an_objects_history_is_the_logs_with_persons_named_to_their_own_party(office: Office) -> None:  # noqa: F811
    from catalog import registration

    made = registration.do_step(office.draft(), "submit", office.holder)
    registration.do_step(made, "ask", office.clerk, "缺少存证")
    history = f"/admin/catalog/registration/{made.pk}/history/"
    mine, theirs = (logged_in(user).get(history).content.decode() for user in (office.holder, office.clerk))
    for shown in (mine, theirs):
        for said in ("registration.opened", "registration.submit", "registration.ask", "缺少存证", "待补正"):
            assert said in shown, said
    assert "<td>holder</td>" in mine
    assert "<td>clerk</td>" not in mine
    assert "<td>海州市公共数据登记中心</td>" in mine
    assert "<td>海州市交通运输局</td>" in theirs
    assert logged_in(office.stranger).get(history).status_code == 302


@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
@pytest.mark.parametrize(("language", "heading"), [("zh-CN", "我的待办"), ("en", "My work")])
def test_work_and_its_pages_fit_the_screen(
    office: Office, server: str, page: Open, language: str, heading: str, viewport: dict[str, int]  # noqa: F811
) -> None:  # fmt: skip
    from catalog import registration

    made = registration.do_step(office.draft(), "submit", office.holder)
    desk = enter(page, server, office.people.registrar, "deng", "approver", language, viewport)
    assert desk.get_by_role("heading", name=heading).is_visible()
    here = f"{server}/admin/catalog/registration/{made.pk}"
    for name, url in {
        "work": f"{server}/admin/", "list": f"{server}/admin/catalog/registration/", "one": f"{here}/change/",
        "step": f"{here}/step/decline/", "history": f"{here}/history/",
    }.items():  # fmt: skip
        desk.goto(url)
        assert desk.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), name
        shot(desk, f"desk-{name}-{language}-{viewport['width']}")

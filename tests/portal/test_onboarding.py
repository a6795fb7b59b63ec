"""Onboarding in a real browser, from the application to an approval; and what its pages show to whom."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from django.test import Client as Browser
from django.utils import timezone
from playwright.sync_api import Page

from exchange.parties import accreditation, applications
from exchange.parties.documents import store
from exchange.parties.models import Application, Document, Membership, Role, User
from exchange.portal import applying
from fixtures import city
from tests.parties.applying import (
    CODE,
    EMAIL,
    PASSWORD,
    Exchange,
    forget_mail,
    licence,
    mailed,
    newcomer,
    open_exchange,
    token_to,
)
from tests.portal.test_desks import enrol, logged_in
from tests.portal.test_pages import DESK, PHONE, browser, page, shot  # noqa: F401

Open = Callable[..., Page]
FORM = {
    "name_zh": "海燕气象科技", "name_en": "Haiyan Weather", "credit_code": CODE, "contact": "沈雁", "email": EMAIL,
    "phone": "+86 532 8000 0000", "password1": PASSWORD, "password2": PASSWORD,
}  # fmt: skip


@pytest.fixture
def exchange(db: str) -> Iterator[Exchange]:
    for rate in (applying.APPLIES, applying.UPLOADS):
        rate.forget()
    forget_mail()
    yield open_exchange()
    forget_mail()


def fits(page: Page) -> bool:  # noqa: F811
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def log_in(desk: Page, url: str, name: str, password: str) -> None:
    desk.goto(f"{url}/admin/")
    desk.fill("#id_username", name)
    desk.fill("#id_password", password)
    desk.click("button[type=submit]")
    desk.locator("#content").wait_for()


@pytest.mark.parametrize(
    ("language", "viewport"), [("zh-CN", DESK), ("en", DESK), ("zh-CN", PHONE), ("en", PHONE)],
    ids=["zh desk", "en desk", "zh phone", "en phone"],
)  # fmt: skip
def test_an_organization_applies_confirms_and_submits(
    exchange: Exchange, server: str, page: Open, tmp_path: Path, language: str, viewport: dict[str, int]  # noqa: F811
) -> None:  # fmt: skip
    name = f"{language}-{viewport['width']}"
    form = page(language, viewport)
    form.goto(f"{server}/apply/")
    for field, value in FORM.items():
        form.fill(f"#id_{field}", value)
    form.check("input[value=merchant]")
    assert fits(form)
    shot(form, f"apply-{name}")
    form.click("main form button")
    form.locator("main .good").wait_for()
    shot(form, f"apply-sent-{name}")
    form.goto(f"{server}/confirm/{token_to(EMAIL)}/")
    shot(form, f"confirm-{name}")
    form.click("main form button")
    paper = tmp_path / "licence.pdf"
    paper.write_bytes(b"%PDF-1.7 licence")
    form.set_input_files("#id_file", paper)
    form.click("button[value=attach]")
    form.get_by_text("licence.pdf").wait_for()
    assert fits(form)
    shot(form, f"application-{name}")
    form.click("button[value=submit]")
    form.get_by_text({"zh-CN": "正在审核", "en": "being reviewed"}[language]).wait_for()
    shot(form, f"application-submitted-{name}")
    assert Application.objects.get().state == "submitted"


def test_from_an_application_to_an_approval(exchange: Exchange, server: str, page: Open) -> None:  # noqa: F811
    """Haiyan has applied to hold the register; the head accredits it; its own head then takes a step that approves."""
    made = exchange.submits(roles=("registrar", "buyer"))
    _, password = city.hire(exchange.people.platform, "ping", Membership.Duty.APPROVER)
    head = page()
    log_in(head, server, "ping", password)
    head.goto(f"{server}/admin/parties/application/{made.pk}/change/")
    shot(head, "review")
    with head.expect_download() as download:
        head.get_by_role("link", name="licence.pdf").click()
    assert download.value.suggested_filename == "licence.pdf"
    head.select_option("#id_roles-1-decision", "granted")
    head.fill("#id_roles-1-until", "2099-12-31")
    head.select_option("#id_roles-0-decision", "declined")
    head.fill("#id_roles-0-reason", "暂不受理")
    head.click("button[name=_save]")
    head.locator("#result_list").wait_for()
    head.goto(f"{server}/admin/parties/application/{made.pk}/step/accredit/")
    head.click("button[name=take]")
    assert "/second-factor/" in head.url  # the first time one is sent to set up an authenticator
    enrol(head)
    head.click("button[name=take]")
    head.get_by_text("已核准").first.wait_for()
    shot(head, "reviewed")
    made.refresh_from_db()
    assert (made.state, made.party.credit_code) == ("accredited", CODE)
    assert accreditation.is_accredited(made.party, Role.REGISTRAR)
    assert not accreditation.is_accredited(made.party, Role.BUYER)
    shen = page()
    log_in(shen, server, EMAIL, PASSWORD)
    shen.goto(f"{server}/parties/")
    shen.locator("summary").first.click()
    shen.fill("input[type=email]", "li@haiyan.example")
    shen.check("input[value=approver]")
    shot(shen, "parties-zh-1280")
    shen.click("button[value=invite]")
    shen.locator("main .good").wait_for()
    li = page("zh-CN", PHONE)
    li.goto(f"{server}/confirm/{token_to('li@haiyan.example')}/")
    li.fill("#id_name", "李海")
    li.fill("#id_password1", PASSWORD)
    li.fill("#id_password2", PASSWORD)
    assert fits(li)
    shot(li, "join-zh-390")
    li.click("main form button")
    log_in(li, server, "li@haiyan.example", PASSWORD)
    li.goto(f"{server}/second-factor/")
    enrol(li)
    li.goto(f"{server}/parties/")
    assert li.get_by_text("李海").is_visible()
    assert fits(li)
    shot(li, "parties-zh-390")


def visitor() -> Browser:
    return Browser(HTTP_HOST="localhost", headers={"accept-language": "en"})


def text_of(answer: object) -> str:
    """A page without what differs from one request to the next."""
    import re

    return re.sub(r'csrfmiddlewaretoken" value="[^"]+"', "", answer.content.decode())  # type: ignore[attr-defined]


def test_the_answer_is_the_same_whoever_is_known(exchange: Exchange) -> None:
    exchange.accredits()
    known = {"email": EMAIL, "credit_code": CODE}
    unknown = {"email": "n@example.com", "credit_code": exchange.people.stranger.credit_code}
    answers = [visitor().post("/apply/", FORM | {"roles": ["buyer"]} | each) for each in (known, unknown)]
    assert {answer.status_code for answer in answers} == {200}
    assert len({text_of(answer) for answer in answers}) == 1
    answers = [visitor().post("/apply/again/", {"email": email}) for email in (EMAIL, "nobody@example.com")]
    assert len({text_of(answer) for answer in answers}) == 1


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"credit_code": CODE[:-1] + ("0" if CODE[-1] != "0" else "1")}, "Not a valid unified social credit code"),
        ({"password1": "short", "password2": "short"}, "too short"),
        ({"password2": "another one 2026"}, "The two passwords differ"),
        ({"phone": "call me"}, "Not a telephone number"),
        ({"roles": []}, "This field is required"),
        ({"roles": ["platform"]}, "not one of the available choices"),
        ({"email": "x"}, "valid email address"),
    ],
)
def test_a_form_that_is_wrong_is_told_why_and_leaves_nothing(
    exchange: Exchange, wrong: dict[str, object], told: str
) -> None:
    answer = visitor().post("/apply/", FORM | {"roles": ["buyer"]} | wrong)
    assert answer.status_code == 400
    assert told in answer.content.decode()
    assert PASSWORD not in answer.content.decode()
    assert not Application.objects.exists()


def test_a_code_with_blanks_and_small_letters_is_read(exchange: Exchange) -> None:
    spoken = f"{CODE[:9]} {CODE[9:].lower()}"
    assert visitor().post("/apply/", FORM | {"roles": ["buyer"], "credit_code": spoken}).status_code == 200
    assert Application.objects.get().credit_code == CODE


def test_one_address_sends_a_few_applications_and_no_more(exchange: Exchange) -> None:
    browser = visitor()  # noqa: F811
    statuses = [browser.post("/apply/", FORM | {"roles": ["buyer"]}).status_code for _ in range(7)]
    assert statuses == [200] * 5 + [400] * 2
    assert Application.objects.count() == 5


def test_to_look_at_a_link_uses_nothing(exchange: Exchange) -> None:
    exchange.applies()
    url = f"/confirm/{token_to(EMAIL)}/"
    browser = visitor()  # noqa: F811
    for _ in range(3):
        assert browser.get(url).status_code == 200
    assert browser.post(url).status_code == 302
    assert visitor().get(url).status_code == 403


def test_an_application_is_its_sessions_only(exchange: Exchange) -> None:
    exchange.applies()
    browser = visitor()  # noqa: F811
    browser.post(f"/confirm/{token_to(EMAIL)}/")
    assert "海燕气象科技" in browser.get("/application/").content.decode()
    other = visitor()
    assert other.get("/application/").status_code == 302
    assert other.post("/application/", {"act": "withdraw"}).status_code == 302
    assert Application.objects.get().state == "confirmed"


def test_who_did_not_confirm_fills_no_disk(exchange: Exchange) -> None:
    exchange.applies()
    visitor().post("/application/", {"act": "attach", "what": "licence", "file": licence()})
    assert not Document.objects.exists()


def test_a_reviewer_never_sees_what_nobody_confirmed(exchange: Exchange) -> None:
    exchange.applies()
    desk = logged_in(exchange.clerk)
    assert EMAIL not in desk.get("/admin/parties/application/").content.decode()
    made = exchange.confirms(email="li@haiyan.example")
    assert f"{made.pk}" in desk.get("/admin/parties/application/").content.decode()


def test_an_application_waits_for_who_reviews_it_and_no_one_else(exchange: Exchange) -> None:
    made = exchange.submits()

    def waits_for(user: User, step: str) -> bool:
        return f"/{made.pk}/step/{step}/" in logged_in(user).get("/admin/").content.decode()

    assert waits_for(exchange.clerk, "ask")
    assert not waits_for(exchange.clerk, "accredit")
    assert waits_for(exchange.head.user, "accredit")
    for other in (exchange.people.authority, exchange.people.buyer):
        assert not waits_for(city.person(other, Membership.Duty.APPROVER), "accredit")
    applications.do_step(exchange.decides(made), "accredit", exchange.head)
    assert not waits_for(exchange.head.user, "accredit")
    for thing in (*exchange.people.platform.accreditations.all(), exchange.people.buyer):  # nobody waits for an end
        assert str(thing.pk) not in logged_in(exchange.head.user).get("/admin/").content.decode()
    shown = logged_in(exchange.clerk).get(f"/admin/parties/application/{made.pk}/history/").content.decode()
    for said in ("邮箱已确认", "邮件链接打开人", "核准入驻"):
        assert said in shown, said


def test_a_document_is_read_by_its_party_and_never_shown_in_a_page(exchange: Exchange) -> None:
    paper = store(exchange.people.buyer, licence())
    theirs = logged_in(city.person(exchange.people.buyer)).get(f"/documents/{paper.pk}/")
    assert b"".join(theirs.streaming_content) == b"%PDF-1.7 licence"
    assert theirs["Content-Disposition"].startswith("attachment")
    assert "sandbox" in theirs["Content-Security-Policy"]
    for other in (city.person(exchange.people.holder), exchange.clerk, city.break_glass("root")[0]):
        assert logged_in(other).get(f"/documents/{paper.pk}/").status_code == 404


def test_another_partys_application_and_people_are_nobodys_to_see(exchange: Exchange) -> None:
    party = exchange.accredits()
    made = applications.do_renew(party, ["buyer"], newcomer(), "053280000000")
    own, other = logged_in(newcomer()), logged_in(city.person(exchange.people.holder))
    url = f"/parties/applications/{made.pk}/"
    assert own.get(url).status_code == 200
    for answer in (other.get(url), other.post(url, {"act": "withdraw"})):
        assert answer.status_code == 404
    assert EMAIL not in other.get("/parties/").content.decode()
    before = User.objects.count(), len(mailed("li@x.cn"))
    prefix = f"i{party.pk.hex[-6:]}"
    invitation = {"act": "invite", "party": party.pk, f"{prefix}-email": "li@x.cn", f"{prefix}-duties": ["approver"]}
    other.post("/parties/", invitation)
    assert (User.objects.count(), len(mailed("li@x.cn"))) == before
    assert own.post("/parties/", invitation).status_code == 302
    assert len(mailed("li@x.cn")) == 1


def test_a_session_acts_for_one_party_at_a_time(exchange: Exchange) -> None:
    """Of the oldest membership at first; another is chosen, and none that is not one's own."""
    both = city.person(exchange.people.holder)
    Membership.objects.create(user=both, party=exchange.people.operator)
    desk, documents = logged_in(both), {}
    for party in (exchange.people.holder, exchange.people.operator, exchange.people.buyer):
        documents[party] = f"/documents/{store(party, licence()).pk}/"

    def reads() -> list[str]:
        return [party.name_zh for party, url in documents.items() if desk.get(url).status_code == 200]

    assert reads() == [exchange.people.holder.name_zh]
    desk.post("/parties/", {"act": "choose", "party": exchange.people.buyer.pk})
    assert reads() == [exchange.people.holder.name_zh]
    desk.post("/parties/", {"act": "choose", "party": exchange.people.operator.pk})
    assert reads() == [exchange.people.operator.name_zh]
    Membership.objects.filter(party=exchange.people.operator).update(state="ended")
    assert reads() == [exchange.people.holder.name_zh]


def test_an_administrator_ends_a_membership_on_the_page(exchange: Exchange) -> None:
    party = exchange.accredits()
    li = city.person(party)
    own, url = logged_in(newcomer()), "/parties/"
    assert "结束成员资格" in own.get(url).content.decode()
    assert "结束成员资格" not in logged_in(li).get(url).content.decode()
    logged_in(li).post(url, {"act": "remove", "party": party.pk, "user": EMAIL})
    assert newcomer().memberships.filter(state="in_force").count() == 2
    own.post(url, {"act": "remove", "party": party.pk, "user": li.username})
    assert not li.memberships.filter(state="in_force").exists()


def test_a_party_asks_for_another_role_on_its_page(exchange: Exchange) -> None:
    party = exchange.accredits()
    own, prefix = logged_in(newcomer()), f"r{party.pk.hex[-6:]}"
    form = {"act": "renew", "party": party.pk, f"{prefix}-roles": ["holder"], f"{prefix}-phone": "0532 8000 0000"}
    assert own.post("/parties/", form).status_code == 302
    made = Application.objects.get(party=party, state="confirmed")
    assert own.post(f"/parties/applications/{made.pk}/", {"act": "submit"}).status_code == 302
    made.refresh_from_db()
    assert (made.state, made.submitted_by) == ("submitted", newcomer())


def test_decisions_are_noted_by_who_reviews_and_no_one_else(exchange: Exchange) -> None:
    made = exchange.submits()
    wish = made.roles.get()
    until = timezone.localdate().replace(year=timezone.localdate().year + 1, day=1)
    form = {"roles-TOTAL_FORMS": 1, "roles-INITIAL_FORMS": 1, "roles-0-id": wish.pk, "roles-0-application": made.pk,
            "roles-0-decision": "granted", "roles-0-until": until, "roles-0-reason": "",
            "documents-TOTAL_FORMS": 0, "documents-INITIAL_FORMS": 0}  # fmt: skip
    url = f"/admin/parties/application/{made.pk}/change/"
    logged_in(city.person(exchange.people.authority, Membership.Duty.APPROVER)).post(url, form)
    wish.refresh_from_db()
    assert wish.decision == ""
    assert logged_in(exchange.clerk).post(url, form).status_code == 302
    wish.refresh_from_db()
    assert (wish.decision, wish.until) == ("granted", until)


def test_what_a_superuser_does_is_on_record(exchange: Exchange) -> None:
    from exchange.audit.models import Record

    root, _ = city.break_glass("root")
    desk = logged_in(root)
    form = {"user": exchange.clerk.pk, "party": exchange.people.buyer.pk, "duty": "approver"}
    assert desk.post("/admin/parties/membership/add/", form).status_code == 302
    party = {"name_zh": "新平台", "name_en": "", "credit_code": CODE}
    assert desk.post("/admin/parties/party/add/", party).status_code == 302
    kinds = set(Record.objects.values_list("kind", flat=True))
    assert {"glass.entered", "glass.added", "party.made"} <= kinds

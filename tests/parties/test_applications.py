"""Applying to be a party: confirmed by mail, reviewed by whoever runs the exchange, accredited with dates."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, transaction
from django.utils import timezone

from exchange.audit.models import Record, RecordBody
from exchange.errors import Problem
from exchange.parties import accreditation, acts, applications, confirmations, members
from exchange.parties.models import (
    Accreditation,
    Application,
    Confirmation,
    Document,
    Mail,
    Membership,
    Notice,
    Party,
    Role,
    User,
)
from exchange.steps import BEARER
from exchange.work.models import Job
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
    opened,
    refused,
    token_to,
)


@pytest.fixture
def exchange(db: str) -> Iterator[Exchange]:
    forget_mail()
    yield open_exchange()
    forget_mail()


# The e-mail


def test_an_application_is_confirmed_submitted_and_accredited_in_one_go(exchange: Exchange) -> None:
    party = exchange.accredits(roles=("merchant", "buyer"))
    assert (party.name_zh, party.credit_code, party.state) == ("海燕气象科技", CODE, "active")
    assert accreditation.is_accredited(party, Role.MERCHANT)
    assert accreditation.is_accredited(party, Role.BUYER)
    shen = newcomer()
    assert {each.duty for each in shen.memberships.all()} == {"administrator", "editor"}
    assert authenticate(username=EMAIL, password=PASSWORD) == shen
    kinds = Record.objects.filter(kind__startswith="application.").order_by("id").values_list("kind", flat=True)
    assert list(kinds) == [
        "application.made", "application.confirm", "application.document", "application.submit", "application.accredit",
    ]  # fmt: skip
    assert {"party.made", "accreditation.made", "member.admitted"} <= set(Record.objects.values_list("kind", flat=True))
    assert "已通过" in mailed(EMAIL)[-1].subject
    assert Application.objects.get().password == ""


def test_nothing_that_opens_an_application_lies_in_the_database_or_in_the_log(exchange: Exchange) -> None:
    exchange.applies()
    token = token_to(EMAIL)
    plain = token.partition(":")[0]
    kept = [*Confirmation.objects.values_list("digest", flat=True), *Mail.objects.values_list("body", flat=True)]
    kept += [str(payload) for payload in Job.objects.values_list("payload", flat=True)]
    kept += RecordBody.objects.values_list("body", flat=True)
    assert not [text for text in kept if plain in text]
    assert not [text for text in kept if PASSWORD in text]
    assert not [text for text in RecordBody.objects.values_list("body", flat=True) if EMAIL in text or "沈雁" in text]


def test_a_link_is_good_once(exchange: Exchange) -> None:
    exchange.applies()
    token = token_to(EMAIL)
    assert opened(token).state == "confirmed"
    assert refused(opened, token) == "link_invalid"


def test_a_link_ends_after_a_day(exchange: Exchange) -> None:
    exchange.applies()
    token = token_to(EMAIL)
    left = Confirmation.objects.get().expires_at - timezone.now()
    assert timedelta(hours=23) < left <= timedelta(days=1)
    Confirmation.objects.update(expires_at=timezone.now())
    assert refused(opened, token) == "link_invalid"


@pytest.mark.parametrize("change", [lambda t: t[:-1], lambda t: "x" + t, lambda t: t.partition(":")[0], lambda t: ""])
def test_a_link_that_was_altered_opens_nothing(exchange: Exchange, change: Any) -> None:
    exchange.applies()
    assert refused(opened, change(token_to(EMAIL))) == "link_invalid"


def test_of_two_who_open_a_link_at_once_one_does(exchange: Exchange) -> None:
    exchange.applies()
    token = token_to(EMAIL)

    def open_it(_: int) -> str:
        try:
            return opened(token).state
        except Problem as problem:
            return problem.code
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(open_it, range(4))) == ["confirmed", *["link_invalid"] * 3]


def test_a_link_sent_again_ends_the_one_before(exchange: Exchange) -> None:
    exchange.applies()
    first = token_to(EMAIL)
    applications.do_remind(EMAIL.upper())
    second = token_to(EMAIL)
    assert first != second
    assert refused(opened, first) == "link_invalid"
    assert opened(second).state == "confirmed"


def test_an_address_gets_a_few_mails_an_hour_and_no_more(exchange: Exchange) -> None:
    for _ in range(3):
        exchange.applies()
    for _ in range(5):
        applications.do_remind(EMAIL)
    assert len(mailed(EMAIL)) == confirmations.MOST_AN_HOUR


def test_whatever_is_known_the_same_is_done_before_the_answer(exchange: Exchange) -> None:
    """Neither a known address nor a known code shows: not in what is asked of the database, not in what is mailed."""
    from django.test.utils import CaptureQueriesContext

    exchange.accredits()
    facts = [{"email": "new@example.com", "credit_code": exchange.people.stranger.credit_code}, {}, {"email": "n@x.cn"}]
    asked = []
    for each in facts:
        with CaptureQueriesContext(connection) as seen:
            exchange.applies(**each)
        asked.append(len(seen))
    assert len(set(asked)) == 1
    asked = []
    for email in (EMAIL, "nobody@example.com"):
        with CaptureQueriesContext(connection) as seen:
            applications.do_remind(email)
        asked.append(len(seen))
    assert len(set(asked)) == 1
    assert not mailed("nobody@example.com")


def test_who_applies_for_a_party_that_is_there_is_told_by_mail_to_ask_its_administrator(exchange: Exchange) -> None:
    made = exchange.applies(credit_code=exchange.people.stranger.credit_code)
    assert "管理员" not in mailed(EMAIL)[-1].body
    assert opened(token_to(EMAIL)).state == "referred"
    assert "管理员" in mailed(EMAIL)[-1].body
    assert refused(applications.do_step, made, "submit", BEARER) == "step_not_possible"
    assert Application.objects.get().password == ""


@pytest.mark.parametrize(
    "wrong",
    [
        {"credit_code": "91370202MA3D00001X"}, {"email": "shen"}, {"email": ""}, {"phone": "call me"}, {"name_zh": ""},
        {"roles": ()}, {"roles": ("platform",)}, {"roles": ("king",)},
    ],
)  # fmt: skip
def test_an_application_that_is_none_leaves_nothing(exchange: Exchange, wrong: dict[str, Any]) -> None:
    assert refused(lambda: exchange.applies(**wrong)) == "field_invalid"
    assert not Application.objects.exists()
    assert not Job.objects.exists()


@pytest.mark.parametrize("password", ["short", "password1234", "shen@haiyan.example"])
def test_a_weak_password_is_refused(exchange: Exchange, password: str) -> None:
    facts = {"credit_code": CODE, "name_zh": "海燕", "contact": "沈雁", "email": EMAIL, "phone": "053280000000"}
    assert refused(applications.do_apply, Application(**facts), ["buyer"], password) == "field_invalid"


def test_where_nobody_runs_the_exchange_nothing_is_taken(exchange: Exchange) -> None:
    Accreditation.objects.filter(role=Role.PLATFORM).delete()
    assert refused(exchange.applies) == "platform_missing"


# The documents


def test_documents_are_taken_from_confirmed_addresses_only_and_only_so_many(exchange: Exchange) -> None:
    made = exchange.applies()
    assert refused(applications.do_attach, made, "licence", licence(), BEARER) == "step_not_possible"
    made = opened(token_to(EMAIL))
    for number in range(applications.MOST_DOCUMENTS):
        applications.do_attach(made, "other", licence(str(number)), BEARER)
    assert refused(applications.do_attach, made, "licence", licence(), BEARER) == "documents_many"
    assert Document.objects.count() == applications.MOST_DOCUMENTS


def test_what_is_no_document_is_not_kept(exchange: Exchange) -> None:
    made = exchange.confirms()
    program = SimpleUploadedFile("x.pdf", b"MZ", "application/pdf")
    assert refused(applications.do_attach, made, "licence", program, BEARER) == "media_type_unsupported"
    assert not Document.objects.exists()


def test_nothing_is_submitted_without_the_licence(exchange: Exchange) -> None:
    made = exchange.confirms()
    applications.do_attach(made, "mandate", licence(), BEARER)
    assert refused(applications.do_step, made, "submit", BEARER) == "document_missing"


# The review


def test_material_is_asked_for_and_the_answer_comes_by_a_new_link(exchange: Exchange) -> None:
    made = exchange.submits()
    assert refused(applications.do_step, made, "ask", exchange.clerk) == "reason_missing"
    made = applications.do_step(made, "ask", exchange.clerk, "营业执照不清晰")
    assert (made.state, made.answer) == ("returned", "营业执照不清晰")
    assert "营业执照不清晰" in "".join(letter.body for letter in mailed(EMAIL))
    made = opened(token_to(EMAIL))
    applications.do_attach(made, "licence", licence("clear"), BEARER)
    assert applications.do_step(made, "submit", BEARER).state == "submitted"


def test_a_declined_application_says_why_and_makes_nobody(exchange: Exchange) -> None:
    made = applications.do_step(exchange.submits(), "decline", exchange.head, "材料不实")
    assert "材料不实" in mailed(EMAIL)[-1].body
    assert not User.objects.filter(username=EMAIL).exists()
    assert not Party.objects.filter(credit_code=CODE).exists()
    assert Application.objects.get().password == ""
    assert refused(applications.do_step, made, "accredit", exchange.head) == "step_not_possible"


def test_who_may_review(exchange: Exchange) -> None:
    made = exchange.decides(exchange.submits())
    outside = city.verified(city.person(exchange.people.authority, Membership.Duty.APPROVER))
    people = {
        exchange.clerk: "step_not_yours", city.verified(exchange.clerk): "step_not_yours", outside: "step_not_yours",
        exchange.head.user: "second_factor_missing", BEARER: "step_not_yours", None: "step_not_yours",
    }  # fmt: skip
    for by, code in people.items():
        assert refused(applications.do_step, made, "accredit", by) == code
    assert applications.do_step(made, "accredit", exchange.head).state == "accredited"


def test_nobody_decides_on_what_they_applied_for(exchange: Exchange) -> None:
    made = exchange.decides(exchange.submits())
    User.objects.filter(pk=exchange.head.pk).update(email=EMAIL.upper())
    exchange.head.user.refresh_from_db()
    for step in ("accredit", "decline", "ask"):
        assert refused(applications.do_step, made, step, exchange.head, "x") == "step_own"


@pytest.mark.parametrize(
    ("merchant", "code"),
    [
        ({}, "decision_missing"),
        ({"decision": "granted"}, "decision_missing"),
        ({"decision": "granted", "until": timezone.localdate()}, "decision_missing"),
        ({"decision": "declined"}, "reason_missing"),
        ({"decision": "declined", "reason": "无资质"}, ""),
    ],
)
def test_each_role_is_decided_with_a_date_or_a_reason(exchange: Exchange, merchant: dict[str, Any], code: str) -> None:
    made = exchange.decides(exchange.submits(roles=("merchant", "buyer")), merchant=merchant)
    if code:
        assert refused(applications.do_step, made, "accredit", exchange.head) == code
        assert not Party.objects.filter(credit_code=CODE).exists()
    else:
        party = applications.do_step(made, "accredit", exchange.head).party
        assert not accreditation.is_accredited(party, Role.MERCHANT)
        assert accreditation.is_accredited(party, Role.BUYER)


def test_where_no_role_is_granted_it_is_declined_not_accredited(exchange: Exchange) -> None:
    made = exchange.decides(exchange.submits(), merchant={"decision": "declined", "reason": "无资质"})
    assert refused(applications.do_step, made, "accredit", exchange.head) == "decision_missing"


def test_of_two_reviewers_at_once_one_accredits(exchange: Exchange) -> None:
    made = exchange.decides(exchange.submits())
    second = city.verified(city.hire(exchange.people.platform, "second", Membership.Duty.APPROVER)[0])

    def accredit(by: Any) -> str:
        try:
            return applications.do_step(made, "accredit", by).state
        except Problem as problem:
            return problem.code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(accredit, (exchange.head, second))) == ["accredited", "step_not_possible"]
    assert Party.objects.filter(credit_code=CODE).count() == 1
    assert Accreditation.objects.filter(party__credit_code=CODE).count() == 1


def test_of_two_applications_for_one_organization_one_is_accredited(exchange: Exchange) -> None:
    both = [exchange.decides(exchange.submits(email=email)) for email in (EMAIL, "li@haiyan.example")]

    def accredit(made: Application) -> str:
        try:
            return applications.do_step(made, "accredit", exchange.head).state
        except Problem as problem:
            return problem.code
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(accredit, both)) == ["accredited", "party_registered"]
    assert User.objects.filter(username__endswith="haiyan.example").count() == 1


# Afterwards


def test_an_accreditation_is_renewed_from_the_day_after_it_ends(exchange: Exchange) -> None:
    party, shen = exchange.accredits(), newcomer()
    again = applications.do_renew(party, ["merchant", "buyer"], shen, "053280000000")
    assert refused(applications.do_renew, party, ["buyer"], shen, "053280000000") == "application_open"
    again = applications.do_step(again, "submit", shen)
    until = timezone.localdate() + timedelta(days=900)
    again.roles.update(decision="granted", until=until)
    assert applications.do_step(again, "accredit", exchange.head).party == party
    first, second = party.accreditations.filter(role="merchant").order_by("since")
    assert (second.since, second.until) == (first.until + timedelta(days=1), until)
    assert accreditation.is_accredited(party, Role.MERCHANT, on=until)
    assert not accreditation.is_accredited(party, Role.MERCHANT, on=until + timedelta(days=1))
    assert Notice.objects.filter(party=party, kind="application").count() == 2


def test_another_partys_person_submits_no_renewal(exchange: Exchange) -> None:
    party = exchange.accredits()
    again = applications.do_renew(party, ["buyer"], newcomer(), "053280000000")
    assert refused(applications.do_step, again, "submit", city.person(exchange.people.buyer)) == "step_not_yours"


def test_an_ended_accreditation_is_none_today_and_was_one_before(exchange: Exchange) -> None:
    party, today = exchange.people.merchant, timezone.localdate()
    Accreditation.objects.filter(party=party).update(since=today - timedelta(days=9))
    mine = party.accreditations.get()
    assert refused(accreditation.do_step, mine, "end", exchange.head) == "reason_missing"
    assert refused(accreditation.do_step, mine, "end", exchange.head.user, "x") == "second_factor_missing"
    accreditation.do_step(mine, "end", exchange.head, "违反协议")
    assert not accreditation.is_accredited(party, Role.MERCHANT)
    assert accreditation.is_accredited(party, Role.MERCHANT, on=today - timedelta(days=1))


def test_a_suspended_party_is_nobody_until_it_is_resumed(exchange: Exchange) -> None:
    party, shen = exchange.accredits(), newcomer()
    party = accreditation.do_party_step(party, "suspend", exchange.head, "检查")
    assert not accreditation.is_accredited(party, Role.MERCHANT)
    assert not acts.parties_of(shen).exists()
    assert members.administered(shen) == []
    accreditation.do_party_step(party, "resume", exchange.head, "整改完成")
    assert accreditation.is_accredited(party, Role.MERCHANT)


def test_who_runs_the_exchange_does_not_lock_itself_out(exchange: Exchange) -> None:
    party = exchange.people.platform
    assert refused(accreditation.do_party_step, party, "suspend", exchange.head, "x") == "step_not_possible"


def test_what_nobody_goes_on_with_lapses_and_forgets_who_never_confirmed(exchange: Exchange) -> None:
    unconfirmed, idle = exchange.applies(), exchange.confirms(email="li@haiyan.example")
    assert applications.lapse() == 0
    Application.objects.filter(pk=unconfirmed.pk).update(made_at=timezone.now() - timedelta(days=3))
    Application.objects.filter(pk=idle.pk).update(moved_at=timezone.now() - timedelta(days=61))
    assert applications.lapse() == 2
    unconfirmed.refresh_from_db()
    assert (unconfirmed.state, unconfirmed.email, unconfirmed.contact, unconfirmed.password) == ("lapsed", "", "", "")


# People


def joined(token: str, name: str = "李", password: str = PASSWORD) -> User:
    with transaction.atomic():
        return members.do_join(confirmations.do_use(token), name, password)


def test_an_administrator_invites_and_whoever_has_the_mail_joins(exchange: Exchange) -> None:
    party, shen = exchange.accredits(), newcomer()
    members.do_invite(party, "Li@Haiyan.example", ["approver", "editor"], shen)
    li = joined(token_to("li@haiyan.example"))
    assert {each.duty for each in li.memberships.filter(party=party)} == {"approver", "editor"}
    assert authenticate(username="li@haiyan.example", password=PASSWORD) == li
    assert Record.objects.filter(kind="member.admitted").count() == 2


def test_who_has_an_account_joins_another_party_and_keeps_the_password(exchange: Exchange) -> None:
    exchange.accredits()
    boss, _ = city.hire(exchange.people.buyer, "boss", Membership.Duty.ADMINISTRATOR)
    members.do_invite(exchange.people.buyer, EMAIL, ["editor"], boss)
    assert joined(token_to(EMAIL), password="quite another 2026") == newcomer()
    assert authenticate(username=EMAIL, password=PASSWORD) == newcomer()
    assert set(acts.parties_of(newcomer())) == {exchange.people.buyer, Party.objects.get(credit_code=CODE)}


def test_only_its_administrator_invites_to_a_party(exchange: Exchange) -> None:
    party = exchange.accredits()
    for by in (exchange.clerk, exchange.head.user, city.person(exchange.people.buyer)):
        assert refused(members.do_invite, party, "li@haiyan.example", ["editor"], by) == "not_allowed"
    assert refused(members.do_invite, exchange.people.buyer, "li@x.cn", ["editor"], newcomer()) == "not_allowed"
    for duties in ([], ["king"]):
        assert refused(members.do_invite, party, "li@haiyan.example", duties, newcomer()) == "field_invalid"


def test_an_invitation_ends_with_its_inviters_right(exchange: Exchange) -> None:
    party, shen = exchange.accredits(), newcomer()
    members.do_invite(party, "li@haiyan.example", ["editor"], shen)
    token = token_to("li@haiyan.example")
    accreditation.do_party_step(party, "suspend", exchange.head, "检查")
    assert refused(joined, token) == "link_invalid"
    assert not User.objects.filter(username="li@haiyan.example").exists()


def colleague(exchange: Exchange, party: Party, duties: list[str]) -> User:
    members.do_invite(party, "li@haiyan.example", duties, newcomer())
    return joined(token_to("li@haiyan.example"))


def test_a_membership_is_ended_by_an_administrator_and_what_rested_on_it_with_it(exchange: Exchange) -> None:
    party = exchange.accredits()
    li = colleague(exchange, party, ["approver", "editor"])
    for by in (li, exchange.clerk, city.person(exchange.people.buyer)):
        assert refused(members.do_remove, party, newcomer(), by) == "not_allowed"
    assert refused(members.do_remove, party, exchange.clerk, newcomer()) == "not_found"
    members.do_remove(party, li, newcomer())
    assert not acts.parties_of(li).exists()
    assert not acts.has_duty(li, "approver").exists()
    assert refused(members.do_remove, party, li, newcomer()) == "not_found"
    assert Record.objects.filter(kind="membership.end").count() == 2
    members.do_invite(party, "li@haiyan.example", ["editor"], newcomer())
    assert joined(token_to("li@haiyan.example")) == li
    assert acts.parties_of(li).get() == party


def test_a_party_keeps_one_administrator_also_where_two_remove_each_other_at_once(exchange: Exchange) -> None:
    party, shen = exchange.accredits(), newcomer()
    assert refused(members.do_remove, party, shen, shen) == "administrator_last"
    li = colleague(exchange, party, ["administrator"])

    def remove(pair: tuple[User, User]) -> str:
        try:
            members.do_remove(party, *pair)
        except Problem as problem:
            return problem.code
        finally:
            connection.close()
        return "removed"

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(remove, [(shen, li), (li, shen)])) == ["not_allowed", "removed"]

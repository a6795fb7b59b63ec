"""Applying to be a party: what must hold before each step of an application, and what follows from it.

applied → confirmed (e-mail) → submitted → accredited, declined, or returned for material

Whoever applies gets the same answer whether address or credit code are known here; what is known is told by mail, to
the address that was confirmed.
"""

from collections.abc import Iterable
from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db import IntegrityError, transaction
from django.utils import timezone

from exchange.errors import Problem
from exchange.parties import acts, confirmations, documents, members, notices
from exchange.parties.accreditation import platform
from exchange.parties.acts import By
from exchange.parties.models import (
    Accreditation,
    Application,
    ApplicationDocument,
    Confirmation,
    Party,
    RequestedRole,
    Role,
    User,
)
from exchange.steps import BEARER
from exchange.work import jobs

ROLES = tuple(role for role in Role if role != Role.PLATFORM)  # who runs the exchange is not applied for
MOST_DOCUMENTS = 10
UNCONFIRMED = timedelta(days=2)
IDLE = timedelta(days=60)
Decision, What = RequestedRole.Decision, ApplicationDocument.What
OPEN = ("applied", "confirmed", "returned")
_ENDED = {"referred", "accredited", "declined", "withdrawn", "lapsed"}


def do_apply(application: Application, roles: Iterable[str], password: str) -> Application:
    """Take down an application and mail a link to its address; as much work whatever is known of either.

    Raises Problem platform_missing where nobody could review it, field_invalid.
    """
    _platform()
    application.email = members.address(application.email)
    if not application.email:
        raise Problem("field_invalid", "email")
    application.password = make_password(_checked(password, application))
    with transaction.atomic():
        _save(application, "applied", roles)
        acts.record(application, "application.made", BEARER)
        purpose = Confirmation.Purpose.CONFIRM
        confirmations.do_send(Confirmation(purpose=purpose, email=application.email, application=application))
    return application


def do_renew(party: Party, roles: Iterable[str], by: User, phone: str) -> Application:
    """An application of a party that is there: for more roles, or for longer.

    Raises Problem application_open while another is under way, field_invalid.
    """
    _platform()
    if party.applications.filter(state__in=("confirmed", "submitted", "returned")).exists():
        raise Problem("application_open")
    application = Application(
        party=party, credit_code=party.credit_code, name_zh=party.name_zh, name_en=party.name_en,
        contact=by.get_full_name() or by.get_username(), email=members.address(by.email), phone=phone,
    )  # fmt: skip
    with transaction.atomic():
        _save(application, "confirmed", roles)
        acts.record(application, "application.made", by)
    return application


def do_remind(email: str) -> None:
    """Have a link mailed again, if an application of that address can go on.

    The worker looks whether there is one, so that nobody can tell by what happens here.
    """
    with transaction.atomic():
        jobs.do_later("application.remind", {"email": members.address(email)})


@jobs.handles("application.remind")
def _remind(payload: dict[str, str]) -> None:
    with transaction.atomic():
        found = Application.objects.filter(email=payload["email"], state__in=OPEN, party=None).order_by("-pk").first()
        if found is not None:
            _mail_link(found)


def do_confirm(confirmation: Confirmation) -> Application:
    """What follows from opening the link of an application; in the transaction that used it."""
    application: Application = Application.objects.get(pk=confirmation.application_id)
    if application.state != "applied":
        return application
    application = do_step(application, "confirm", BEARER)
    if Party.objects.filter(credit_code=application.credit_code).exists():
        application = do_step(application, "refer", None)
    return application


def do_attach(application: Application, what: str, upload: UploadedFile, by: By) -> ApplicationDocument:
    """Keep a document of an application that is being prepared; as the platform's, until there is a party.

    Raises Problem step_not_possible, documents_many, and as `documents.check` does.
    """
    documents.check(upload)
    with transaction.atomic():
        locked = Application.objects.select_for_update(of=("self",)).get(pk=application.pk)
        if locked.state not in ("confirmed", "returned"):
            raise Problem("step_not_possible", locked.get_state_display())
        if locked.documents.count() >= MOST_DOCUMENTS:
            raise Problem("documents_many")
        paper = documents.store(_platform(), upload, by if isinstance(by, User) else None)
        acts.record(locked, "application.document", by, sha256=paper.sha256)
        return ApplicationDocument.objects.create(application=locked, what=what, document=paper)


def do_step(application: Application, name: str, by: By, reason: str = "") -> Application:
    """Take a step of machines.APPLICATION. Raises Problem."""

    def before(locked: Application) -> None:
        _BEFORE.get(name, _nothing)(locked, by)
        if name in ("ask", "decline"):
            locked.answer = reason.strip()[: acts.MOST_REASON]
        if locked.machine.step(name, locked.state).end in _ENDED and name != "accredit":
            locked.password = ""  # nobody will have it

    def then(locked: Application) -> None:
        _AFTER.get(name, _nothing)(locked, by)

    try:
        return acts.take(application, name, by, reason, before, then)[0]
    except IntegrityError:  # the same organization, accredited by another reviewer at this moment
        raise Problem("party_registered") from None


def lapse() -> int:
    """Close what nobody went on with; how many. For the worker. What was never confirmed forgets the person."""
    now = timezone.now()
    unconfirmed = Application.objects.filter(state="applied", made_at__lt=now - UNCONFIRMED)
    idle = Application.objects.filter(state__in=("confirmed", "returned"), moved_at__lt=now - IDLE)
    number = acts.take_all([*unconfirmed, *idle], lambda each: do_step(each, "lapse", None))
    stale = Application.objects.filter(state="lapsed", made_at__lt=now - UNCONFIRMED).exclude(email="")
    stale.filter(documents=None).update(contact="", email="", phone="")
    return number


def check_password(password: str, email: str, name: str) -> None:
    """Raises ValidationError where Django's validators would not have it for this person."""
    validate_password(password, User(username=email, email=email, first_name=name))


def _checked(password: str, application: Application) -> str:
    try:
        check_password(password, application.email, application.contact)
    except ValidationError as error:
        raise Problem("field_invalid", "; ".join(error.messages)) from None
    return password


def _save(application: Application, state: str, roles: Iterable[str]) -> None:
    wanted = sorted(set(roles))
    if not wanted or not set(wanted) <= {str(role) for role in ROLES}:
        raise Problem("field_invalid", "roles")
    application.state = state
    try:
        application.full_clean(exclude=["password"])
    except ValidationError as error:
        raise Problem("field_invalid", ", ".join(error.message_dict)) from None
    application.save(force_insert=True)
    RequestedRole.objects.bulk_create(RequestedRole(application=application, role=role) for role in wanted)


def _platform() -> Party:
    found = platform()
    if found is None:
        raise Problem("platform_missing")
    return found


def _nothing(application: Application, by: By) -> None:
    pass


def _check_submission(application: Application, by: By) -> None:
    if not application.party_id and not application.documents.filter(what=What.LICENCE).exists():
        raise Problem("document_missing", str(What.LICENCE.label))


def _check_review(application: Application, by: By) -> None:
    """Nobody decides on what they applied for, by whichever way."""
    person = acts.person_of(by)
    if (
        person is not None
        and application.email
        and application.email in (members.address(person.email), person.get_username())
    ):
        raise Problem("step_own")


def _check_decisions(application: Application, by: By) -> None:
    """Every role is granted until a day that is to come, or declined with a reason; one at least is granted."""
    _check_review(application, by)
    wishes = list(application.roles.all())
    for wish in wishes:
        if wish.decision == Decision.GRANTED and (wish.until is None or wish.until <= timezone.localdate()):
            raise Problem("decision_missing", f"{wish}: {RequestedRole._meta.get_field('until').verbose_name}")
        if wish.decision == Decision.DECLINED and not wish.reason.strip():
            raise Problem("reason_missing", str(wish))
        if wish.decision == Decision.OPEN:
            raise Problem("decision_missing", str(wish))
    if not any(wish.decision == Decision.GRANTED for wish in wishes):
        raise Problem("decision_missing")
    if application.party_id is None and Party.objects.filter(credit_code=application.credit_code).exists():
        raise Problem("party_registered")


def _accredit(application: Application, by: By) -> None:
    """Party, person and membership where there are none yet, and the accreditations."""
    if application.party_id is None:
        application.party = Party.objects.create(
            name_zh=application.name_zh, name_en=application.name_en, credit_code=application.credit_code
        )
        acts.record(application.party, "party.made", by)
        user = members.user_of(application.email, application.contact, application.password)
        members.do_grant(user, application.party, members.FIRST_DUTIES, by)
        application.password = ""
        application.save(update_fields=["party", "password"])
    for wish in application.roles.filter(decision=Decision.GRANTED):
        made = Accreditation.objects.create(
            party=application.party, role=wish.role, since=_since(application.party, wish.role), until=wish.until
        )
        acts.record(made, "accreditation.made", by)
    link = f"{settings.SLUICE.url}/admin/"
    _write(application, "入驻申请已通过，请登录", "Your application is approved. Log in at", link)


def _since(party: Party, role: str) -> date:
    """Today, or the day after the one that is in force ends."""
    today = timezone.localdate()
    last = party.accreditations.filter(role=role, until__gte=today).order_by("-until").first()
    return last.until + timedelta(days=1) if last else today


def _refer(application: Application, by: By) -> None:
    zh = "该组织已入驻本平台，请联系贵单位的管理员为您开通账号"
    _write(application, zh, "Your organization is registered here already: ask its administrator to admit you")


def _answer(application: Application, by: By) -> None:
    returned = application.state == "returned"
    zh, en = (
        ("请补正入驻申请材料", "Material is asked for")
        if returned
        else ("入驻申请未通过", "Your application is declined")
    )
    _write(application, zh, en, application.answer)
    if returned and application.party_id is None:
        _mail_link(application)


def _mail_link(application: Application) -> None:
    purpose = Confirmation.Purpose.CONFIRM if application.state == "applied" else Confirmation.Purpose.RESUME
    confirmations.do_send(Confirmation(purpose=purpose, email=application.email, application=application))


def _write(application: Application, zh: str, en: str, more: str = "") -> None:
    zh, en = f"{zh}\n{more}".strip(), f"{en}\n{more}".strip()
    if application.party is None:
        notices.write(application.email, zh, en)
    else:
        notices.tell(application.party, "application", zh, en)


_BEFORE: dict[str, Any] = {
    "submit": _check_submission, "ask": _check_review, "decline": _check_review, "accredit": _check_decisions,
}  # fmt: skip
_AFTER: dict[str, Any] = {"refer": _refer, "ask": _answer, "decline": _answer, "accredit": _accredit}

"""Registration by 26号: what must hold before each step, and what follows from it.

application → acceptance (3 working days) → review (20) → public notice (10) → code
"""

import re
from copy import copy
from datetime import date, timedelta
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils import timezone

from catalog import codes, duplicates, machines, sources
from catalog.models import CodeSeries, Objection, Product, Registration, RegistrationItem, Resource
from exchange.audit import keys, receipts
from exchange.audit.models import Record
from exchange.days import years_after
from exchange.errors import Problem
from exchange.parties import acts, notices
from exchange.parties.accreditation import is_accredited
from exchange.parties.models import Role, User

ADOPTED = re.compile(r"\w[\w.-]{0,59}")  # the code of another registry, which is also part of an address
YEARS = 3  # 26号: a registration is good for 3 years, and is renewed for at most 3 more
RENEWAL = timedelta(days=60)
CHANGEABLE = {
    "name_zh", "name_en", "description_zh", "description_en", "sector", "data_class",
    "frequency", "quality_zh", "quality_en",
}  # fmt: skip
Kind, What = Registration.Kind, RegistrationItem.What


def do_open(registration: Registration, by: User) -> Registration:
    """Save a new application as a draft. Raises Problem registration_open, registration_missing, field_invalid."""
    registration.state = registration.machine.first
    try:
        with transaction.atomic():
            _check_terms(registration)
            registration.save(force_insert=True)
            acts.record(registration, "registration.opened", by)
    except IntegrityError:
        raise Problem("registration_open") from None
    return registration


def do_step(registration: Registration, name: str, by: User | None, reason: str = "") -> Registration:
    """Take a step of the registration's machine; the registration as it is then. Raises Problem."""
    with transaction.atomic():
        taken, record = acts.take(registration, name, by, reason, _BEFORE.get(name), _AFTER.get(name))
        if name == "enter" and taken.state == "in_force":
            _certify(taken, record)
    return taken


def do_adopt(registration: Registration, code: str, since: date, until: date, by: User | None) -> Registration:
    """Enter what another registry has registered, under its code.

    Raises Problem field_invalid, registration_open, party_not_accredited, data_core, assessment_missing.
    """
    if not ADOPTED.fullmatch(code) or not since <= until:
        raise Problem("field_invalid", "code, since, until")
    registration.code, registration.since, registration.until = code, since, until
    registration.state = "in_force"
    try:
        with transaction.atomic():
            _check_parties(registration)
            _check_class(registration)
            registration.save(force_insert=True)
            _register(registration.subject, [])
            _certify(registration, acts.record(registration, "registration.adopted", by))
    except IntegrityError:
        raise Problem("registration_open") from None
    return registration


def lapse() -> int:
    """Cancel every registration that is over (26号 注销); how many. For the worker."""
    over = Registration.objects.filter(state="in_force", until__lt=timezone.localdate())
    return acts.take_all(over, lambda each: do_step(each, "cancel", None, "期满未续展"))


def do_object(objection: Objection) -> Objection:
    """Take down an objection; until it is decided nothing is entered.

    Raises Problem step_not_possible where there is no public notice, item_missing.
    """
    with transaction.atomic():
        registration = Registration.objects.select_for_update(of=("self",)).get(pk=objection.registration_id)
        if registration.state != "noticed":
            raise Problem("step_not_possible")
        if not (objection.name.strip() and objection.contact.strip() and objection.text.strip()):
            raise Problem("item_missing")
        objection.state, objection.made_on = machines.OBJECTION.first, timezone.localdate()
        objection.save(force_insert=True)
        acts.record(objection, "objection.made", None)
        _tell(registration, "objection", "公示期内收到异议", "An objection was made during the public notice")
    return objection


def do_decide(objection: Objection, name: str, by: User, reason: str) -> Objection:
    """Uphold or dismiss an objection. Raises Problem."""
    return acts.take(objection, name, by, reason)[0]


def in_force_for(subject: Resource | Product) -> Registration | None:
    """The registration of `subject` that is in force, if any."""
    return subject.registrations.filter(state="in_force").first()


def _check_terms(registration: Registration) -> None:
    """A first registration is of what has none, any other of what has one; of it only some fields can be changed.

    A draft is edited until it is submitted, so this holds when it is opened, submitted and entered.
    """
    subject = registration.subject
    there = in_force_for(subject) is not None
    if (registration.kind == Kind.FIRST) is there:
        raise Problem("registration_open" if there else "registration_missing")
    changes, known = registration.changes, {field.name for field in subject._meta.concrete_fields} & CHANGEABLE
    if not isinstance(changes, dict) or not changes.keys() <= known:
        raise Problem("field_invalid", "changes", hint=", ".join(sorted(known)))
    changed = copy(subject)
    for field, value in changes.items():
        setattr(changed, field, value)
    try:
        changed.clean_fields(exclude={field.name for field in subject._meta.fields} - changes.keys())
    except ValidationError as error:
        raise Problem("field_invalid", f"changes: {', '.join(sorted(error.message_dict))}") from None


def _check_parties(registration: Registration) -> None:
    """26号: holders register their resources, operators and merchants their products; a correction anybody asks for."""
    subject = registration.subject
    if isinstance(subject, Resource):
        entitled, roles = {subject.holder_id}, (Role.HOLDER,)
    else:
        entitled, roles = {subject.merchant_id, subject.authorization.operator_id}, (Role.MERCHANT, Role.OPERATOR)
    registrant = registration.registrant
    if registration.kind != Kind.CORRECTION and not (registrant.pk in entitled and is_accredited(registrant, *roles)):
        raise Problem("party_not_accredited", str(registrant))
    if not is_accredited(registration.registrar_id, Role.REGISTRAR):
        raise Problem("party_not_accredited", str(registration.registrar))


def _check_class(registration: Registration) -> None:
    """GB/T 43697-2024: core data never enter, important data with their assessment."""
    resource = registration.resource
    if resource is not None:
        data_class = registration.changes.get("data_class", resource.data_class)
        if data_class == Resource.DataClass.CORE:
            raise Problem("data_core")
        if data_class == Resource.DataClass.IMPORTANT and resource.assessment_id is None:
            raise Problem("assessment_missing")


def _check_submission(registration: Registration) -> None:
    """26号: all items are there, evidence before the application; and all that holds again at the entry."""
    _check_terms(registration)
    _check_parties(registration)
    there = {item.what for item in registration.items.all() if item.text.strip() or item.document_id}
    wanted = {Kind.CANCELLATION: set(), Kind.CORRECTION: {What.EVIDENCE}, Kind.RENEWAL: {What.RISK}}
    missing = wanted.get(Kind(registration.kind), set(What)) - there
    if registration.kind in (Kind.FIRST, Kind.CHANGE) and registration.evidenced_on is None:
        missing |= {What.EVIDENCE}
    if missing:
        raise Problem("item_missing", ", ".join(str(What(each).label) for each in sorted(missing)))
    if registration.evidenced_on and registration.evidenced_on > timezone.localdate():
        raise Problem("evidence_too_late")
    _check_class(registration)
    if registration.kind == Kind.RENEWAL:
        _check_renewal(registration)
    if registration.kind == Kind.FIRST and registration.resource:
        registration.alike = dict(duplicates.of(registration.resource))


def _check_renewal(registration: Registration) -> None:
    now = in_force_for(registration.subject)
    if now is None or now.until is None:
        raise Problem("registration_missing")
    if timezone.localdate() < now.until - RENEWAL:
        raise Problem("renewal_too_early")


def _check_asked(registration: Registration) -> None:
    if registration.asked:
        raise Problem("asked_already")


def _check_entry(registration: Registration) -> None:
    """26号: the notice has run its 10 working days, and no objection is open or upheld. Then it is numbered."""
    if registration.machine is machines.REGISTRATION and (
        registration.due_on is None or timezone.localdate() <= registration.due_on
    ):
        raise Problem("notice_running")
    if registration.objections.filter(state__in=("made", "upheld")).exists():
        raise Problem("objection_open")
    _check_terms(registration)
    _check_parties(registration)
    _check_class(registration)
    if registration.resource and registration.kind == Kind.FIRST:
        sources.check_uncontested(registration.resource)
    if registration.machine is machines.REGISTRATION:
        _number(registration)


def _check_end(registration: Registration) -> None:
    if not registration.objections.filter(state="upheld").exists():
        raise Problem("objection_missing")


def _after_asking(registration: Registration) -> None:
    registration.asked = True
    registration.save(update_fields=["asked"])
    _tell(registration, "ask", "请一次性补正登记材料", "Missing material is asked for, once")


def _after_entry(registration: Registration) -> None:
    """A registration in force gets its code and its end, and takes the place of the one before."""
    subject = registration.subject
    for field, value in registration.changes.items():
        setattr(subject, field, value)
    if registration.kind == Kind.CANCELLATION:
        do_step(_wanted(subject), "cancel", None, "注销登记")
    elif registration.kind == Kind.CORRECTION:
        subject.save(update_fields=[*registration.changes])
    else:
        _register(subject, [*registration.changes])
        if registration.resource:
            sources.settle(registration.resource)
        _tell(registration, "enter", f"已登记：{registration.code}", f"registered: {registration.code}")


def _certify(registration: Registration, record: Record) -> None:
    """The certificate is the receipt of the entry's record: whoever verifies receipts verifies it."""
    registration.record = record.pk
    registration.certificate = receipts.sign(record, keys.current("receipt"), settings.SLUICE.origin)
    registration.save(update_fields=["record", "certificate"])


def _number(registration: Registration) -> None:
    """Give the code, the days, and end what it replaces; before the step, for two are never in force."""
    now, today = in_force_for(registration.subject), timezone.localdate()
    registration.since, registration.until = today, _until(registration, now, today)
    registration.code = now.code if now else _next_code(registration, today)
    if now is not None:
        do_step(now, "replace", None)


def _until(registration: Registration, now: Registration | None, today: date) -> date:
    """26号: 3 years, of a product no longer than its agreement; a change leaves the end as it was."""
    before = now.until if now else None
    if registration.kind == Kind.CHANGE and before is not None:
        return before
    end = years_after(before + timedelta(days=1) if before else today, YEARS)
    return min(end, registration.product.authorization.until) if registration.product else end


def _register(subject: Resource | Product, changed: list[str]) -> None:
    """A resource that was cancelled may be registered anew; one that its holder suspended stays so."""
    if isinstance(subject, Resource) and subject.state in (Resource.State.DRAFT, Resource.State.CANCELLED):
        subject.state = Resource.State.REGISTERED
    subject.save(update_fields=["state", *changed])


def _closed(registration: Registration) -> None:
    """Cancelled, lapsed or revoked: what rests on it ends with the next query."""
    subject = registration.subject
    if isinstance(subject, Resource):
        subject.state = Resource.State.CANCELLED
        subject.save(update_fields=["state"])
        sources.close(subject)
    elif subject.state != Product.State.DELISTED:
        acts.take(subject, "cancel", None)
    _tell(registration, "closed", "登记已注销或撤销", "the registration is cancelled or revoked")


def _wanted(subject: Resource | Product) -> Registration:
    found = in_force_for(subject)
    if found is None:
        raise Problem("registration_missing")
    return found


def _next_code(registration: Registration, today: date) -> str:
    kind = "resource" if registration.resource_id else "product"
    series = codes.series(settings.SLUICE.region, today.year, kind)
    CodeSeries.objects.get_or_create(series=series)
    row = CodeSeries.objects.select_for_update().get(series=series)
    row.last += 1
    row.save(update_fields=["last"])
    return codes.code(series, row.last)


def _tell(registration: Registration, kind: str, zh: str, en: str) -> None:
    name = registration.subject.name_zh
    notices.tell(registration.registrant, f"registration.{kind}", f"{name}：{zh}", f"{name}: {en}")


_BEFORE: dict[str, Any] = {
    "submit": _check_submission, "ask": _check_asked, "enter": _check_entry, "end": _check_end,
}  # fmt: skip
_AFTER: dict[str, Any] = {"ask": _after_asking, "enter": _after_entry, "cancel": _closed, "revoke": _closed}

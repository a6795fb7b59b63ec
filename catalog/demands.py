"""The demand board: what must hold before each step of a demand and of an answer, and what follows from it.

demand: draft → submitted → published by the operator or the platform → closed, taken down, expired
answer: made → accepted or declined by who posted the demand
"""

import re
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from catalog.models import Answer, Demand, Product
from exchange.errors import Problem
from exchange.parties import acts, notices
from exchange.parties.accreditation import is_accredited
from exchange.parties.acts import By
from exchange.parties.models import Party, Role

BOARD = Demand.objects.filter(state=Demand.State.PUBLISHED).select_related("party")
"""What the public sees."""

MODERATORS = (Role.OPERATOR, Role.PLATFORM)
# What reaches a person past the board: an address of e-mail or the web, a mobile or another telephone number.
_CONTACT = re.compile(
    r"[\w.+-]+@[\w-]+\.\w|https?://|www\.|(?<!\d)1[3-9]\d[\s-]?\d{4}[\s-]?\d{4}(?!\d)"
    r"|(?<!\d)(?:0\d{2,3}|400)[\s-]?\d{3,4}[\s-]?\d{3,4}(?!\d)",
    re.I,
)


def do_open(demand: Demand, by: By) -> Demand:
    """Save a new demand as a draft. Raises Problem party_not_accredited, not_allowed."""
    _check_mine(demand.party, by)
    _check_role(demand.party, (Role.BUYER,))
    _check_role(demand.moderator, MODERATORS)
    demand.state = demand.machine.first
    with transaction.atomic():
        demand.save(force_insert=True)
        acts.record(demand, "demand.opened", by)
    return demand


def do_step(demand: Demand, name: str, by: By, reason: str = "") -> Demand:
    """Take a step of machines.DEMAND. Raises Problem."""
    return acts.take(demand, name, by, reason, _BEFORE.get(name), _after(name, reason))[0]


def do_answer(answer: Answer, by: By) -> Answer:
    """Answer a demand that is on the board.

    Raises Problem step_not_possible where it is not, party_not_accredited, not_allowed for one's own demand and for a
    product that is not the merchant's listed one, item_missing, answer_open.
    """
    _check_mine(answer.party, by)
    _check_role(answer.party, (Role.MERCHANT,))
    try:
        with transaction.atomic():
            demand = Demand.objects.select_for_update(of=("self",)).get(pk=answer.demand_id)
            if demand.state != Demand.State.PUBLISHED:
                raise Problem("step_not_possible")
            _check_answer(answer, demand)
            answer.state, answer.made_on = answer.machine.first, timezone.localdate()
            answer.submitted_by = acts.person_of(by)
            answer.save(force_insert=True)
            acts.record(answer, "answer.made", by)
            _tell(demand.party, "answer", demand, "收到应答", "there is an answer")
    except IntegrityError:
        raise Problem("answer_open") from None
    return answer


def do_decide(answer: Answer, name: str, by: By, reason: str = "") -> Answer:
    """Take a step of machines.ANSWER. Raises Problem."""
    return acts.take(answer, name, by, reason, then=_told(name, reason))[0]


def expire() -> int:
    """Take what is past its last day from the board; how many. For the worker."""
    over = Demand.objects.filter(state=Demand.State.PUBLISHED, until__lt=timezone.localdate())
    return acts.take_all(over, lambda demand: do_step(demand, "expire", None))


def _check_mine(party: Party, by: By) -> None:
    person = acts.person_of(by)
    if person is None or not (person.is_superuser or acts.parties_of(person).filter(pk=party.pk).exists()):
        raise Problem("not_allowed")


def _check_role(party: Party, roles: tuple[str, ...]) -> None:
    if not is_accredited(party, *roles):
        raise Problem("party_not_accredited", str(party))


def _check_answer(answer: Answer, demand: Demand) -> None:
    if answer.party_id == demand.party_id:
        raise Problem("not_allowed")
    if answer.product_id is None:
        if not answer.text.strip():
            raise Problem("item_missing", str(Answer._meta.get_field("text").verbose_name))
    elif not Product.objects.filter(
        pk=answer.product_id, merchant=answer.party_id, state=Product.State.LISTED
    ).exists():  # as it stands now, not as the form once read it
        raise Problem("product_not_listed")


def _check_submission(demand: Demand) -> None:
    """What is published holds no contact, which is for the one whose answer is accepted, and a day to come."""
    if _CONTACT.search("\n".join((demand.title_zh, demand.title_en, demand.text_zh, demand.text_en))):
        raise Problem("contact_in_text")
    if demand.until < timezone.localdate():
        raise Problem("field_invalid", str(Demand._meta.get_field("until").verbose_name))
    _check_role(demand.party, (Role.BUYER,))


def _check_publication(demand: Demand) -> None:
    _check_role(demand.moderator, MODERATORS)
    _check_submission(demand)
    demand.published_on = timezone.localdate()


_BEFORE: dict[str, Any] = {"submit": _check_submission, "publish": _check_publication}
_TOLD = {
    "submit": ("moderator", "需求待审核", "is to be published or sent back"),
    "publish": ("party", "需求已发布", "is on the board"),
    "send_back": ("party", "需求已退回", "was sent back"),
    "take_down": ("party", "需求已下架", "was taken from the board"),
    "expire": ("party", "需求已到期", "has run out"),
}
_ANSWERED = {
    "accept": ("应答已采纳", "your answer was accepted"),
    "decline": ("应答未采纳", "your answer was declined"),
    "lapse": ("需求已结束", "the demand has left the board"),
}


def _after(name: str, reason: str) -> Any:
    """Who is told of a step; with a demand that leaves the board its open answers lapse."""

    def then(demand: Demand) -> None:
        if name in _TOLD:
            whom, zh, en = _TOLD[name]
            _tell(getattr(demand, whom), name, demand, zh, en, reason)
        if name in ("close", "take_down", "expire"):
            for answer in demand.answers.filter(state=Answer.State.MADE):
                do_decide(answer, "lapse", None)

    return then


def _told(name: str, reason: str) -> Any:
    """The merchant is told; only of an acceptance it learns the contact."""

    def then(answer: Answer) -> None:
        if name in _ANSWERED:
            zh, en = _ANSWERED[name]
            said = answer.demand.contact if name == "accept" else reason
            _tell(answer.party, name, answer.demand, zh, en, said)

    return then


def _tell(party: Party, kind: str, demand: Demand, zh: str, en: str, more: str = "") -> None:
    title, more = demand.title_zh, more.strip()
    notices.tell(
        party, f"demand.{kind}", f"{title}：{zh}" + (f"（{more}）" if more else ""),
        f"{demand.title_en or title}: {en}" + (f" ({more})" if more else ""),
    )  # fmt: skip

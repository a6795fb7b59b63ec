"""An organization that applies, and the people of the exchange who review it: what tests of onboarding play with."""

import re
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import transaction
from django.utils import timezone

from exchange.errors import Problem
from exchange.parties import applications, confirmations
from exchange.parties.models import Application, Membership, Party, User
from exchange.parties.second_factor import Verified
from exchange.parties.uscc import check_character
from exchange.steps import BEARER
from exchange.work import jobs
from fixtures import city

PASSWORD = "haiyan weather 2026"
CODE = "91370202MA3D00001" + check_character("91370202MA3D00001")
EMAIL = "shen@haiyan.example"


def licence(text: str = "licence") -> SimpleUploadedFile:
    return SimpleUploadedFile("licence.pdf", b"%PDF-1.7 " + text.encode(), "application/pdf")


def mailed(to: str) -> list[Any]:
    """What the worker has mailed to an address by now."""
    jobs.run_due()
    return [letter for letter in getattr(mail, "outbox", []) if letter.to == [to]]


def forget_mail() -> None:
    """Empty the outbox that all tests of a process share."""
    getattr(mail, "outbox", []).clear()


def token_to(to: str) -> str:
    """The token of the newest link that was mailed to an address."""
    links = [found for letter in mailed(to) for found in re.findall(r"/confirm/([^/\s]+)/", letter.body)]
    assert links, f"no link was mailed to {to}"
    return str(links[-1])


def opened(token: str) -> Application:
    """What opening a link and saying so does."""
    with transaction.atomic():
        return applications.do_confirm(confirmations.do_use(token))


def refused(act: Any, *arguments: Any) -> str:
    with pytest.raises(Problem) as problem:
        act(*arguments)
    return problem.value.code


@dataclass
class Exchange:
    """The platform's clerk notes decisions, its head accredits; Haiyan applies."""

    people: city.City
    clerk: User
    head: Verified
    made: list[Application] = field(default_factory=list)

    def applies(self, roles: tuple[str, ...] = ("merchant",), **more: Any) -> Application:
        facts = {
            "credit_code": CODE, "name_zh": "海燕气象科技", "name_en": "Haiyan Weather", "contact": "沈雁",
            "email": EMAIL, "phone": "+86 532 8000 0000",
        } | more  # fmt: skip
        return applications.do_apply(Application(**facts), roles, PASSWORD)

    def confirms(self, **more: Any) -> Application:
        made = self.applies(**more)
        return opened(token_to(made.email))

    def submits(self, **more: Any) -> Application:
        made = self.confirms(**more)
        applications.do_attach(made, "licence", licence(), BEARER)
        return applications.do_step(made, "submit", BEARER)

    def decides(self, made: Application, **decisions: Any) -> Application:
        """Each role granted for a year, but for those that are said otherwise."""
        until = timezone.localdate() + timedelta(days=365)
        for wish in made.roles.all():
            said = decisions.get(wish.role, {"decision": "granted", "until": until})
            made.roles.filter(pk=wish.pk).update(**said)
        return made

    def accredits(self, **more: Any) -> Party:
        made = self.decides(self.submits(**more))
        return applications.do_step(made, "accredit", self.head).party


def newcomer() -> User:
    return User.objects.get(username=EMAIL)


def open_exchange() -> Exchange:
    people = city.found_city()
    clerk, head = (city.person(people.platform, duty) for duty in (Membership.Duty.EDITOR, Membership.Duty.APPROVER))
    return Exchange(people, clerk, city.verified(head))

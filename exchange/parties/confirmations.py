"""Confirmation by mail: a link with a signed token, good once and for some days, of which only a hash is kept.

The token is made when the mail is sent, so that it lies in no table, the outbox included. What links are good for is
said here; what follows from opening one is the business of `applications` and `members`.
"""

import hashlib
import secrets
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.core.mail import send_mail
from django.core.signing import BadSignature, Signer
from django.utils import timezone

from exchange.errors import Problem
from exchange.parties.models import Confirmation
from exchange.work import jobs

Purpose = Confirmation.Purpose
LIFE = {Purpose.CONFIRM: timedelta(days=1), Purpose.RESUME: timedelta(days=7), Purpose.JOIN: timedelta(days=7)}
MOST_AN_HOUR = 4  # mails to one address: nobody's inbox is filled from here
_SAYS = {
    Purpose.CONFIRM: ("请确认入驻申请的邮箱", "Confirm the address of your application"),
    Purpose.RESUME: ("继续办理入驻申请", "Go on with your application"),
    Purpose.JOIN: ("邀请您加入", "You are invited to join"),
}
_IGNORE = ("如非本人操作，请忽略本邮件。", "If you did not ask for this, ignore it.")


def do_send(confirmation: Confirmation) -> bool:
    """Have the link mailed; in the caller's transaction. Earlier ones of its kind are then worth nothing.

    False, and nothing is sent, where the address got enough mail in the last hour.
    """
    now, same = timezone.now(), Confirmation.objects.filter(email=confirmation.email)
    if same.filter(made_at__gt=now - timedelta(hours=1)).count() >= MOST_AN_HOUR:
        return False
    same.filter(
        purpose=confirmation.purpose, application=confirmation.application, party=confirmation.party, used_at=None
    ).update(expires_at=now, digest=None)  # fmt: skip
    confirmation.save(force_insert=True)
    jobs.do_later("confirmation.send", {"confirmation": str(confirmation.pk)})
    return True


@jobs.handles("confirmation.send")
def send(payload: dict[str, str]) -> None:
    """Make the token and mail it. Done again after a crash it mails another; the one before is then worth nothing."""
    found = Confirmation.objects.select_related("party").get(pk=payload["confirmation"])
    if found.used_at is not None or (found.expires_at is not None and found.digest is None):  # another came after
        return
    token, life = secrets.token_urlsafe(32), LIFE[Purpose(found.purpose)]
    found.digest, found.expires_at = _digest(token), timezone.now() + life
    Confirmation.objects.filter(pk=found.pk).update(digest=found.digest, expires_at=found.expires_at)
    subject, body = _letter(found, f"{settings.SLUICE.url}/confirm/{_signer().sign(token)}/", life)
    send_mail(subject, body, None, [found.email])


def look(token: str) -> Confirmation:
    """The confirmation that a link is for, unused and in time. Raises Problem link_invalid, whatever is wrong."""
    return _found(token, Confirmation.objects.select_related("party", "application"))


def do_use(token: str) -> Confirmation:
    """The same, and it is used; in the caller's transaction. Of two at once the second is told it is not valid."""
    found = _found(token, Confirmation.objects.select_for_update())
    found.used_at = timezone.now()
    found.save(update_fields=["used_at"])
    return found


def _found(token: str, among: Any) -> Confirmation:
    try:
        plain = _signer().unsign(token)
    except BadSignature:  # most of what is made up asks no database
        raise Problem("link_invalid") from None
    found = among.filter(digest=_digest(plain), used_at=None, expires_at__gt=timezone.now()).first()
    if found is None:
        raise Problem("link_invalid")
    return found


def _letter(confirmation: Confirmation, link: str, life: timedelta) -> tuple[str, str]:
    zh, en = _SAYS[Purpose(confirmation.purpose)]
    if party := confirmation.party:
        zh, en = f"{zh}{party.name_zh}", f"{en} {party.name_en or party.name_zh}"
    return " ".join(zh.split()), (
        f"{zh}，链接 {life.days} 日内有效，仅可使用一次：\n\n{link}\n\n{_IGNORE[0]}\n\n"
        f"{en}. The link is good once, for {life.days * 24} hours:\n\n{link}\n\n{_IGNORE[1]}\n"
    )


def _signer() -> Signer:
    return Signer(salt="sluice.confirmation")


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()

"""Telling people: a row in the party's inbox, and e-mail by outbox."""

from django.core.mail import send_mail
from django.utils import timezone

from exchange.parties.models import Mail, Membership, Notice, Party, User
from exchange.work import jobs


def tell(party: Party, kind: str, text_zh: str, text_en: str) -> Notice:
    """Put a notice in the party's inbox and a mail to each member with an address into the outbox.

    Called in the transaction of what it tells, so that neither exists without the other.
    """
    notice = Notice.objects.create(party=party, kind=kind, text_zh=text_zh, text_en=text_en)
    live = Membership.State.IN_FORCE
    people = (
        User.objects.filter(memberships__party=party, memberships__state=live, is_active=True)
        .exclude(email="")
        .distinct()
    )
    for person in people:
        write(person.email, text_zh, text_en)
    return notice


def write(to: str, text_zh: str, text_en: str) -> None:
    """Put a mail into the outbox; its first line is the subject. It must hold no secret: the outbox is kept."""
    mail = Mail.objects.create(to=to, subject=text_zh.partition("\n")[0][:80], body=f"{text_zh}\n\n{text_en}\n")
    jobs.do_later("mail.send", {"mail": str(mail.pk)})


@jobs.handles("mail.send")
def send(payload: dict[str, str]) -> None:
    """Send one mail. A crash between sending and marking sends it again: mail has no idempotency."""
    mail = Mail.objects.get(pk=payload["mail"])
    if mail.sent_at is None:
        send_mail(mail.subject, mail.body, None, [mail.to])
        Mail.objects.filter(pk=mail.pk).update(sent_at=timezone.now())

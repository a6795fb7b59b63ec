"""Who belongs to a party: the first person by its application, others by invitation of its administrator."""

from collections.abc import Iterable

from django.contrib.auth.hashers import make_password
from django.db import transaction

from exchange.audit import log
from exchange.errors import Problem
from exchange.parties import acts, confirmations
from exchange.parties.acts import By
from exchange.parties.models import Confirmation, Membership, Party, User

Duty = Membership.Duty
FIRST_DUTIES = (Duty.ADMINISTRATOR, Duty.EDITOR)


def address(email: str) -> str:
    """An e-mail address as it is kept and compared; it is also the login name."""
    return email.strip().lower()


def administered(user: User) -> list[Party]:
    """The active parties whose people this person admits."""
    return list(acts.has_duty(user, Duty.ADMINISTRATOR).distinct().order_by("pk"))


def all_of(user: User) -> list[Party]:
    """The active parties a person is a member of, whichever the session acts for; what came first stands first."""
    mine = user.memberships.filter(state=Membership.State.IN_FORCE, party__state=Party.State.ACTIVE)
    return list(Party.objects.filter(pk__in=mine.values("party")).order_by("pk"))


def do_invite(party: Party, email: str, duties: Iterable[str], by: User) -> None:
    """Mail an invitation to join `party` with these duties; the same whether the address is known.

    Raises Problem not_allowed where `by` is no administrator of it, field_invalid.
    """
    if party not in administered(by):
        raise Problem("not_allowed")
    wanted = sorted(set(duties))
    if not wanted or not set(wanted) <= set(Duty.values):
        raise Problem("field_invalid", "duties")
    with transaction.atomic():
        made = Confirmation(
            purpose=Confirmation.Purpose.JOIN, email=address(email), party=party, duties=wanted, made_by=by
        )
        if not confirmations.do_send(made):
            raise Problem("too_many_requests")
        log.append("member.invited", {"v": 1, "party": str(party.pk), "duties": wanted, "actor": str(by.pk)})


def do_join(confirmation: Confirmation, name: str, password: str) -> User:
    """What follows from opening an invitation; in the transaction that used it. Who has an account keeps its password.

    Raises Problem link_invalid where party or inviter may no longer invite.
    """
    party, inviter = confirmation.party, confirmation.made_by
    if party is None or inviter is None or party not in administered(inviter):
        raise Problem("link_invalid")
    user = user_of(confirmation.email, name, make_password(password))
    do_grant(user, party, confirmation.duties, inviter)
    return user


def has_account(email: str) -> bool:
    return User.objects.filter(username=address(email)).exists()


def user_of(email: str, name: str, password_hash: str) -> User:
    """The person with that confirmed address, made if there is none."""
    user, _made = User.objects.get_or_create(
        username=address(email),
        defaults={"email": address(email), "first_name": name[:150], "password": password_hash, "is_staff": True},
    )
    return user


def do_grant(user: User, party: Party, duties: Iterable[str], by: By) -> None:
    """Make the person a member with these duties; in the caller's transaction."""
    for duty in duties:
        Membership.objects.get_or_create(user=user, party=party, duty=duty, state=Membership.State.IN_FORCE)
    person = acts.person_of(by)
    body = {"v": 1, "party": str(party.pk), "user": str(user.pk), "duties": sorted(duties)}
    log.append("member.admitted", body | {"actor": str(person.pk) if person else "application"})


def do_remove(party: Party, user: User, by: User) -> None:
    """End a person's membership of `party`, with all duties; from the next request on they don't act for it.

    Raises Problem not_allowed where `by` is no administrator of it, not_found, administrator_last.
    """
    with transaction.atomic():
        Party.objects.select_for_update(of=("self",)).get(pk=party.pk)  # two administrators may remove each other
        if party not in administered(by):
            raise Problem("not_allowed")
        live = party.memberships.filter(state=Membership.State.IN_FORCE)
        if not (theirs := list(live.filter(user=user))):
            raise Problem("not_found")
        if not live.filter(duty=Duty.ADMINISTRATOR).exclude(user=user).exists():
            raise Problem("administrator_last")
        for each in theirs:
            acts.take(each, "end", by)

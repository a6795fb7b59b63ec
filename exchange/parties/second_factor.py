"""The second factor: time-based one-time codes (RFC 6238) for whoever approves or moves money.

A code is good once. After some wrong ones each further one costs a wait. What comes out of a right one is `Verified`,
which steps that approve ask for: who has only a `User` has no proof.
"""

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import pyotp
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from exchange.audit import log
from exchange.crypto import sealing
from exchange.crypto.keys import SigningKey, load_or_create
from exchange.errors import Problem
from exchange.parties.models import RecoveryCode, SecondFactor, User

ISSUER = "Sluice"
STEP_SECONDS = 30  # RFC 6238 §5.2, also for how far a clock may be off: one step
DRIFT = 1
HOLDS = timedelta(hours=12)  # NIST SP 800-63B §4.2.3: shown again after 12 hours
FREE_FAILURES = 5
LONGEST_WAIT = timedelta(minutes=15)
RECOVERY_CODES = 10


@dataclass(frozen=True, slots=True)
class Verified:
    """A person who showed the second factor at `since`. Made here only: by a right code, or from its session."""

    user: User
    enrolled_at: datetime
    since: datetime

    @property
    def pk(self) -> UUID:
        return self.user.pk

    def for_session(self) -> dict[str, str]:
        """What a session keeps of it, for `of_session`."""
        return {"enrolled_at": self.enrolled_at.isoformat(), "since": self.since.isoformat()}


def user_of(by: User | Verified) -> User:
    return by.user if isinstance(by, Verified) else by


def require(by: User | Verified) -> None:
    """Raises Problem second_factor_missing where `by` did not show the second factor, or too long ago."""
    if not isinstance(by, Verified) or timezone.now() - by.since > HOLDS:
        raise Problem("second_factor_missing")


def of_session(user: User, kept: dict[str, str] | None) -> User | Verified:
    """Who a session speaks for, by what `for_session` had it keep.

    A factor that was reset or replaced since proves nothing.
    """
    since, enrolled_at = (parse_datetime((kept or {}).get(name, "")) for name in ("since", "enrolled_at"))
    if since is None or enrolled_at is None or timezone.now() - since > HOLDS:
        return user
    there = SecondFactor.objects.filter(user=user.pk, enrolled_at=enrolled_at).exists()
    return Verified(user, enrolled_at, since) if there else user


def is_enrolled(user: User) -> bool:
    return SecondFactor.objects.filter(user=user.pk).exclude(enrolled_at=None).exists()


def do_begin(by: User | Verified) -> str:
    """Make a secret to enrol with; base32. The one in use stays until `do_confirm`.

    Raises Problem second_factor_missing where another is in use and was not shown.
    """
    user = user_of(by)
    with transaction.atomic():
        SecondFactor.objects.get_or_create(user=user)
        factor = _locked(user)
        if factor.enrolled_at is not None:
            require(by)
        secret = pyotp.random_base32()  # 160 bits, RFC 4226 §4 R6
        factor.pending = sealing.seal(_key(), secret.encode(), user.pk.bytes)
        factor.save(update_fields=["pending"])
    return secret


def pending_secret(user: User) -> str:
    """The secret being enrolled. Raises Problem step_not_possible where there is none."""
    factor = SecondFactor.objects.filter(user=user.pk).first()
    if factor is None or not factor.pending:
        raise Problem("step_not_possible")
    return _open(factor, factor.pending)


def uri(user: User, secret: str) -> str:
    """What an authenticator reads from the QR code (otpauth://)."""
    return pyotp.TOTP(secret, interval=STEP_SECONDS).provisioning_uri(name=user.get_username(), issuer_name=ISSUER)


def do_confirm(user: User, code: str, now: datetime | None = None) -> tuple[Verified, list[str]]:
    """Enrol with the pending secret by a code of it; the proof, and recovery codes that are shown this once.

    Raises Problem step_not_possible, second_factor_wrong, second_factor_wait.
    """
    now, codes = now or timezone.now(), [_recovery_code() for _ in range(RECOVERY_CODES)]
    with transaction.atomic():
        factor = _waited(user, now)
        if not factor.pending:
            raise Problem("step_not_possible")
        step = _step_of(_open(factor, factor.pending), code, now)
        if step is not None:
            factor.sealed, factor.pending, factor.enrolled_at, factor.last_step = factor.pending, b"", now, step
            factor.recovery_codes.all().delete()
            RecoveryCode.objects.bulk_create(RecoveryCode(factor=factor, digest=_digest(each)) for each in codes)
            log.append("second_factor.enrolled", {"v": 1, "user": str(user.pk)})
        _count(factor, step is not None, now)
    if step is None:
        raise Problem("second_factor_wrong")
    return Verified(user, now, now), codes


def do_verify(user: User, code: str, now: datetime | None = None) -> Verified:
    """The proof that `user` has the authenticator, or a recovery code, which is then used.

    Raises Problem second_factor_missing where none is enrolled, second_factor_wrong, second_factor_wait. Of two who
    show one code at once, the second is told that it is wrong.
    """
    now = now or timezone.now()
    with transaction.atomic():
        factor = _waited(user, now)
        if factor.enrolled_at is None:
            raise Problem("second_factor_missing")
        right = _spend_code(factor, code, now) or _spend_recovery_code(factor, code, now)
        _count(factor, right, now)
    if not right:  # after the transaction, which keeps the failure
        raise Problem("second_factor_wrong")
    return Verified(user, factor.enrolled_at, now)


def do_reset(user: User, by: User | Verified) -> None:
    """Take away a factor that was lost with its recovery codes; a superuser's, by second factor, on record.

    Raises Problem not_allowed, step_own, second_factor_missing.
    """
    actor = user_of(by)
    if not actor.is_superuser:
        raise Problem("not_allowed")
    if actor.pk == user.pk:
        raise Problem("step_own")
    require(by)
    with transaction.atomic():
        if SecondFactor.objects.filter(user=user).exists():
            factor = _locked(user)
            factor.sealed, factor.pending, factor.enrolled_at = b"", b"", None
            factor.recovery_codes.all().delete()
            factor.save()
        log.append("second_factor.reset", {"v": 1, "user": str(user.pk), "actor": str(actor.pk), "superuser": True})


def _locked(user: User) -> SecondFactor:
    found = SecondFactor.objects.select_for_update().filter(user=user.pk).first()
    if found is None:
        raise Problem("second_factor_missing")
    return found


def _waited(user: User, now: datetime) -> SecondFactor:
    factor = _locked(user)
    if factor.wait_until is not None and now < factor.wait_until:
        raise Problem("second_factor_wait")
    return factor


def _count(factor: SecondFactor, right: bool, now: datetime) -> None:
    """RFC 4226 §7.3: after some wrong codes each further one costs twice the wait of the one before."""
    factor.failures = 0 if right else factor.failures + 1
    over = factor.failures - FREE_FAILURES
    wait = min(LONGEST_WAIT, timedelta(seconds=STEP_SECONDS * 2 ** min(max(over, 0), 10)))
    factor.wait_until = now + wait if over >= 0 else None
    factor.save()


def _spend_code(factor: SecondFactor, code: str, now: datetime) -> bool:
    """RFC 6238 §5.2: a code is not accepted a second time, nor one from before it."""
    step = _step_of(_open(factor, factor.sealed), code, now)
    if step is None or step <= factor.last_step:
        return False
    factor.last_step = step
    return True


def _spend_recovery_code(factor: SecondFactor, code: str, now: datetime) -> bool:
    found = factor.recovery_codes.filter(digest=_digest(code), used_at=None).update(used_at=now)
    if found:
        log.append("second_factor.recovered", {"v": 1, "user": str(factor.user_id)})
    return bool(found)


def _step_of(secret: str, code: str, now: datetime) -> int | None:
    """The latest time step near `now` that `code` is of."""
    given, current = "".join(code.split()), int(now.timestamp()) // STEP_SECONDS
    totp = pyotp.TOTP(secret, interval=STEP_SECONDS)
    fits = [
        step
        for step in range(current - DRIFT, current + DRIFT + 1)
        if hmac.compare_digest(totp.generate_otp(step).encode(), given.encode())
    ]
    return max(fits, default=None)


def _recovery_code() -> str:
    text = base64.b32encode(secrets.token_bytes(10)).decode().lower()
    return "-".join(text[i : i + 4] for i in range(0, 16, 4))


def _digest(code: str) -> str:
    plain = "".join(each for each in code.lower() if each.isalnum())
    return hashlib.sha256(plain.encode()).hexdigest()


def _open(factor: SecondFactor, sealed: Any) -> str:
    return sealing.unseal(_key(), bytes(sealed), factor.user_id.bytes).decode()


def _key() -> SigningKey:
    return load_or_create(Path(settings.SLUICE.var) / "keys" / "sealing.pem", settings.SLUICE.key_passphrase)

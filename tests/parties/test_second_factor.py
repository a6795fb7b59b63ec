"""The second factor: codes by RFC 6238, each good once, and what a lost authenticator needs."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection
from django.utils import timezone
from pyotp import TOTP

from exchange.audit.models import Record
from exchange.crypto import sealing
from exchange.crypto.keys import load_or_create
from exchange.errors import Problem
from exchange.parties import second_factor
from exchange.parties.models import RecoveryCode, SecondFactor, User
from exchange.parties.second_factor import Verified
from fixtures import city

NOON = datetime(2026, 3, 2, 4, 0, 15, tzinfo=UTC)  # in the middle of a step
STEP = timedelta(seconds=30)


class Phone:
    """A person's authenticator."""

    def __init__(self, name: str = "wei", at: datetime = NOON) -> None:
        self.user = User.objects.create_user(name)
        self.secret = second_factor.do_begin(self.user)
        self.proof, self.codes = second_factor.do_confirm(self.user, self.shows(at), at)

    def shows(self, at: datetime) -> str:
        return TOTP(self.secret).at(at)

    def enters(self, code: str, at: datetime) -> Verified:
        return second_factor.do_verify(self.user, code, at)


def refused(phone: Phone, code: str, at: datetime) -> str:
    with pytest.raises(Problem) as problem:
        phone.enters(code, at)
    return problem.value.code


@pytest.fixture
def phone(db: str) -> Phone:
    return Phone()


def test_the_codes_are_those_of_the_rfc() -> None:
    """RFC 6238, appendix B, the last six of its eight digits."""
    assert second_factor._step_of("GEZDGNBVGY3TQOJQ" * 2, "287082", datetime.fromtimestamp(59, UTC)) == 1


def test_a_code_is_good_once(phone: Phone) -> None:
    later = NOON + STEP
    assert phone.enters(phone.shows(later), later).user == phone.user
    assert refused(phone, phone.shows(later), later) == "second_factor_wrong"
    assert refused(phone, phone.shows(NOON), later) == "second_factor_wrong"


def test_the_code_one_enrolled_with_is_used(phone: Phone) -> None:
    assert refused(phone, phone.shows(NOON), NOON) == "second_factor_wrong"


def test_a_clock_may_be_off_by_one_step(phone: Phone) -> None:
    later = NOON + 10 * STEP
    assert refused(phone, phone.shows(later + 2 * STEP), later) == "second_factor_wrong"
    assert refused(phone, phone.shows(later - 2 * STEP), later) == "second_factor_wrong"
    assert phone.enters(phone.shows(later - STEP), later)
    assert phone.enters(phone.shows(later + STEP), later)


def test_of_two_who_show_one_code_at_once_one_is_let_in(phone: Phone) -> None:
    later = NOON + STEP
    code = phone.shows(later)

    def enter(_: int) -> str:
        try:
            phone.enters(code, later)
        except Problem as problem:
            return problem.code
        finally:
            connection.close()
        return "in"

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(enter, range(4))) == ["in", *["second_factor_wrong"] * 3]


def test_guessing_costs_a_wait_that_doubles(phone: Phone) -> None:
    later = NOON + 10 * STEP
    for _ in range(5):
        assert refused(phone, "000000", later) == "second_factor_wrong"
    assert refused(phone, phone.shows(later), later) == "second_factor_wait"
    after = later + STEP
    assert refused(phone, "000000", after) == "second_factor_wrong"
    assert refused(phone, phone.shows(after), after + STEP) == "second_factor_wait"
    free = after + 2 * STEP
    assert phone.enters(phone.shows(free), free)
    assert SecondFactor.objects.get().failures == 0


def test_a_recovery_code_is_good_once_and_on_record(phone: Phone) -> None:
    assert len(set(phone.codes)) == 10
    spoken = phone.codes[3].upper().replace("-", " ")
    assert phone.enters(spoken, NOON)
    assert refused(phone, phone.codes[3], NOON) == "second_factor_wrong"
    assert Record.objects.filter(kind="second_factor.recovered").count() == 1
    assert refused(Phone("li"), phone.codes[4], NOON) == "second_factor_wrong"


def test_neither_the_secret_nor_a_recovery_code_lies_in_the_database(phone: Phone) -> None:
    kept = SecondFactor.objects.get()
    assert phone.secret.encode() not in bytes(kept.sealed) + bytes(kept.pending)
    digests = RecoveryCode.objects.values_list("digest", flat=True)
    assert not {code.replace("-", "") for code in phone.codes} & set(digests)


def test_a_sealed_secret_is_its_owners_only(phone: Phone) -> None:
    other = Phone("li")
    mine, theirs = (SecondFactor.objects.get(user=each.user) for each in (phone, other))
    SecondFactor.objects.filter(pk=theirs.pk).update(sealed=mine.sealed)
    with pytest.raises(ValueError, match="not sealed"):
        other.enters(phone.shows(NOON + STEP), NOON + STEP)


def test_what_is_sealed_is_opened_whole_or_not_at_all(tmp_path) -> None:
    key = load_or_create(tmp_path / "a.pem", b"passphrase")
    sealed = sealing.seal(key, b"secret", b"wei")
    assert sealing.unseal(key, sealed, b"wei") == b"secret"
    for wrong in (sealed[:-1], sealed[:-1] + bytes([sealed[-1] ^ 1]), b"\x02" + sealed[1:], b""):
        with pytest.raises(ValueError, match="sealed"):
            sealing.unseal(key, wrong, b"wei")
    with pytest.raises(ValueError, match="sealed"):
        sealing.unseal(load_or_create(tmp_path / "b.pem"), sealed, b"wei")


def test_a_wrong_code_enrols_nothing(db: str) -> None:
    user = User.objects.create_user("wei")
    second_factor.do_begin(user)
    with pytest.raises(Problem) as problem:
        second_factor.do_confirm(user, "000000")
    assert problem.value.code == "second_factor_wrong"
    assert not second_factor.is_enrolled(user)


def test_another_authenticator_is_set_up_by_who_shows_the_first(phone: Phone) -> None:
    with pytest.raises(Problem) as problem:
        second_factor.do_begin(phone.user)
    assert problem.value.code == "second_factor_missing"
    now = timezone.now()
    secret = second_factor.do_begin(replace(phone.proof, since=now))
    assert phone.enters(phone.shows(NOON + STEP), NOON + STEP)  # until the other is confirmed
    fresh, _codes = second_factor.do_confirm(phone.user, TOTP(secret).at(now), now)
    assert refused(phone, phone.shows(now + STEP), now + STEP) == "second_factor_wrong"
    assert refused(phone, phone.codes[0], now + STEP) == "second_factor_wrong"
    assert isinstance(second_factor.of_session(phone.user, fresh.for_session()), Verified)


def test_a_session_is_verified_for_twelve_hours_by_the_factor_in_use(db: str) -> None:
    phone = Phone(at=timezone.now())
    kept = phone.proof.for_session()
    assert second_factor.of_session(phone.user, kept) == phone.proof
    for wrong in (None, {}, {"since": "x", "enrolled_at": ""}, kept | {"since": str(NOON)}):
        assert second_factor.of_session(phone.user, wrong) == phone.user
    assert second_factor.of_session(User.objects.create_user("li"), kept) != phone.proof


def test_a_lost_factor_is_reset_by_another_superuser_and_its_sessions_end(db: str) -> None:
    phone, kept = Phone(at=timezone.now()), None
    kept = phone.proof.for_session()
    root, _ = city.break_glass("root")
    attempts = {phone.proof: "not_allowed", root: "second_factor_missing"}
    for by, code in attempts.items():
        with pytest.raises(Problem) as problem:
            second_factor.do_reset(phone.user, by)
        assert problem.value.code == code
    second_factor.do_reset(phone.user, city.verified(root))
    assert second_factor.of_session(phone.user, kept) == phone.user
    assert refused(phone, phone.shows(timezone.now()), timezone.now()) == "second_factor_missing"
    assert Record.objects.filter(kind="second_factor.reset").count() == 1
    with pytest.raises(Problem) as problem:
        second_factor.do_reset(root, city.verified(root))
    assert problem.value.code == "step_own"

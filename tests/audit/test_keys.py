"""Keys: made once, known for ever, replaced without losing what the old ones signed."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection, transaction

from exchange.audit import keys
from exchange.audit.models import Record, VerificationKey
from exchange.audit.sequencer import run_once
from exchange.audit.verify.__main__ import main
from tests.audit.acts import evidence, grow

pytestmark = pytest.mark.usefixtures("db")


def test_a_receipt_of_a_retired_key_still_verifies(tmp_path: Path) -> None:
    old = evidence(grow(1)[0], tmp_path / "old")
    keys.rotate("receipt")
    fresh = evidence(grow(1)[0], tmp_path / "fresh")
    old.jwks.write_bytes(fresh.jwks.read_bytes())
    assert (main(old.arguments), main(fresh.arguments)) == (0, 0)
    fresh_header, old_header = (kept.receipt.read_text().split(".")[0] for kept in (fresh, old))
    assert fresh_header != old_header


def test_a_proof_of_a_retired_log_key_verifies_with_the_key_one_kept(tmp_path: Path) -> None:
    old = evidence(grow(1)[0], tmp_path / "old")
    keys.rotate("log")
    run_once()
    fresh = evidence(grow(1)[0], tmp_path / "fresh")
    assert (main(old.arguments), main(fresh.arguments)) == (0, 0)
    assert main([*old.arguments[:4], str(fresh.vkey), *old.arguments[5:]]) == 1


def test_an_old_receipt_has_a_fresh_proof_under_a_fresh_log_key(tmp_path: Path) -> None:
    made = grow(1)[0]
    keys.rotate("log")
    run_once()
    assert main(evidence(made, tmp_path / "kept").arguments) == 0


def test_every_key_is_a_record_in_the_log() -> None:
    for purpose in keys.PURPOSES:
        keys.current(purpose)
        keys.rotate(purpose)
    assert Record.objects.filter(kind="key.registered").count() == VerificationKey.objects.count() == 6
    published = {key["kid"] for key in keys.jwks()["keys"]}
    assert published == {*keys.public("receipt"), *keys.public("order")} and len(published) == 4


def test_the_private_half_is_its_owners_only() -> None:
    keys.current("receipt")
    (path,) = (settings.SLUICE.var / "keys").glob("receipt.pem")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_key_already_registered_costs_no_query() -> None:
    first = keys.current("receipt")
    seen: list[str] = []
    with connection.execute_wrapper(lambda run, sql, *rest: seen.append(sql) or run(sql, *rest)):
        assert keys.current("receipt").kid == first.kid
    assert seen == []


def test_a_registration_rolled_back_is_made_again() -> None:
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        keys.current("receipt")
        1 / 0  # noqa: B018
    assert not keys.public("receipt")
    assert keys.current("receipt").kid in keys.public("receipt")


def test_first_uses_at_once_make_one_key() -> None:
    def use(_: int) -> str:
        found = keys.current("receipt").kid
        connection.close()
        return found

    with ThreadPoolExecutor(6) as pool:
        assert len(set(pool.map(use, range(6)))) == 1
    assert VerificationKey.objects.count() == 1


def test_a_rotation_killed_half_way_goes_on_with_the_key_it_made(monkeypatch: pytest.MonkeyPatch) -> None:
    old = keys.current("receipt")
    with monkeypatch.context() as killed:
        killed.setattr(Path, "replace", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            keys.rotate("receipt")
    assert keys.current("receipt").kid == old.kid
    (made,) = keys.public("receipt").keys() - {old.kid}
    assert keys.rotate("receipt").kid == made
    assert keys.current("receipt").kid == made


def test_a_purpose_that_is_none_has_no_key() -> None:
    with pytest.raises(ValueError, match="'payout' is not one of"):
        keys.current("payout")

"""The verifier, as a buyer or a regulator runs it: what was changed anywhere is found."""

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import joserfc.jws
import pytest
from django.conf import settings
from hypothesis import HealthCheck, given
from hypothesis import settings as effort
from hypothesis import strategies as st
from joserfc.jwk import KeySet

from exchange.audit import keys, receipts
from exchange.audit.sequencer import log_folder, run_once
from exchange.audit.verify.__main__ import main
from exchange.audit.verify.log import check_log, opener
from exchange.audit.verify.note import read_vkey
from exchange.audit.verify.text import Failed, read_json
from exchange.crypto import jws
from tests.audit.acts import ROOT, Evidence, append, evidence, files, grow

VERIFIER = ROOT / "exchange" / "audit" / "verify"


@pytest.fixture
def kept(db: str, tmp_path: Path) -> Evidence:
    """The evidence of one record in a log of 300."""
    return evidence(grow(300)[123], tmp_path / "kept")


def test_a_receipt_verifies(kept: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(kept.arguments) == 0
    said = capsys.readouterr().out
    assert "is signed by the key" in said and "stands in that log at index" in said
    assert said.endswith("verified\n")


def test_a_key_set_beside_the_receipt_is_found(kept: Evidence) -> None:
    kept.jwks.rename(kept.receipt.with_name("jwks.json"))
    assert main(kept.arguments[:-2]) == 0


def test_without_a_key_set_it_says_what_it_cannot_check(kept: Evidence, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(kept.arguments[:-2])
    assert stopped.value.code == 2
    assert "the receipt's signature cannot be checked" in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_no_verdict(kept: Evidence) -> None:
    kept.proof.unlink()
    assert main(kept.arguments) == 2


def test_another_jose_library_verifies_a_receipt(kept: Evidence) -> None:
    trusted = KeySet.import_key_set(json.loads(kept.jwks.read_text()))
    found = joserfc.jws.deserialize_compact(kept.receipt.read_bytes(), trusted, algorithms=["EdDSA"])
    assert json.loads(found.payload)["iss"] == settings.SLUICE.origin


@pytest.mark.parametrize("name", ["receipt", "proof", "vkey"])
def test_any_changed_letter_is_found(kept: Evidence, name: str) -> None:
    path: Path = getattr(kept, name)
    text = path.read_text().rstrip("\n")

    @given(st.integers(0, len(text) - 1), st.sampled_from("AZaz09+/=-. —"))
    @effort(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def change(place: int, letter: str) -> None:
        if text[place] != letter:
            path.write_text(text[:place] + letter + text[place + 1 :] + "\n")
            assert main(kept.arguments) == 1

    change()


def signed(payload: dict[str, object], typ: str = receipts.RECEIPT_TYPE) -> str:
    return jws.sign(payload, keys.current("receipt"), typ)


def flipped(text: str) -> str:
    data = base64.b64decode(text)
    return base64.b64encode(bytes([data[0] ^ 1]) + data[1:]).decode()


LIES: list[Callable[[dict[str, object]], object]] = [
    lambda said: said["record"].update(amount=1),
    lambda said: said["record"].pop("party"),
    lambda said: said.update(salt=flipped(said["salt"])),
    lambda said: said.update(salt=base64.b64encode(base64.b64decode(said["salt"]) + b"{").decode()),
    lambda said: said.update(entry=said["entry"].replace("settled", "refused")),
    lambda said: said.update(entry=said["entry"].replace('"v":1', '"v":2')),
    lambda said: said.update(entry=said["entry"].replace(",", ", ")),
    lambda said: said.update(entry=None),
    lambda said: said.update(record=[]),
    lambda said: said.update(iss="another.example/log"),
    lambda said: said.update(v=2),
]


@pytest.mark.parametrize("lie", LIES)
def test_our_own_signature_does_not_cover_up_a_lie(kept: Evidence, lie: Callable[[dict[str, object]], object]) -> None:
    payload = read_json(base64.urlsafe_b64decode(kept.receipt.read_text().split(".")[1] + "=="), "payload")
    lie(payload)
    kept.receipt.write_text(signed(payload))
    assert main(kept.arguments) == 1


def test_an_order_is_no_receipt(kept: Evidence) -> None:
    payload = read_json(base64.urlsafe_b64decode(kept.receipt.read_text().split(".")[1] + "=="), "payload")
    kept.receipt.write_text(signed(payload, "sluice-order+jws"))
    assert main(kept.arguments) == 1


def test_the_proof_of_another_record_does_not_do(kept: Evidence, tmp_path: Path) -> None:
    other = evidence(grow(1)[0], tmp_path / "other")
    assert main(other.arguments) == 0
    shutil.copy(other.proof, kept.proof)
    assert main(kept.arguments) == 1


def test_a_checkpoint_of_another_log_does_not_do(kept: Evidence) -> None:
    origin = settings.SLUICE.origin
    kept.proof.write_text(kept.proof.read_text().replace(origin, "another.example/log"))
    assert main(kept.arguments) == 1


@pytest.mark.parametrize("text", ['{"a":1.5}', '{"a":1,"a":2}', "{", '{"a":NaN}', '{"a":1e3}', "[" * 99_999])
def test_json_that_could_be_read_in_two_ways_is_refused(text: str) -> None:
    with pytest.raises(Failed):
        read_json(text, "it")


def test_a_published_log_verifies(kept: Evidence) -> None:
    assert main(["--log", str(log_folder()), "--vkey", str(kept.vkey)]) == 0


def test_any_changed_byte_of_a_published_log_is_found(kept: Evidence) -> None:
    folder, log = log_folder(), read_vkey(kept.vkey.read_text())
    before = files(folder)

    @given(st.sampled_from(sorted(before)), st.integers(0, 20_000), st.integers(1, 255))
    @effort(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def change(path: str, place: int, by: int) -> None:
        data = bytearray(before[path])
        data[place % len(data)] ^= by
        (folder / path).write_bytes(data)
        with pytest.raises(Failed):
            list(check_log(opener(str(folder)), log))
        (folder / path).write_bytes(before[path])

    change()


def test_a_missing_file_of_a_published_log_is_found(kept: Evidence) -> None:
    folder, log = log_folder(), read_vkey(kept.vkey.read_text())
    for path, data in files(folder).items():
        (folder / path).unlink()
        with pytest.raises(Failed, match="missing|no checkpoint"):
            list(check_log(opener(str(folder)), log))
        (folder / path).write_bytes(data)


def test_a_dropped_entry_is_found_by_its_licences_numbers(db: str) -> None:
    append(2, licence="L-1")
    append(1, licence="L-1", first=4)
    run_once()
    with pytest.raises(Failed, match="L-1 has numbers up to 4, but lacks 1"):
        list(check_log(opener(str(log_folder())), read_vkey(keys.log_vkey())))


def test_it_verifies_over_http(kept: Evidence, server: str) -> None:
    assert main(["--log", f"{server}/log", "--vkey", str(kept.vkey)]) == 0


def test_the_folder_of_the_verifier_stands_alone(kept: Evidence, tmp_path: Path) -> None:
    """Copied elsewhere, run without our code, it imports nothing beyond `cryptography`."""
    shutil.copytree(VERIFIER, tmp_path / "verify")
    script = (
        "import sys, runpy; sys.argv = ['verify', *sys.argv[1:]]\n"
        "try: runpy.run_module('verify', run_name='__main__')\n"
        "except SystemExit as stop: code = stop.code\n"
        "strange = {'django', 'exchange', 'jwt', 'rfc8785', 'rest_framework'} & set(sys.modules)\n"
        "sys.exit(f'it imported {strange}' if strange else code)"
    )
    command = [sys.executable, "-c", script, *kept.arguments]
    found = subprocess.run(command, cwd=tmp_path, env={}, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.endswith("verified\n")


def test_as_a_module_of_ours_it_loads_no_django(kept: Evidence) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "exchange.audit.verify", *kept.arguments]
    found = subprocess.run(command, cwd=ROOT, env={}, capture_output=True, text=True, check=False)
    assert found.returncode == 0
    assert "exchange.audit.verify" in found.stderr and "django" not in found.stderr

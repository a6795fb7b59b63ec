"""Proofs of inclusion and receipts, as a buyer fetches them."""

import base64
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.conf import settings
from django.db import connection

from exchange.audit import keys, log, proofs, receipts
from exchange.audit.models import Checkpoint, Record
from exchange.audit.sequencer import run_once
from exchange.audit.verify.note import open_checkpoint, read_vkey
from exchange.audit.verify.receipt import read_proof
from exchange.audit.verify.tree import leaf_hash, root_by_proof
from exchange.crypto import jws
from exchange.errors import Problem
from tests.audit.acts import SETTLED, append, grow, record

pytestmark = pytest.mark.usefixtures("db")


def size_proved(of: Record) -> int:
    """The size of the log that a record is proved to be in."""
    index, siblings, note = read_proof(proofs.inclusion(of))
    checkpoint = open_checkpoint(note, read_vkey(keys.log_vkey()))
    assert index == of.leaf.index
    assert root_by_proof(index, checkpoint.size, leaf_hash(log.entry_of(of)), siblings) == checkpoint.root
    return checkpoint.size


def test_a_record_has_no_proof_before_its_turn() -> None:
    with pytest.raises(Problem) as problem:
        proofs.inclusion(record())
    assert (problem.value.code, problem.value.status) == ("not_yet_logged", 409)


def test_every_record_is_proved_under_the_newest_checkpoint() -> None:
    made = [*grow(255), *grow(1), *grow(2)]  # and the record of the log's key: 256, 257, 259
    for one in [*made[:3], *made[250:]]:
        assert size_proved(one) == 259


def test_a_log_of_one_record_needs_no_hashes() -> None:
    run_once()
    only = Record.objects.get()
    note = Checkpoint.objects.get().note
    assert proofs.inclusion(only) == f"c2sp.org/tlog-proof@v1\nindex 0\n\n{note}"
    assert size_proved(only) == 1


def test_a_growing_log_gives_proofs_that_hold() -> None:
    (first,) = grow(1)
    done = threading.Event()

    def keep_growing() -> None:
        for _ in range(25):
            append(13)
            run_once()
        done.set()
        connection.close()

    with ThreadPoolExecutor(1) as pool:
        growing, sizes = pool.submit(keep_growing), []
        while not done.is_set() and not growing.done():
            sizes.append(size_proved(first))
        growing.result()
    assert sizes == sorted(sizes)
    assert size_proved(first) == 2 + 25 * 13


def test_a_receipt_says_what_was_recorded_and_is_the_same_whenever_it_is_signed() -> None:
    made = record(licence="L-1", seq=1)
    key, issuer = keys.current("receipt"), settings.SLUICE.origin
    token = receipts.sign(made, key, issuer)
    said = jws.verify(token, {key.kid: key.public}, receipts.RECEIPT_TYPE)
    assert (said["record"], said["entry"], said["jti"], said["iss"]) == (SETTLED, made.entry, str(made.pk), issuer)
    assert base64.b64decode(said["salt"]) == bytes(made.content.salt)
    assert said["iat"] == int(made.time.timestamp())
    assert receipts.sign(Record.objects.get(pk=made.pk), key, issuer) == token

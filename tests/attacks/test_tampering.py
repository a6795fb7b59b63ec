"""What whoever owns the exchange's tables and files can change unseen: records, the log, the evidence buyers keep."""

import random
from collections.abc import Callable
from pathlib import Path

from django.db import connection, transaction

from exchange.audit import append_only, keys
from exchange.audit.sequencer import log_folder
from exchange.audit.verify.__main__ import main
from exchange.audit.verify.log import check_log, opener
from exchange.audit.verify.note import open_checkpoint, read_vkey
from exchange.audit.verify.text import Failed
from tests.attacks.chance import times
from tests.attacks.conftest import Write
from tests.audit import test_fsck as owner
from tests.audit.acts import evidence, grow

REORDERED = [f'UPDATE audit_leaf SET "index" = {to} WHERE "index" = {at}' for at, to in ((7, -1), (8, 7), (-1, 8))]
CHANGES = times(100, 2000)


def unseen(crime: list[str], seen: Callable[[], object]) -> bool:
    """Whether `seen` finds nothing where the owner ran these statements past the triggers, which stand again."""
    with transaction.atomic():
        for statement in crime:
            owner.as_owner(statement)
        found = seen()
        transaction.set_rollback(True)
    return not found


def missed(folder: Path, names: list[str], check: Callable[[], bool]) -> float:
    """The share of `CHANGES` single bits, each in one of these files, with which `check` still holds."""
    held = 0
    for _ in range(CHANGES):
        path = folder / random.choice(names)
        whole = path.read_bytes()
        spoiled = bytearray(whole)
        spoiled[random.randrange(len(whole))] ^= 1 << random.randrange(7)
        path.write_bytes(spoiled)
        held += check()
        path.write_bytes(whole)
    return held / CHANGES


def test_evidence_tampering(db: str, board: Write, tmp_path: Path) -> None:
    """Records, leaves, hashes, checkpoints and keys changed, dropped, put in and reordered; single bits of what is
    published, and of what a buyer keeps. How much of it does nobody see?"""
    owner.write_log()
    crimes = [*([statement] for statement in dict.fromkeys(statement for statement, _ in owner.CRIMES)), REORDERED]
    share = sum(unseen(crime, owner.wrong) for crime in crimes) / len(crimes)
    board("fsck", share, chance=0, trials=len(crimes), at_most=0)
    share = sum(unseen(crime, append_only.missing) for crime in crimes) / len(crimes)
    board("control, triggers alone", share, chance=0, trials=len(crimes), at_least=1)
    connection.close()  # what a rolled back transaction took away of triggers is read anew

    kept = evidence(grow(1)[0], tmp_path / "kept")
    log, folder, read = read_vkey(keys.log_vkey()), log_folder(), set()

    def fetch(path: str) -> bytes | None:
        found = opener(str(folder))(path)
        read.update([path] if found is not None else [])
        return found

    def holds() -> bool:
        try:
            return bool(list(check_log(fetch, log)))
        except Failed:
            return False

    assert holds() and main(kept.arguments) == 0
    names = sorted(read)  # of older checkpoints there are tiles that nobody reads any more
    board("verifier, published log", missed(folder, names, holds), chance=0, trials=CHANGES, at_most=0)
    names.remove("checkpoint")
    signed = missed(folder, names, lambda: bool(open_checkpoint((folder / "checkpoint").read_text(), log)))
    board("control, its signature alone", signed, chance=0, trials=CHANGES, at_least=1)
    papers = [path.name for path in (kept.receipt, kept.proof)]
    share = missed(tmp_path / "kept", papers, lambda: main(kept.arguments) == 0)
    board("verifier, receipt and proof", share, chance=0, trials=CHANGES, at_most=0)

"""What these tests do again and again, through the log's public interface."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from django.conf import settings
from django.db import transaction

from exchange.audit import keys, log, proofs, receipts, sequencer
from exchange.audit.models import Record

ROOT = Path(__file__).parents[2]
SETTLED = {"party": "Bob 数商", "amount": 120, "query": {"measures": ["count"], "by": ["街道"]}, "stored": False}


def append(count: int = 1, licence: str | None = None, first: int = 1) -> list[Record]:
    """So many records in one transaction; those of a licence are numbered from `first`."""
    with transaction.atomic():
        return [
            log.append("thing.done", {"number": number}, licence=licence, seq=number if licence else None)
            for number in range(first, first + count)
        ]


def files(folder: Path) -> dict[str, bytes]:
    """The bytes of a published log by path, without locks and drafts."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith("."))
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


def published() -> dict[str, bytes]:
    """The bytes of this exchange's published log by path."""
    return files(sequencer.log_folder())


def record(kind: str = "query.settled", licence: str | None = None, seq: int | None = None) -> Record:
    """One record in a transaction of its own."""
    with transaction.atomic():
        return log.append(kind, SETTLED, licence=licence, seq=seq)


def grow(count: int) -> list[Record]:
    """So many records more, in the log and published."""
    with transaction.atomic():
        made = [log.append("query.settled", SETTLED | {"number": number}) for number in range(count)]
    sequencer.run_once()
    return made


class Evidence(NamedTuple):
    """The files a buyer keeps."""

    receipt: Path
    proof: Path
    vkey: Path
    jwks: Path

    @property
    def arguments(self) -> list[str]:
        return [str(self.receipt), "--proof", str(self.proof), "--vkey", str(self.vkey), "--jwks", str(self.jwks)]


def evidence(of: Record, folder: Path) -> Evidence:
    folder.mkdir(exist_ok=True)
    kept = Evidence(*(folder / name for name in ("r.jws", "r.tlog-proof", "log.vkey", "keys.json")))
    kept.receipt.write_text(receipts.sign(of, keys.current("receipt"), settings.SLUICE.origin))
    kept.proof.write_text(proofs.inclusion(of))
    kept.vkey.write_text(keys.log_vkey() + "\n")
    kept.jwks.write_text(json.dumps(keys.jwks()))
    return kept


KILLED = """
import django, os, signal, sys
django.setup()
from exchange.audit import keys, sequencer
keys.current("log")
event, turns = sys.argv[1], int(sys.argv[2])
def die(name, arguments):
    global turns
    if name == event and (event != 'os.rename' or '/log/' in str(arguments[1])):
        turns -= 1
        if not turns:
            os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(die)
sequencer.run_once()
"""


def sequence_until_killed(folder: Path, event: str, turn: int = 1) -> int:
    """Run the sequencer in a process that dies of SIGKILL at the `turn`-th audit event of that name.

    Of `os.rename` only those count by which a file of the log appears. Its exit code, negative for a signal.
    """
    process = subprocess.run(
        [sys.executable, "-c", KILLED, event, str(turn)],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        check=False,
    )
    return process.returncode

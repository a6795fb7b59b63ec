"""docs/evidence.md does what it says: its checks by hand, run as printed."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.audit.acts import ROOT, Evidence, evidence, grow

PAGE = (ROOT / "docs" / "evidence.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return found


@pytest.fixture
def kept(db: str, tmp_path: Path) -> Evidence:
    """Under the names of the page, with an entry at the ragged edge of a tree."""
    grow(1)
    found = evidence(grow(5)[4], tmp_path)
    found.receipt.rename(tmp_path / "RECEIPT.jws")
    found.proof.rename(tmp_path / "RECEIPT.tlog-proof")
    return found._replace(receipt=tmp_path / "RECEIPT.jws", proof=tmp_path / "RECEIPT.tlog-proof")


def by_hand(kept: Evidence) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", block("python"), str(kept.receipt), str(kept.proof)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_script_finds_the_entry_in_the_log(kept: Evidence) -> None:
    found = by_hand(kept)
    assert (found.returncode, found.stdout) == (0, "in the log sluice.localhost/log of 7 entries\n")


def test_the_script_finds_a_changed_proof(kept: Evidence) -> None:
    kept.proof.write_text(kept.proof.read_text().replace("index 6", "index 5"))
    assert "not in this log" in by_hand(kept).stderr


def test_openssl_verifies_the_checkpoint(kept: Evidence, program: Callable[[str, str], str]) -> None:
    program("openssl", "openssl")
    run = {"cwd": kept.receipt.parent, "capture_output": True, "text": True, "check": False}
    found = subprocess.run(["sh", "-c", block("sh")], **run)
    assert (found.returncode, found.stdout) == (0, "Signature Verified Successfully\n"), found.stderr
    kept.proof.write_text(kept.proof.read_text().replace("\n7\n", "\n8\n"))
    assert subprocess.run(["sh", "-c", block("sh")], **run).returncode != 0

"""Go's checksum-database packages, which are not ours, read our checkpoint, tiles and proof."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from exchange.audit import log, sequencer
from exchange.audit.models import Checkpoint
from tests.audit.acts import append, evidence, grow

SOURCE = Path(__file__).parent / "go"


@pytest.fixture(scope="session")
def checker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program in go/, built; its modules come from the module proxy and are held by go.sum."""
    go = shutil.which("go") or shutil.which("go", path="/usr/local/go/bin")
    if go is None:
        pytest.skip("go is not installed (Debian: apt-get install golang)")
    program = tmp_path_factory.mktemp("go") / "check"
    built = subprocess.run(
        [go, "build", "-o", str(program), "."],
        cwd=SOURCE,
        env=os.environ | {"GOFLAGS": "-mod=readonly -buildvcs=false"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return program


@pytest.mark.parametrize("size", [2, 255, 256, 257, 700])
def test_go_accepts_our_log_at_the_edges_of_tiles(checker: Path, db: str, tmp_path: Path, size: int) -> None:
    (middle, *_) = grow(size // 2)
    old = Checkpoint.objects.latest("size").size
    append(size - old)
    sequencer.run_once()
    kept = evidence(middle, tmp_path / "kept")
    entry = tmp_path / "entry"
    entry.write_bytes(log.entry_of(middle))
    newest = Checkpoint.objects.latest("size")
    command = [checker, sequencer.log_folder(), kept.vkey, kept.proof, entry, str(old)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (found.returncode, found.stderr) == (0, "")
    assert found.stdout.split()[0] == str(newest.size)
    assert found.stdout.split()[1] == newest.note.split("\n")[2]


def test_go_refuses_a_proof_of_another_entry(checker: Path, db: str, tmp_path: Path) -> None:
    one, other = grow(2)
    kept = evidence(one, tmp_path / "kept")
    entry = tmp_path / "entry"
    entry.write_bytes(log.entry_of(other))
    command = [checker, sequencer.log_folder(), kept.vkey, kept.proof, entry, "1"]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.returncode == 1
    assert "invalid" in found.stderr

"""The suite's own rules: a skip is a failure where nothing may be skipped, and says what is missing elsewhere."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SKIPPED = """
import pytest

@pytest.mark.skip(reason="tired")
def test_with_a_mark(): pass

def test_in_its_body(): pytest.skip("tired")

def test_in_a_fixture(program): program("no-such-program", "no-such-package")

def test_for_want_of_real_data(real_data): pass
"""
MODULE = "import pytest; pytest.skip('tired', allow_module_level=True)"


@pytest.fixture
def run(tmp_path: Path):
    """A function that runs this suite's conftest on tests that are skipped, in a process of its own."""

    def run(**environment: str) -> "subprocess.CompletedProcess[str]":
        (tmp_path / "test_skipped.py").write_text(SKIPPED)
        (tmp_path / "test_module.py").write_text(MODULE)
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-ra",
            "-p",
            "tests.conftest",
            "-p",
            "no:cacheprovider",
            "--continue-on-collection-errors",
            tmp_path,
        ]
        inherited = {name: value for name, value in os.environ.items() if name != "SLUICE_REAL_DATA"}
        given = inherited | {"PYTHONPATH": str(ROOT), "DATABASE_URL": "", "SLUICE_TEST_DB": ""} | environment
        return subprocess.run(command, cwd=tmp_path, env=given, capture_output=True, text=True, timeout=60)

    return run


def test_a_skipped_test_says_what_is_missing(run):
    done = run(SLUICE_NO_SKIP="")
    assert "5 skipped" in done.stdout
    assert "no-such-program is not installed (Debian: apt-get install no-such-package)" in done.stdout


def test_where_nothing_may_be_skipped_a_skip_is_a_failure(run):
    """Only the real data, which are not part of the project, may be missing."""
    done = run(SLUICE_NO_SKIP="1")
    assert done.returncode != 0
    assert "2 failed, 1 skipped, 2 errors" in done.stdout


def test_an_unknown_database_is_refused_by_name(run):
    done = run(SLUICE_TEST_DB="oracle")
    assert done.returncode != 0
    assert "SLUICE_TEST_DB=oracle: sqlite or postgres" in done.stderr

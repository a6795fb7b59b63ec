"""The repository as a newcomer and a packager see it: pins, pages, commands, links."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
REGISTRIES = re.compile(r"(index-url|find-links|goproxy|registry)[ =:\"']+(https?:/)?/", re.I)
MACHINE_PATHS = re.compile(r"(?<![\w.~$}-])/(work|root|home|Users)/[\w.-]")
VARIABLE = re.compile(r"\b(SLUICE_[A-Z_]+|DATABASE_URL)\b")
PINS = ("requirements.txt", "requirements-dev.txt")


def tracked(*patterns: str) -> list[Path]:
    names = subprocess.run(
        ["git", "ls-files", "-z", *patterns], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [ROOT / name for name in names.split("\0") if name and (ROOT / name).is_file()]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="ignore")


def requirements(name: str) -> dict[str, str]:
    """Each pin (with its marker) and the text of its hashes."""
    blocks = re.split(r"\n(?=\S)", text_of(ROOT / name).replace("\\\n", ""))
    return {block.split("--hash")[0].strip(): block for block in blocks if "==" in block.splitlines()[0]}


@pytest.mark.parametrize("pattern", [REGISTRIES, MACHINE_PATHS], ids=["registry", "machine path"])
def test_no_tracked_file_names_a_registry_or_a_path_of_some_machine(pattern):
    found = {path.name for path in tracked() if path != Path(__file__) and pattern.search(text_of(path))}
    assert found == set()


def test_nothing_that_installs_names_a_host():
    """Whoever builds this may have a mirror; which one is their package manager's business."""
    installing = tracked(*PINS, "pyproject.toml", "Makefile", ".ci/*", "tests/audit/go/go.mod")
    assert len(installing) >= 6
    assert {path.name for path in installing if "://" in text_of(path)} == set()


@pytest.mark.parametrize("name", PINS)
def test_every_requirement_is_pinned_by_hash(name):
    pins = requirements(name)
    assert len(pins) > 40
    assert [pin for pin, block in pins.items() if "--hash=sha256:" not in block] == []


def test_what_is_developed_with_is_what_is_served():
    assert requirements(PINS[0]).keys() <= requirements(PINS[1]).keys()


READMES = ("README.md", "README.zh.md")


@pytest.mark.parametrize("page", [*READMES, *(str(p.relative_to(ROOT)) for p in tracked("docs/*.md"))])
def test_every_make_command_on_a_page_exists(page):
    targets = set(re.findall(r"^([a-z]+):", text_of(ROOT / "Makefile"), re.M))
    said = re.findall(r"(?:^|`)make (?:-s )?([a-z]+)", text_of(ROOT / page), re.M)
    assert set(said) <= targets


def test_the_readme_shows_the_two_commands():
    assert {"make demo", "make test"} <= set(re.findall(r"make [a-z]+", text_of(ROOT / "README.md")))


SAME = {
    "headings": r"^(#+) ",
    "make commands": r"(?:^|`)make [a-z]+",
    "links": r"\]\(((?!README)[^)]+)\)",
    "folders, files and names": r"`([\w./-]+)`",
    "rows of tables": r"^(\|) ",
}


@pytest.mark.parametrize("pattern", SAME.values(), ids=SAME)
def test_the_readme_says_the_same_in_both_languages(pattern):
    english, chinese = (sorted(re.findall(pattern, text_of(ROOT / name), re.M)) for name in READMES)
    assert english
    assert english == chinese


def test_the_readmes_show_the_same_commands_and_lead_to_each_other():
    english, chinese = (text_of(ROOT / name) for name in READMES)
    shown = [re.findall(r"^```sh\n(.*?)^```", text, re.M | re.S) for text in (english, chinese)]
    without_comments = [[re.sub(r"\s+# .*", "", block) for block in blocks] for blocks in shown]
    assert without_comments[0] == without_comments[1]
    assert f"]({READMES[1]})" in english.partition("##")[0]
    assert f"]({READMES[0]})" in chinese.partition("##")[0]


@pytest.mark.parametrize("page", tracked("*.md"), ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_somewhere(page):
    links = re.findall(r"\]\((?!https?:|mailto:|#)([^)#\s]+)", text_of(page))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_generated_pages_are_what_the_code_says():
    command = [sys.executable, "docs/generate.py", "--print"]
    made = subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout.decode()
    pages = text_of(ROOT / "docs/errors.md") + text_of(ROOT / "docs/states.md")
    assert pages == made, "run `make pages`"


def variables(*patterns: str) -> set[str]:
    return {name for path in tracked(*patterns) for name in VARIABLE.findall(text_of(path))}


def test_every_setting_that_is_read_is_on_its_page_and_the_other_way_round():
    read = variables("exchange/*.py", "catalog/*.py", "licensing/*.py", "settlement/*.py", "tests/conftest.py")
    assert variables("docs/settings.md") == read


def test_every_command_of_the_makefile_says_what_it_does():
    makefile = text_of(ROOT / "Makefile")
    declared = re.search(r"^\.PHONY: (.*)$", makefile, re.M)
    assert declared
    assert set(declared[1].split()) == set(re.findall(r"^([a-z]+):.*## ", makefile, re.M))

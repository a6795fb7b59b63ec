"""Every text has its Chinese, and what is compiled is what is written."""

import ast
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[2]
APPS = ("exchange", "catalog", "licensing", "settlement")
FOLDER = ROOT / "exchange" / "locale" / "zh_Hans" / "LC_MESSAGES"


def marked() -> set[str]:
    """Every text in the code and in the templates that is marked for translation."""
    found: set[str] = set()
    for app in APPS:
        for file in (ROOT / app).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "_":
                    found |= {part.value for part in node.args[:1] if isinstance(part, ast.Constant)}
        for file in (ROOT / app).rglob("*.html"):
            found |= set(re.findall(r"""{%\s*trans(?:late)?\s+"([^"]+)""", file.read_text()))
            found |= {text.strip() for text in re.findall(r"{%\s*blocktrans.*?%}(.*?){%\s*end", file.read_text(), re.S)}
    return found


def test_every_text_that_is_marked_stands_in_the_translations() -> None:
    body = (FOLDER / "django.po").read_text()
    ids = re.findall(r"^msgid ((?:\".*\"\n)+)", body, re.M)
    assert marked() - {"".join(ast.literal_eval(line) for line in each.splitlines()) for each in ids} == set()


def test_no_text_lacks_its_translation() -> None:
    body = (FOLDER / "django.po").read_text().split("\n\n", 1)[1]
    missing = re.findall(r'msgid ((?:".*"\n)+)msgstr ""\n(?!")', body)
    assert missing == []
    assert "fuzzy" not in body


def test_the_compiled_texts_are_those_written(program: Callable[[str, str], str], tmp_path: Path) -> None:
    compiled = tmp_path / "django.mo"
    subprocess.run([program("msgfmt", "gettext"), "-o", compiled, FOLDER / "django.po"], check=True)
    assert compiled.read_bytes() == (FOLDER / "django.mo").read_bytes()

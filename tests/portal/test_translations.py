"""Every text has its Chinese, and what is compiled is what is written."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

FOLDER = Path(__file__).parents[2] / "exchange" / "locale" / "zh_Hans" / "LC_MESSAGES"


def test_no_text_lacks_its_translation() -> None:
    body = (FOLDER / "django.po").read_text().split("\n\n", 1)[1]
    missing = re.findall(r'msgid ((?:".*"\n)+)msgstr ""\n(?!")', body)
    assert missing == []
    assert "fuzzy" not in body


def test_the_compiled_texts_are_those_written(program: Callable[[str, str], str], tmp_path: Path) -> None:
    compiled = tmp_path / "django.mo"
    subprocess.run([program("msgfmt", "gettext"), "-o", compiled, FOLDER / "django.po"], check=True)
    assert compiled.read_bytes() == (FOLDER / "django.mo").read_bytes()

"""Write the pages that are generated from the code: `make pages`. With --print, to standard output."""

import sys
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from exchange.errors import CODES  # noqa: E402

ERRORS = """\
# Problem codes

Whatever goes wrong, the answer is a problem document ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)) with
one of these codes. Codes are stable; titles and details are for people and may change. `Accept-Language: zh`
asks for the Chinese title. Where two refusals apply, the one that stands higher here is given.

```json
{"type": "urn:sluice:problem:purpose_not_allowed", "title": "The licence does not name this purpose",
 "status": 403, "code": "purpose_not_allowed"}
```

No detail ever carries data, and whether and how a query is refused does not depend on the data.

| code | status | title | 标题 |
|---|---|---|---|
"""


def errors_page() -> str:
    """docs/errors.md, from the table in exchange/errors.py."""
    return ERRORS + "".join(_rows())


def _rows() -> Iterator[str]:
    for code, row in CODES.items():
        yield f"| `{code}` | {row.status} {HTTPStatus(row.status).phrase} | {row.en} | {row.zh} |\n"


if __name__ == "__main__":
    if "--print" in sys.argv:
        sys.stdout.buffer.write(errors_page().encode())
    else:
        (HERE / "errors.md").write_text(errors_page(), encoding="utf-8")

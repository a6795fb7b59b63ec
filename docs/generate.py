"""Write the pages that are generated from the code: `make pages`. With --print, all of them to standard output."""

import sys
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from catalog import machines  # noqa: E402
from exchange.errors import CODES  # noqa: E402
from exchange.parties import machines as parties  # noqa: E402
from exchange.steps import Machine  # noqa: E402

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


STATES = """\
# States

Each procedure has one machine, in `catalog/machines.py` or `exchange/parties/machines.py`; these are drawn from there.
A step names who may take it and the working days that its clock then gives the next one; `bearer` is who opened a link
that was mailed. Every step is a record in the log, and takes a lock: of two people at once the second is told that the
state has changed. What approves is for people with that duty who showed the second factor, never for who submitted; a
refusal wants its reason.
"""


def states_page() -> str:
    """docs/states.md, from the machines."""
    found = {
        "First registration, change, renewal": machines.REGISTRATION,
        "Cancellation, correction": machines.CANCELLATION,
        "Objection": machines.OBJECTION,
        "Claim to be the source of a data item": machines.CLAIM,
        "Implementation plan": machines.PLAN,
        "Authorization": machines.AUTHORIZATION,
        "Sub-licence": machines.SUB_LICENCE,
        "Product": machines.PRODUCT,
        "Version of a product": machines.VERSION,
        "Demand": machines.DEMAND,
        "Answer to a demand": machines.ANSWER,
        "Application for accreditation": parties.APPLICATION,
        "Accreditation": parties.ACCREDITATION,
        "Party": parties.PARTY,
        "Membership": parties.MEMBERSHIP,
    }
    return STATES + "".join(_machine(title, machine) for title, machine in found.items())


def _machine(title: str, machine: Machine) -> str:
    rows = "".join(
        f"| {step.name} | {', '.join(step.start)} | {step.end} | {', '.join(step.by)}{' (approves)' * step.approves} "
        f"| {step.days or ''} | {step.rule} |\n"
        for step in machine.steps
    )
    head = "| step | from | to | by | days | rule |\n|---|---|---|---|---|---|\n"
    return f"\n## {title}\n\n```mermaid\n{machine.diagram()}```\n\n{head}{rows}"


def errors_page() -> str:
    """docs/errors.md, from the table in exchange/errors.py."""
    return ERRORS + "".join(_rows())


def _rows() -> Iterator[str]:
    for code, row in CODES.items():
        yield f"| `{code}` | {row.status} {HTTPStatus(row.status).phrase} | {row.en} | {row.zh} |\n"


PAGES = {"errors.md": errors_page, "states.md": states_page}

if __name__ == "__main__":
    if "--print" in sys.argv:
        sys.stdout.buffer.write("".join(page() for page in PAGES.values()).encode())
    else:
        for name, page in PAGES.items():
            (HERE / name).write_text(page(), encoding="utf-8")

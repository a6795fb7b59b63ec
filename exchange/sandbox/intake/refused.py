"""What intake says when it refuses a source."""

from typing import Any


class IntakeRefused(Exception):
    """The source, or its declaration, cannot become a snapshot.

    `line` (of the file, from 1; of a Parquet file the row) and `column` say where, if that is known. The
    text names no value.
    """

    def __init__(self, reason: str, line: int | None = None, column: str | None = None) -> None:
        where = [f"line {line}"] if line else []
        where += [f"column {column}"] if column else []
        super().__init__(": ".join([*where, reason]))
        self.reason, self.line, self.column = reason, line, column

    def to_json(self) -> dict[str, Any]:
        return {"refused": self.reason, "line": self.line or None, "column": self.column}

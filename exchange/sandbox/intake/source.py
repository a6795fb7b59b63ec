"""Reading a source: batches of raw columns, and where in the file a row stands."""

import contextlib
import csv
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from exchange.sandbox.intake.kernels import is_text
from exchange.sandbox.intake.refused import IntakeRefused

BATCH_ROWS = 65_536
_BLOCK = 8 << 20  # bytes of CSV at a time
_PAGE = 1 << 20  # bytes of a Parquet column, or of a file that is searched, at a time
_LISTED = pa.dictionary(pa.int32(), pa.string())


class Source:
    """A file of rows. CSV is UTF-8 with a header line; an empty field is null. Raises IntakeRefused."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.text = path.suffix.lower() in (".csv", ".tsv", ".txt")
        self._delimiter = "\t" if path.suffix.lower() == ".tsv" else ","
        self.columns = self._columns()

    def batches(self, columns: list[str], few: frozenset[str] = frozenset()) -> Iterator[pa.RecordBatch]:
        """The rows in file order, `columns` only, BATCH_ROWS at a time at most; CSV fields are strings, to be
        parsed exactly, in dictionaries for the columns that have `few` different values."""
        try:
            for batch in self._text(columns, few) if self.text else self._parquet(columns):
                for start in range(0, batch.num_rows, BATCH_ROWS):
                    yield batch.slice(start, BATCH_ROWS)
        except (OSError, pa.ArrowException):
            raise self._broken() from None

    def line(self, row: int) -> int:
        """The line of a CSV file where row `row` (from 0) starts; of a Parquet file its row from 1."""
        if not self.text:
            return row + 1
        with contextlib.suppress(UnicodeDecodeError, csv.Error):
            return next((line for index, (line, _) in enumerate(self._records()) if index == row + 1), 0)
        return 0

    def _columns(self) -> list[str]:
        try:
            if not self.text:
                return list(pq.read_schema(self.path).names)
            header = next(self._records(), (0, []))[1]
        except UnicodeDecodeError:
            raise self._broken() from None
        except (OSError, pa.ArrowException, csv.Error):
            raise IntakeRefused("the file is no CSV or Parquet that can be read") from None
        if len(set(header)) != len(header) or not header:
            raise IntakeRefused("the header is missing or repeats a name", 1)
        return header

    def _text(self, columns: list[str], few: frozenset[str]) -> Iterator[pa.RecordBatch]:
        if self._quotes() % 2:  # the last one would swallow every row behind it
            raise IntakeRefused("a quote is not closed, or stands in a field that is not quoted")
        convert = pacsv.ConvertOptions(
            column_types={name: _LISTED if name in few else pa.string() for name in columns},
            include_columns=columns,
            strings_can_be_null=True,
            null_values=[""],
        )
        parse = pacsv.ParseOptions(delimiter=self._delimiter, newlines_in_values=True)
        read = pacsv.ReadOptions(block_size=_BLOCK, use_threads=False)
        with pacsv.open_csv(self.path, read, parse, convert) as reader:
            yield from reader

    def _parquet(self, columns: list[str]) -> Iterator[pa.RecordBatch]:
        with pq.ParquetFile(self.path, buffer_size=_PAGE, pre_buffer=False) as file:
            kinds = {field.name: field.type for field in file.schema_arrow if field.name in columns}
            kinds = {name: kind.value_type if pa.types.is_dictionary(kind) else kind for name, kind in kinds.items()}
            texts = [name for name, kind in kinds.items() if is_text(kind)]
            for number in range(file.num_row_groups):
                for batch in file.iter_batches(BATCH_ROWS, [number], columns, use_threads=False):
                    _check_texts(batch, texts)
                    yield batch

    def _records(self) -> Iterator[tuple[int, list[str]]]:
        """(line where it starts, fields) of each CSV record, empty lines left out as Arrow does."""
        with self.path.open(encoding="utf-8-sig", newline="") as file:
            reader, start = csv.reader(file, delimiter=self._delimiter), 1
            for record in reader:
                if record:
                    yield start, record
                start = reader.line_num + 1

    def _quotes(self) -> int:
        with self.path.open("rb", buffering=0) as file:
            return sum(data.count(b'"') for data in iter(lambda: file.read(_PAGE), b""))

    def _broken(self) -> IntakeRefused:
        """Why Arrow could not read the file, in our own words; its errors quote rows."""
        if not self.text:
            return IntakeRefused("the Parquet file is damaged or has types that are not read here")
        try:
            fields = None
            for line, record in self._records():
                fields = fields or len(record)
                if len(record) != fields:
                    return IntakeRefused(f"{len(record)} fields, the header has {fields}", line)
        except UnicodeDecodeError:
            return IntakeRefused("the file is not UTF-8 text", self._undecodable())
        except csv.Error:
            pass
        return IntakeRefused("the CSV could not be parsed; a row may be far too long")

    def _undecodable(self) -> int | None:
        """The first line that is not UTF-8; no other character has a line's end among its bytes."""
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    line.decode()
                except UnicodeDecodeError:
                    return number
        return None


def _check_texts(batch: pa.RecordBatch, names: list[str]) -> None:
    """Parquet does not promise that its texts are UTF-8. Raises IntakeRefused."""
    for name in names:
        try:
            batch.column(name).validate(full=True)
        except pa.ArrowException:
            raise IntakeRefused("a text is not UTF-8", column=name) from None

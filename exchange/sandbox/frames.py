"""The pipe between gate and vault: fixed frames of integers, read as if the vault were hostile.

No pickle, no text, no pointers. The gate says beforehand how many values a cell has and how many cells there
can be (`Shape`); whatever does not fit is refused before anything is signed.
"""

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

MAGIC = 0x534C5543  # "SLUC"
HEADER = struct.Struct("<IIQQ")  # magic, status, request number, number of cells

INT64 = 2**63 - 1  # no value of a frame is larger
RELEASED, SUPPRESSED = 0, 1  # a cell's status


class Status:
    """What became of a request; anything else is a broken vault."""

    DONE = 0
    SNAPSHOT_UNREADABLE = 1
    ENGINE_FAILED = 2


class BadFrame(Exception):
    """The vault sent something outside its shape; it is killed and nothing is signed."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What a frame for one plan must look like.

    `cells` is the size of the key grid (keys are 0 … cells-1, strictly ascending); `complete` says that the
    whole grid is sent. `lows` and `highs` bound each value column.
    """

    cells: int
    complete: bool
    lows: tuple[int, ...]
    highs: tuple[int, ...]

    @property
    def dtype(self) -> np.dtype[np.void]:
        """key u8, status u4, nulls u4 (bit i: value i is null), then int64 values."""
        return np.dtype([("key", "<u8"), ("status", "<u4"), ("nulls", "<u4"), ("values", "<i8", (len(self.lows),))])


Cells = npt.NDArray[np.void]
"""A structured array of `Shape.dtype`."""


def encode(number: int, status: int, cells: "Cells | None" = None) -> bytes:
    """The frame for request `number`."""
    body = b"" if cells is None else cells.tobytes()
    return HEADER.pack(MAGIC, status, number, 0 if cells is None else len(cells)) + body


def decode_header(data: bytes, number: int, shape: Shape) -> tuple[int, int]:
    """(status, bytes to follow). Raises BadFrame unless it answers request `number` within `shape`."""
    magic, status, echoed, count = HEADER.unpack(data)
    if magic != MAGIC or echoed != number or status not in (0, 1, 2):
        raise BadFrame("header")
    if status != Status.DONE:
        if count:
            raise BadFrame("cells without a result")
        return status, 0
    if count > shape.cells or (shape.complete and count != shape.cells):
        raise BadFrame("number of cells")
    return status, count * shape.dtype.itemsize


def decode_cells(data: bytes, shape: Shape) -> Cells:
    """The cells of a frame's body. Raises BadFrame unless every field is in its range."""
    cells = np.frombuffer(data, shape.dtype)
    keys = cells["key"]
    if len(keys) and (int(keys[-1]) >= shape.cells or not bool(np.all(keys[1:] > keys[:-1]))):
        raise BadFrame("keys")
    if not bool(np.isin(cells["status"], (RELEASED, SUPPRESSED)).all()):
        raise BadFrame("status")
    if bool((cells["nulls"] >> len(shape.lows)).any()):
        raise BadFrame("nulls")
    hidden = (cells["status"] == SUPPRESSED)[:, None] | (
        (cells["nulls"][:, None] >> np.arange(len(shape.lows), dtype=np.uint32)) & 1
    ).astype(bool)
    values = cells["values"]
    if bool((values[hidden] != 0).any()):
        raise BadFrame("a hidden value is zero")
    inside = (values >= np.array(shape.lows, np.int64)) & (values <= np.array(shape.highs, np.int64))
    if not bool((inside | hidden).all()):
        raise BadFrame("values")
    return cells

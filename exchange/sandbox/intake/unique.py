"""Which dimensions tell the rows of a table apart, each by itself: by these an `open` resource may be joined."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pyarrow as pa


class Unique:
    """Watches batches of final codes go by; `sizes` are the numbers of values of the dimensions to watch."""

    def __init__(self, sizes: Mapping[str, int]) -> None:
        self._seen = {name: np.zeros(size + 1, np.bool_) for name, size in sizes.items()}

    @property
    def names(self) -> tuple[str, ...]:
        """The dimensions of which no value but null was in two rows."""
        return tuple(sorted(self._seen))

    def watch(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for name in self.names:
                codes = batch.column(name).to_numpy()
                self._see(name, codes[codes != 0])
            yield batch

    def _see(self, name: str, codes: "np.typing.NDArray[np.integer]") -> None:
        seen = self._seen[name]
        if seen[codes].any() or len(np.unique(codes)) < len(codes):
            del self._seen[name]
        else:
            seen[codes] = True

"""A whole published log (C2SP tlog-tiles): every tile recomputed from the entries, up to the checkpoint."""

import http.client
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

from .entry import Numbering, read_entry
from .note import LogKey, open_checkpoint
from .text import Failed, need
from .tree import Tree, leaf_hash

WIDTH = 256
MOST_BYTES = WIDTH * (2 + 65_535)

Fetch = Callable[[str], bytes | None]  # the bytes at a path of the log, None where there are none


def check_log(fetch: Fetch, log: LogKey) -> Iterator[str]:
    """Recompute a published log from its entries; sentences as in `check_receipt`. Raises Failed."""
    note = fetch("checkpoint")
    need(note is not None, "the log has no checkpoint")
    try:
        checkpoint = open_checkpoint((note or b"").decode(), log)
    except UnicodeDecodeError:
        raise Failed("the checkpoint is no UTF-8") from None
    yield f"{log.name} signed a checkpoint of {checkpoint.size} entries"
    tree, numbering, level = Tree(), Numbering(), []
    for number, width in _widths(checkpoint.size):
        subtree, hashes = Tree(), []
        for data in _entries(_tile(fetch, "entries", number, width), width):
            numbering.add(read_entry(data))
            hashes.append(leaf_hash(data))
            tree.add(hashes[-1])
            subtree.add(hashes[-1])
        _same(fetch, 0, number, hashes)
        level += [subtree.root()] if width == WIDTH else []
    yield f"{checkpoint.size} entries are well formed and hash to the tiles of level 0"
    yield f"so do the tiles above, to level {_check_upper(fetch, level)}"
    need(tree.root() == checkpoint.root, "the entries do not lead to the checkpoint's root")
    yield "the entries lead to the root of the checkpoint"
    yield f"{numbering.check()} licences number their records without a gap"


def _check_upper(fetch: Fetch, level: list[bytes]) -> int:
    """Compare every tile above level 0; `level` are the hashes of level 1. The number of levels."""
    height = 0
    while level:
        height, above = height + 1, []
        for number, width in _widths(len(level)):
            hashes = level[number * WIDTH : number * WIDTH + width]
            _same(fetch, height, number, hashes)
            tree = Tree()
            for value in hashes:
                tree.add(value)
            above += [tree.root()] if width == WIDTH else []
        level = above
    return height


def _widths(count: int) -> Iterator[tuple[int, int]]:
    for start in range(0, count, WIDTH):
        yield start // WIDTH, min(WIDTH, count - start)


def _same(fetch: Fetch, level: int, number: int, hashes: list[bytes]) -> None:
    found = _tile(fetch, str(level), number, len(hashes))
    need(
        found[: 32 * len(hashes)] == b"".join(hashes) and len(found) in (32 * len(hashes), 32 * WIDTH),
        f"tile {number} of level {level} does not follow from what is below it",
    )


def _tile(fetch: Fetch, kind: str, number: int, width: int) -> bytes:
    """A tile; where a partial one is gone the full one, of which it is the beginning."""
    digits = f"{number:0{-(-len(str(number)) // 3) * 3}d}"
    groups = [digits[start : start + 3] for start in range(0, len(digits), 3)]
    path = "/".join([f"tile/{kind}", *(f"x{group}" for group in groups[:-1]), groups[-1]])
    found = fetch(f"{path}.p/{width}") if width < WIDTH else None
    found = fetch(path) if found is None else found
    need(found is not None, f"{path} is missing")
    return found or b""


def _entries(data: bytes, width: int) -> Iterator[bytes]:
    """The first `width` entries of a bundle; a partial bundle has no more. Raises Failed."""
    place = count = 0
    while place < len(data):
        length = int.from_bytes(data[place : place + 2], "big")
        place += 2 + length
        need(place <= len(data), "a bundle of entries is cut short")
        count += 1
        if count <= width:
            yield data[place - length : place]
    need(count in (width, WIDTH), f"a bundle has {count} entries and should have {width}")


def opener(place: str) -> Fetch:
    """How to read the log at a folder or an http(s) URL. Raises OSError where it cannot be read."""
    if not place.startswith(("http://", "https://")):
        if not Path(place).is_dir():
            raise NotADirectoryError(f"{place} is no folder")
        return lambda path: found.read_bytes() if (found := Path(place) / path).is_file() else None

    def fetch(path: str) -> bytes | None:
        try:
            with urllib.request.urlopen(f"{place.rstrip('/')}/{path}", timeout=30) as answer:  # noqa: S310
                data: bytes = answer.read(MOST_BYTES + 1)
                need(len(data) <= MOST_BYTES, f"{path} is too large for a tile")
                return data
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return None
            raise
        except http.client.HTTPException as error:
            raise OSError(f"{place}: {type(error).__name__}") from None

    return fetch

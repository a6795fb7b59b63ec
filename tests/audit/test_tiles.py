"""Which tiles a log has and what they are called (C2SP tlog-tiles)."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.audit.tiles import ENTRIES, Tile, due, grown, parse, put


def paths(old: int, size: int) -> list[str]:
    return [tile.path() for tile in grown(old, size)]


def test_the_tile_of_the_specification_has_its_path() -> None:
    assert Tile(0, 1_234_067, 256).path() == "tile/0/x001/x234/067"
    assert Tile(0, 1_234_067, 256).path(ENTRIES) == "tile/entries/x001/x234/067"


def test_a_tree_of_70000_has_the_tiles_of_the_specification() -> None:
    found = list(grown(0, 70_000))
    assert sum(tile.level == 0 and tile.is_full for tile in found) == 273
    partial = ["tile/0/273.p/112", "tile/1/001.p/17", "tile/2/000.p/1"]
    assert [tile.path() for tile in found if not tile.is_full] == partial


def test_256_leaves_are_a_full_tile_and_the_beginning_of_one_above() -> None:
    assert paths(0, 256) == ["tile/0/000", "tile/1/000.p/1"]


def test_an_empty_log_has_no_tiles() -> None:
    assert paths(0, 0) == []


def test_growth_writes_only_what_is_new() -> None:
    assert paths(70_000, 70_001) == ["tile/0/273.p/113"]
    assert paths(511, 512) == ["tile/0/001", "tile/1/000.p/2"]


@given(st.lists(st.integers(0, 200_000), min_size=1, max_size=8, unique=True).map(sorted))
def test_steps_and_one_leap_end_with_the_same_tiles(sizes: list[int]) -> None:
    """Each checkpoint's tiles are there, save partial ones whose full tile is."""
    stepwise = set(due(0, sizes))
    assert set(grown(0, sizes[-1])) <= stepwise
    full = {(tile.level, tile.number) for tile in stepwise if tile.is_full}
    for old, size in pairwise([0, *sizes]):
        assert all(tile in stepwise or (tile.level, tile.number) in full for tile in grown(old, size))
    assert not any((tile.level, tile.number) in full for tile in stepwise if not tile.is_full)


@given(st.integers(0, 63), st.integers(0, 2**40), st.integers(1, 256))
def test_a_path_is_read_back(level: int, number: int, width: int) -> None:
    tile = Tile(level, number, width)
    assert parse(tile.path()) == (tile, False)
    assert parse(Tile(0, number, width).path(ENTRIES)) == (Tile(0, number, width), True)


@pytest.mark.parametrize(
    "path",
    [
        "tile/0/1", "tile/0/0000", "tile/00/000", "tile/64/000", "tile/0/000.p/0", "tile/0/000.p/256",
        "tile/0/000.p/01", "tile/0/001/067", "tile/0/x001", "tile/0/x000/001", "tile/0/../../keys/log.pem",
        "tile/0/000/", "/tile/0/000", "tile/0/.000.draft", "tile/data/000", "tile/0/００１", "tile/0/000\n",
    ],
)  # fmt: skip
def test_what_names_no_tile_is_refused(path: str) -> None:
    assert parse(path) is None


def test_a_file_appears_whole_over_a_draft_left_by_a_killed_process(tmp_path) -> None:
    path = tmp_path / "a" / "b" / "000"
    path.parent.mkdir(parents=True)
    path.with_name(".000.draft").write_bytes(b"half of it, and longer than what comes")
    put(path, b"whole")
    assert path.read_bytes() == b"whole"
    assert [found.name for found in path.parent.iterdir()] == ["000"]

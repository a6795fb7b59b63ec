"""The Merkle tree: known roots, and proofs checked by the definitions of RFC 9162 §2.1."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.audit.verify.text import Failed
from exchange.audit.verify.tree import Tree, root_by_proof
from exchange.crypto.merkle import (
    EMPTY,
    Edge,
    consistency_proof,
    inclusion_proof,
    is_consistent,
    leaf_hash,
    node_hash,
    node_reader,
    root,
    root_of_inclusion,
)

# The leaves and roots of Certificate Transparency's own tests.
ENTRIES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f",
)]  # fmt: skip
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
MOST = 1200  # more than four tiles of leaves
LEAVES = [leaf_hash(number.to_bytes(2, "big")) for number in range(MOST)]
sizes = st.one_of(st.integers(1, 40), st.integers(1, MOST), st.sampled_from([255, 256, 257, 511, 512, 513]))


def by_definition(leaves: list[bytes]) -> bytes:
    """RFC 9162 §2.1.1, word for word."""
    if len(leaves) < 2:
        return leaves[0] if leaves else EMPTY
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    return node_hash(by_definition(leaves[:split]), by_definition(leaves[split:]))


def read(level: int, first: int, count: int) -> list[bytes]:
    width = 256**level
    return [root(LEAVES[place * width : (place + 1) * width]) for place in range(first, first + count)]


def edge(size: int) -> Edge:
    found = Edge()
    for leaf in LEAVES[:size]:
        found.append(leaf)
    return found


@pytest.mark.parametrize("size", range(9))
def test_the_known_roots_come_out_of_writer_and_verifier(size: int) -> None:
    leaves = [leaf_hash(entry) for entry in ENTRIES[:size]]
    growing, tree = Edge(), Tree()
    for leaf in leaves:
        growing.append(leaf)
        tree.add(leaf)
    assert [root(leaves).hex(), growing.root().hex(), tree.root().hex()] == [ROOTS[size]] * 3


@given(sizes)
def test_an_edge_read_from_its_tiles_has_the_root_of_one_that_grew(size: int) -> None:
    assert Edge(size, read).root() == edge(size).root() == by_definition(LEAVES[:size])


@given(sizes, st.integers(1, 300))
def test_an_edge_grows_on_from_where_it_was_read(size: int, more: int) -> None:
    more = min(more, MOST - size)
    resumed = Edge(size, read)
    for leaf in LEAVES[size : size + more]:
        for full in resumed.append(leaf):
            assert [full.hash] == read(full.level, full.place, 1)
    assert resumed.root() == by_definition(LEAVES[: size + more])


@given(sizes, st.data())
def test_an_inclusion_proof_leads_to_the_root(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, node_reader(read))
    wanted = by_definition(LEAVES[:size])
    assert root_of_inclusion(index, size, LEAVES[index], proof) == wanted
    assert root_by_proof(index, size, LEAVES[index], proof) == wanted


@given(sizes, st.data())
def test_a_bent_inclusion_proof_leads_nowhere(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    proof = inclusion_proof(index, size, node_reader(read))
    bent = data.draw(st.sampled_from([proof[1:], [*proof, EMPTY], [EMPTY, *proof[1:]], proof[::-1]]))
    if bent == proof:
        return
    try:
        found = root_of_inclusion(index, size, LEAVES[index], bent)
    except ValueError:
        with pytest.raises(Failed):
            root_by_proof(index, size, LEAVES[index], bent)
    else:
        assert found == root_by_proof(index, size, LEAVES[index], bent) != by_definition(LEAVES[:size])


@given(sizes, st.data())
def test_a_consistency_proof_joins_a_log_with_its_beginning(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(0, size))
    proof = consistency_proof(old, size, node_reader(read))
    before, after = by_definition(LEAVES[:old]), by_definition(LEAVES[:size])
    assert len(proof) <= 63
    assert is_consistent(old, size, before, after, proof)


@given(sizes, st.data())
def test_a_bent_consistency_proof_joins_nothing(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(1, size))
    proof = consistency_proof(old, size, node_reader(read))
    before, after = by_definition(LEAVES[:old]), by_definition(LEAVES[:size])
    assert not is_consistent(old, size, EMPTY, after, proof)
    assert not is_consistent(old, size, before, EMPTY, proof)
    assert not is_consistent(old, size, before, after, [*proof, EMPTY])
    assert not (proof and is_consistent(old, size, before, after, proof[:-1]))


@pytest.mark.parametrize(("index", "size"), [(0, 0), (5, 5), (-1, 3)])
def test_there_is_no_proof_of_a_leaf_that_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ValueError, match="no leaf"):
        inclusion_proof(index, size, node_reader(read))
    with pytest.raises(ValueError, match="no leaf"):
        root_of_inclusion(index, size, EMPTY, [])


@pytest.mark.parametrize(("old", "size"), [(4, 3), (-1, 3)])
def test_no_log_begins_with_a_longer_one(old: int, size: int) -> None:
    assert not is_consistent(old, size, EMPTY, EMPTY, [])
    with pytest.raises(ValueError, match="no beginning"):
        consistency_proof(old, size, node_reader(read))

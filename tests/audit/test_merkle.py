"""The tree: against the recursion that RFC 9162 defines it by."""

import hashlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.ledger import merkle, tiles

sizes = st.integers(1, 700)


def leaves(size):
    return [merkle.leaf_hash(str(number).encode()) for number in range(size)]


def naive_root(hashes):
    """RFC 9162 section 2.1.1, word for word."""
    if not hashes:
        return hashlib.sha256(b"").digest()
    if len(hashes) == 1:
        return hashes[0]
    half = 1
    while half * 2 < len(hashes):
        half *= 2
    return hashlib.sha256(b"\1" + naive_root(hashes[:half]) + naive_root(hashes[half:])).digest()


def node_of(hashes):
    return lambda level, index: naive_root(hashes[index << level : (index + 1) << level])


@given(st.integers(0, 700))
def test_a_compact_range_has_the_root_of_the_recursion(size):
    grown = merkle.Range()
    grown.extend(leaves(size))
    assert grown.root() == naive_root(leaves(size))


@settings(deadline=None)
@given(sizes, st.data())
def test_each_leaf_is_proved_and_no_other(size, data):
    all_leaves = leaves(size)
    index = data.draw(st.integers(0, size - 1))
    root = naive_root(all_leaves)
    path = merkle.inclusion(index, size, node_of(all_leaves))
    assert merkle.includes(all_leaves[index], index, size, path, root)
    assert not merkle.includes(merkle.leaf_hash(b"other"), index, size, path, root)
    assert not merkle.includes(all_leaves[index], index + 1, size, path, root)
    assert not merkle.includes(all_leaves[index], index, size, [*path, root], root)
    assert not path or not merkle.includes(all_leaves[index], index, size, path[:-1], root)


@settings(deadline=None)
@given(sizes, st.data())
def test_growth_is_proved_and_rewriting_is_not(new, data):
    all_leaves = leaves(new)
    old = data.draw(st.integers(1, new))
    rewritten = data.draw(st.integers(0, old - 1))
    roots = naive_root(all_leaves[:old]), naive_root(all_leaves)
    proof = merkle.consistency(old, new, node_of(all_leaves))
    assert merkle.consistent(old, roots[0], new, roots[1], proof)
    forged = [*all_leaves[:rewritten], merkle.leaf_hash(b"forged"), *all_leaves[rewritten + 1 :]]
    assert not merkle.consistent(old, naive_root(forged[:old]), new, roots[1], proof)
    assert not merkle.consistent(old, roots[0], new, naive_root(forged), proof)
    assert not merkle.consistent(old, roots[0], new, roots[1], [*proof, roots[0]])


@pytest.mark.parametrize("old", [0, -1, 6])
def test_an_empty_or_longer_old_log_is_never_consistent(old):
    assert not merkle.consistent(old, merkle.EMPTY_ROOT, 5, naive_root(leaves(5)), [])
    with pytest.raises(ValueError, match="no consistency"):
        merkle.consistency(old, 5, node_of(leaves(5)))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 900), min_size=1, max_size=5))
def test_tiles_grown_in_any_batches_hold_the_same_tree(batches):
    stored, edge, all_leaves = {}, tiles.Edge(), leaves(sum(batches))
    at = 0
    for batch in batches:
        stored.update(edge.extend(all_leaves[at : at + batch]))
        at += batch
        edge = tiles.Edge.load(edge.size, lambda level, index: stored[level, index])
    assert edge.root() == naive_root(all_leaves) == edge.range().root()
    node = tiles.nodes(lambda level, index: stored[level, index])
    for index in {0, at // 2, at - 1} if at else set():
        path = merkle.inclusion(index, at, node)
        assert merkle.includes(all_leaves[index], index, at, path, edge.root())


def test_tiles_of_a_large_tree_reach_the_third_level():
    edge, ranged = tiles.Edge(), merkle.Range()
    stored = edge.extend(leaves(66_000))
    ranged.extend(leaves(66_000))
    assert edge.root() == ranged.root()
    assert {level for level, _ in stored} == {0, 1, 2}
    loaded = tiles.Edge.load(66_000, lambda level, index: stored[level, index])
    assert loaded.root() == edge.root()


def test_an_edge_is_not_loaded_from_missing_or_short_tiles():
    stored = tiles.Edge().extend(leaves(300))
    stored[0, 1] = stored[0, 1][:-32]
    with pytest.raises(LookupError, match="tile 0/1"):
        tiles.Edge.load(300, lambda level, index: stored[level, index])


def test_tile_addresses_are_those_of_the_specification():
    assert tiles.path(0, 1234067) == "0/x001/x234/067"
    assert tiles.path(3, 5, 17) == "3/005.p/17"

"""Pairs of layers and the groups that are streamed together."""

from __future__ import annotations

import pytest

from pyrepsim.comparison.layers import layer_groups, layer_pairs
from pyrepsim.core.errors import LayerError


def test_same_takes_the_layers_both_have():
    assert layer_pairs(("a", "b", "c"), ("b", "c", "d")) == [("b", "b"), ("c", "c")]
    with pytest.raises(LayerError, match="layers of equal names"):
        layer_pairs(("a",), ("b",))


def test_groups_are_connected_components():
    assert [g.pairs for g in layer_groups([("a", "a"), ("b", "b")])] == [(("a", "a"),), (("b", "b"),)]
    pairs = [("a", "x"), ("b", "y"), ("c", "z"), ("b", "x")]
    groups = layer_groups(pairs)
    assert [set(g.pairs) for g in groups] == [{("a", "x"), ("b", "y"), ("b", "x")}, {("c", "z")}]
    assert sorted(p for g in groups for p in g.pairs) == sorted(pairs)


def test_index_pairs_point_into_both_sides():
    (group,) = layer_groups([("a", "x"), ("b", "x"), ("a", "y")])
    names = [*group.layers_x, *group.layers_y]
    assert [(names[i], names[j]) for i, j in group.index_pairs] == list(group.pairs)
    assert all(i < len(group.layers_x) <= j for i, j in group.index_pairs)


def test_one_name_may_stand_for_two_layers():
    (group,) = layer_groups([("a", "b"), ("b", "b")])  # layer b of both sides: different representations
    assert group.index_pairs == [(0, 2), (1, 2)]

"""Pairs of layers and the groups that are streamed together."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.comparison.layers import layer_groups, layer_pairs
from pyrepsim.core.errors import LayerError


def test_same_takes_the_layers_both_have():
    assert layer_pairs(("a", "b", "c"), ("b", "c", "d")) == [("b", "b"), ("c", "c")]
    with pytest.raises(LayerError, match="layers of equal names"):
        layer_pairs(("a",), ("b",))


def test_same_says_which_layers_are_left_out(tmp_path, caplog):
    rng = np.random.default_rng(0)
    sides = [
        rs.write_store(tmp_path / name, {layer: rng.standard_normal((20, 3)) for layer in layers})
        for name, layers in (("x", ("embeddings", "layer.0")), ("y", ("embeddings", "layer.0", "layer.1")))
    ]
    (one, other) = rs.compare(*sides, "LinearCKA")
    assert "left out: Y: layer.1" in caplog.text
    assert list(one.provenance["left_out_y"]) == list(other.provenance["left_out_y"]) == ["layer.1"]
    assert "left_out_x" not in one.provenance
    caplog.clear()
    assert "left_out_y" not in rs.compare(*sides, "LinearCKA", layers="all")[0].provenance
    assert "left_out_y" not in rs.compare(sides[0], sides[0], "LinearCKA")[0].provenance
    assert not caplog.text
    relative = rs.compare(*sides, "LinearCKA", layers="relative")
    assert [(s.layer_x, s.layer_y) for s in relative] == [("embeddings", "embeddings"), ("layer.0", "layer.1")]


@pytest.mark.parametrize(("few", "many"), [(1, 1), (1, 4), (2, 5), (4, 4), (4, 7), (5, 7), (13, 25), (7, 33)])
def test_relative_depth(few, many):
    x, y = (["embeddings", *(f"layer.{i}" for i in range(n - 1))] for n in (few, many))
    pairs = layer_pairs(x, y, "relative")
    assert [a for a, _ in pairs] == x
    for i, (_, found) in enumerate(pairs):
        depth = Fraction(i, few - 1) if few > 1 else Fraction(1)
        distances = [abs(Fraction(j, many - 1) - depth) if many > 1 else 0 for j in range(many)]
        assert y.index(found) == distances.index(min(distances))
    assert [(b, a) for a, b in layer_pairs(y, x, "relative")] == pairs
    with pytest.raises(LayerError, match="layers of one kind"):
        layer_pairs(x, [*y, "layer.0.mlp"], "relative")


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

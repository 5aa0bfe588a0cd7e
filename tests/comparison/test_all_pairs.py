"""compare_all: the values of compare for every pair of a list, each representation read once."""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.comparison import moment_scores
from pyrepsim.core.errors import (
    DegenerateError,
    NonFiniteError,
    OptionError,
    RowMismatchError,
    ShapeError,
)

MEASURES = [
    rs.LinearCKA(debiased=True),
    rs.Procrustes(),
    rs.SVCCA(components=3),
    rs.PWCCA(),
    rs.MaxCorrelation(),
    rs.Magnitude(),
    rs.RSA(),
    rs.RSA(compare="spearman"),
    rs.MutualKNN(k=5),
]


def networks(n=120, widths=(8, 5, 8, 11)):
    rng = np.random.default_rng(0)
    latent = rng.standard_normal((n, 4))
    return [latent @ rng.standard_normal((4, d)) + rng.standard_normal((n, d)) + 0.3 for d in widths]


@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_values_are_those_of_compare(measure):
    Xs = networks()
    matrix = rs.compare_all(Xs, measure)
    assert matrix.measure == str(measure)
    assert (matrix.names, matrix.n_samples) == (("0", "1", "2", "3"), 120)
    for i, X in enumerate(Xs):
        for j, Y in enumerate(Xs):
            expected = rs.compare(X, Y, measure).value
            assert matrix.values[i, j] == pytest.approx(expected, rel=1e-12, abs=1e-12), (i, j)
    if measure.symmetric:
        assert (matrix.values == matrix.values.T).all()


def test_several_measures_and_fewer_rows_than_features():
    Xs = networks(n=9, widths=(12, 30, 8))
    matrices = rs.compare_all(dict(zip("abc", Xs, strict=True)), ["LinearCKA", "PWCCA", "Procrustes"])
    assert list(matrices) == ["LinearCKA", "PWCCA", "Procrustes"]
    for name, matrix in matrices.items():
        assert matrix.names == ("a", "b", "c")
        for i, X in enumerate(Xs):
            for j, Y in enumerate(Xs):
                assert matrix.values[i, j] == pytest.approx(rs.compare(X, Y, name).value, rel=1e-10)


@pytest.mark.parametrize("value", ["angle", "distance", "squared", "euclidean"])
def test_choice_of_value(value):
    Xs = networks()
    matrix = rs.compare_all(Xs, rs.Procrustes(), value=value)
    centred = [X - X.mean(axis=0) for X in Xs]
    for i, X in enumerate(centred):
        for j, Y in enumerate(centred):
            if i == j:
                assert matrix.values[i, j] == 0
                continue
            nuclear = np.linalg.svd(X.T @ Y, compute_uv=False).sum()
            cosine = nuclear / np.linalg.norm(X) / np.linalg.norm(Y)
            expected = {
                "angle": np.arccos(cosine),
                "distance": np.sqrt(2 - 2 * cosine),
                "squared": 2 - 2 * cosine,
                "euclidean": np.sqrt(np.linalg.norm(X) ** 2 + np.linalg.norm(Y) ** 2 - 2 * nuclear),
            }
            assert matrix.values[i, j] == pytest.approx(expected[value], rel=1e-10)
    assert matrix.value == value
    for measure in (rs.LinearCKA(), rs.RV2(), rs.KernelCKA(), rs.LinearCKA(debiased=True)):
        score = rs.compare(Xs[0], Xs[1], measure)
        assert score.quantity("angle") == pytest.approx(np.arccos(score.value))
        assert score.quantity("squared") == pytest.approx(2 - 2 * score.value)
    with pytest.raises(OptionError, match="a value of CCA is None or one of .*condition_x.*: got 'angle'"):
        rs.compare_all(Xs, rs.CCA(), value="angle")


def test_parts_of_the_list_give_the_same_values(monkeypatch):
    Xs = networks(widths=(8,) * 9)
    expected = {name: rs.compare_all(Xs, name) for name in ("Procrustes", "PWCCA", "LinearCKA")}
    calls = []
    run = moment_scores.score_group
    monkeypatch.setattr(
        moment_scores, "score_group", lambda group, *args: calls.append(len(group.pairs)) or run(group, *args)
    )
    for memory, parts in ((2 * 8 * 64 * 21, 6), (2 * 8 * 64 * 3, 45), ("1GB", 1)):
        for name, matrix in expected.items():
            calls.clear()
            assert (rs.compare_all(Xs, name, memory=memory).values == matrix.values).all()
            assert len(calls) == parts, memory


@pytest.mark.parametrize("layers_y", [5, 3])
def test_layers_that_do_not_fit_are_compared_in_passes(tmp_path, monkeypatch, layers_y):
    """The values have the same bits; at most half of the memory is used, and the bar moves within a chunk."""
    rng = np.random.default_rng(0)
    rows = {f"layer.{k}": rng.standard_normal((600, 8 + k)) for k in range(5)}
    x = rs.write_store(tmp_path / "x", rows)
    y = x if layers_y == 5 else rs.write_store(tmp_path / "y", {name: rows[name] for name in list(rows)[:layers_y]})
    measures = [rs.CCA(), rs.LinearCKA(), rs.RSA(), rs.PWCCA()]
    expected = rs.compare(x, y, measures, layers="all")
    calls, moves = [], []
    run = moment_scores.score_group
    monkeypatch.setattr(
        moment_scores, "score_group", lambda group, *args: calls.append(len(group.pairs)) or run(group, *args)
    )
    add = moment_scores._add_rows

    def watched(*args):
        for n_rows in add(*args):
            moves.append(n_rows)
            yield n_rows

    monkeypatch.setattr(moment_scores, "_add_rows", watched)
    monkeypatch.setattr(moment_scores, "_PRODUCTS_PER_STEP", 0)
    memory = 2 * 2 * 8 * 12 * 12 * 8  # two row transforms, sums of about eight matrices in half of it
    found = rs.compare(x, y, measures, layers="all", memory=memory)
    assert [score.value for score in found] == [score.value for score in expected]
    assert [score.details.keys() for score in found] == [score.details.keys() for score in expected]
    assert len(calls) > 1
    assert sum(calls) == 5 * layers_y
    assert set(moves) <= {256, 600 - 2 * 256}
    with pytest.raises(ShapeError, match="must fit into memory"):
        rs.compare(x, y, measures, layers="all", memory=2000)


def test_layers_of_stores(tmp_path):
    rng = np.random.default_rng(0)
    rows = {
        "doc_id": np.arange(60) // 5,
        "position": np.arange(60) % 5,
        "token_id": rng.integers(0, 9, 60),
        "flags": (np.arange(60) % 5 == 0).astype(np.uint8),
    }
    stores = [
        rs.write_store(
            tmp_path / name,
            {f"layer.{k}": rng.standard_normal((60, 4 + k)).astype(np.float32) for k in range(2)},
            columns=rows,
            shard_rows=shards,
        )
        for name, shards in (("a", [25, 35]), ("b", [10, 40, 10]), ("c", [60]))
    ]
    layers = {f"{store.path.name} {name}": store[name] for store in stores for name in store.layers}
    for measure in ("LinearCKA", "RSA(metric='euclidean')", "PWCCA"):
        matrix = rs.compare_all(layers, measure)
        for i, X in enumerate(layers.values()):
            for j, Y in enumerate(layers.values()):
                if measure != "PWCCA" or i != j:
                    expected = rs.compare(X, Y, measure).value
                    assert matrix.values[i, j] == pytest.approx(expected, rel=1e-12), (i, j)
    assert matrix.n_samples == 48
    assert rs.compare_all(layers, "CCA", tokens="all").n_samples == 60
    assert rs.compare_all(stores[0], "LinearCKA").names == ("layer.0", "layer.1")
    assert rs.compare_all([stores[0][name] for name in stores[0].layers], "CCA").names == ("layer.0", "layer.1")
    assert rs.compare_all([store["layer.0"] for store in stores], "CCA").names == ("0", "1", "2")
    other = rs.write_store(tmp_path / "other", {"layer.0": rng.standard_normal((60, 4))})
    with pytest.raises(RowMismatchError):
        rs.compare_all([stores[0]["layer.0"], other["layer.0"]], "CCA")
    with pytest.raises(OptionError, match="got both"):
        rs.compare_all([stores[0]["layer.0"], np.eye(60)], "CCA")


def test_bits_do_not_depend_on_threads():
    Xs = networks()
    for measure in MEASURES:
        one, three = (rs.compare_all(Xs, measure, n_threads=n).values for n in (1, 3))
        assert np.array_equal(one, three)


def test_bad_input():
    Xs = networks()
    for wrong, error, message in (
        ([], ShapeError, "at least one"),
        ([Xs[0], Xs[1][:50]], ShapeError, "same number of rows: got 0: 120, 1: 50"),
        (Xs[0], OptionError, "list or a mapping"),
        ("acts", OptionError, "list or a mapping"),
        ([Xs[0], np.full((120, 3), np.nan)], NonFiniteError, "1 must be finite"),
        ([np.ones((120, 2)), np.ones((120, 3))], DegenerateError, "constant"),
        ([Xs[0], Xs[0][0]], ShapeError, "1 must have shape"),
    ):
        with pytest.raises(error, match=message):
            rs.compare_all(wrong, "LinearCKA")
    with pytest.raises(OptionError, match="names of representations must differ"):
        rs.compare_all({1: Xs[0], "1": Xs[1]}, "LinearCKA")
    assert rs.compare_all(Xs[:1], "LinearCKA").values.tolist() == [[1.0]]

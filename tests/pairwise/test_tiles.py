"""Tiles of the engine for every instruction set: values, odd shapes, and reproducible bits."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from pyrepsim import _core
from tests.helpers import references_pairwise as references
from tests.helpers.assertions import assert_relative
from tests.helpers.data import cast, rogue

METRICS = ["dot", "cosine", "correlation", "sqeuclidean", "euclidean", "angular", "manhattan", "chebyshev"]
TRANSFORMS = {"cosine": "unit", "angular": "unit", "correlation": "unit_centred"}
TOLERANCE = {"fp32": 1e-6, "fp64": 1e-12}
SHAPES = [(1, 3), (2, 1), (97, 3), (97, 768), (1021, 1), (1021, 3), (337, 768)]
ISAS = _core.available_isas()

every_isa = pytest.mark.parametrize("isa", ISAS)
every_metric = pytest.mark.parametrize("metric", METRICS)


def panels(rows, metric="euclidean", *, precision="fp32", blocks=None, isa="auto", shifted=True, n_threads=2):
    transform = TRANSFORMS.get(metric, "raw")
    shift = _core.mean_row(rows, transform, n_threads) if shifted and metric != "dot" else None
    blocks = [0, len(rows)] if blocks is None else blocks
    return _core.Panels(
        rows, transform=transform, shift=shift, precision=precision, blocks=blocks, n_threads=n_threads, isa=isa
    )


def completed(sweep, n_threads=2, slices=1):
    cuts = np.linspace(0, sweep.n_tasks, slices + 1).astype(int)
    for begin, end in pairwise(cuts):
        sweep.run(begin, end, n_threads)
    return sweep.result()


def distances(packed, metric, others=None, **how):
    n = packed.n_rows
    dtype = np.float64 if packed.precision == "fp64" else np.float32
    shape = n * (n - 1) // 2 if others is None else (n, others.n_rows)
    return completed(_core.DistanceSweep(packed, others, metric=metric, out=np.full(shape, np.nan, dtype)), **how)


def sums(layers, **how):
    sweep = _core.SumSweep(
        layers, [(0, 1), (1, 1)], metric="euclidean", maps=[None, None], origins=[1.5, 0.0], row_sums=True
    )
    return completed(sweep, **how)


def rows_of(n, d, seed=0, dtype=np.float32):
    return (np.random.default_rng(seed).standard_normal((n, d)) + 3.0).astype(dtype)


@every_isa
@every_metric
@pytest.mark.parametrize(("n", "d"), SHAPES)
def test_every_shape(n, d, metric, isa):
    if metric == "correlation" and d == 1:
        pytest.skip("one number has no correlation")
    rows = rows_of(n, d)
    some = np.unique([0, 1 % n, n // 2, n - 1])
    expected = references.distances(rows[some], metric, rows, work=np.float64)
    for precision, tolerance in TOLERANCE.items():
        found = distances(panels(rows, metric, precision=precision, isa=isa), metric)
        assert not np.any(np.isnan(found))
        square = np.zeros((n, n), found.dtype)
        square[np.triu_indices(n, 1)] = found
        found = (square + square.T)[some]
        different = some[:, None] != np.arange(n)
        if not different.any():
            continue
        # an angle's digits near pi are those of its cosine
        tolerance = tolerance**0.5 if metric == "angular" and d == 1 else tolerance
        assert_relative(found[different], expected[different], tolerance, scale=np.abs(expected).max())


@every_isa
@every_metric
@pytest.mark.parametrize("precision", TOLERANCE)
def test_neither_threads_nor_slices_nor_blocks_change_a_bit(precision, metric, isa):
    rows, ragged = rows_of(437, 131), [0, 1, 3, 50, 51, 243, 437]
    expected = distances(panels(rows, metric, precision=precision, isa=isa, n_threads=1), metric, n_threads=1)
    for n_threads, slices, blocks in ((1, 3, ragged), (2, 1, None), (5, 7, ragged), (2, 2, [0, 192, 384, 437])):
        packed = panels(rows, metric, precision=precision, isa=isa, blocks=blocks, n_threads=n_threads)
        np.testing.assert_array_equal(distances(packed, metric, n_threads=n_threads, slices=slices), expected)


@every_isa
def test_sums_have_the_same_bits_for_any_threads_and_slices(isa):
    blocks = [0, 1, 3, 50, 51, 243, 437]
    layers = [panels(rows_of(437, d, seed=d), blocks=blocks, isa=isa) for d in (131, 3)]
    expected = sums(layers, n_threads=1)
    for n_threads, slices in ((2, 1), (5, 6), (1, 21)):
        found = sums(layers, n_threads=n_threads, slices=slices)
        for name, values in expected.items():
            np.testing.assert_array_equal(found[name], values, err_msg=name)


@every_isa
@pytest.mark.parametrize("precision", TOLERANCE)
def test_sums_are_those_of_the_distances(precision, isa):
    blocks = np.array([0, 1, 3, 50, 51, 243, 437])
    layers = [panels(rows_of(437, d, seed=d), precision=precision, blocks=blocks, isa=isa) for d in (131, 3)]
    r, s = np.triu_indices(437, 1)
    cell = tuple(np.searchsorted(blocks, i, side="right") - 1 for i in (r, s))

    def per_cell(values):
        total = np.zeros((6, 6))
        np.add.at(total, cell, values)
        return total

    x, y = (distances(layer, "euclidean").astype(np.float64) - o for layer, o in zip(layers, (1.5, 0.0), strict=True))
    found = sums(layers)
    assert_relative(found["first"], np.stack([per_cell(x), per_cell(y)]), 1e-13)
    assert_relative(found["second"], np.stack([per_cell(x * x), per_cell(y * y)]), 1e-13)
    assert_relative(found["cross"], np.stack([per_cell(x * y), per_cell(y * y)]), 1e-13)
    np.testing.assert_array_equal(found["entries"], per_cell(np.ones_like(x)))
    rows = [np.bincount(r, v, 437) + np.bincount(s, v, 437) for v in (x, y)]
    assert_relative(found["rows"], np.stack(rows), 1e-13)


@every_metric
def test_the_layout_and_type_of_the_rows_change_nothing(metric):
    rows = cast(rows_of(101, 37), "bfloat16").astype(np.float64)
    expected = distances(panels(rows, metric), metric)
    wide = np.zeros((202, 74))
    wide[::2, 1::2] = rows
    frozen = rows.copy()
    frozen.flags.writeable = False
    same = [np.asfortranarray(rows), wide[::2, 1::2], rows[::-1].copy()[::-1], frozen, rows.astype(">f8").astype("=f8")]
    for other in [*same, *(cast(rows, dtype) for dtype in ("float32", "float16", "bfloat16"))]:
        assert np.array_equal(np.asarray(other, np.float64), rows)
        np.testing.assert_array_equal(distances(panels(other, metric), metric), expected)


@every_isa
@pytest.mark.parametrize("metric", [m for m in METRICS if m != "dot"])
def test_near_rows_keep_their_digits_and_equal_rows_are_at_zero(metric, isa):
    rng = np.random.default_rng(3)
    rows = np.repeat(rng.standard_normal((60, 200)).astype(np.float32), 3, axis=0)
    rows[1::3] += (1e-3 * rng.standard_normal((60, 200))).astype(np.float32)
    packed = panels(rows, metric, isa=isa, shifted=False)
    square = distances(packed, metric, packed)
    kind = TRANSFORMS.get(metric, "raw")
    # the input of the tile: transformed rows rounded to float32
    values = references._prepared(rows, metric, np.float64) if kind != "raw" else rows.astype(np.float64)
    rounded = values.astype(np.float32).astype(np.float64)
    difference = rounded[1::3] - rounded[::3]
    squares = (difference**2).sum(axis=1)
    expected = {
        "sqeuclidean": squares,
        "euclidean": np.sqrt(squares),
        "angular": 2 / np.pi * np.arcsin(np.sqrt(squares) / 2),
        "manhattan": np.abs(difference).sum(axis=1),
        "chebyshev": np.abs(difference).max(axis=1),
    }.get(metric, squares / 2)
    found = square[np.arange(0, 180, 3), np.arange(1, 180, 3)]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(square[np.arange(0, 180, 3), np.arange(2, 180, 3)], 0)
    np.testing.assert_array_equal(square[::3], square[2::3])
    np.testing.assert_array_equal(square, square.T)


@every_isa
@pytest.mark.parametrize("metric", ["cosine", "correlation", "euclidean", "manhattan"])
def test_rogue_dimensions_keep_accuracy(metric, isa):
    rows = rogue(np.random.default_rng(4).standard_normal((150, 768)), features=(5, 400), ratio=50.0)
    expected = references.condensed(references.distances(rows, metric, work=np.float64))
    assert_relative(distances(panels(rows, metric, isa=isa), metric), expected, 1e-6, scale=np.median(expected))


def test_the_mean_row():
    rows = rows_of(2500, 19)
    mean = _core.mean_row(rows, "raw", 1)
    assert_relative(mean, rows.mean(axis=0, dtype=np.float64), 1e-14)
    for n_threads in (2, 5):
        np.testing.assert_array_equal(_core.mean_row(rows, "raw", n_threads), mean)
    unit = rows.astype(np.float64) / np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    assert_relative(_core.mean_row(rows, "unit", 2), unit.mean(axis=0), 1e-14)


@every_isa
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("shape", [(1, 1), (3, 15), (1030, 16), (600, 35)])
def test_sums_over_rows_and_products_with_a_row(shape, dtype, isa):
    rows = cast(np.random.default_rng(1).standard_normal(shape) + 3.0, dtype)
    exact, towards = rows.astype(np.float64), np.linspace(-1.0, 2.0, shape[1])
    mean, products = exact.mean(axis=0), ((exact * towards).sum(axis=1), (exact**2).sum(axis=1))
    found, of_rows = _core.dot_rows(rows, towards, 1, isa), _core.mean_row(rows, "raw", 1, isa)
    assert_relative(of_rows, mean, 1e-14)
    np.testing.assert_allclose(found[0], products[0], rtol=0, atol=1e-14 * np.abs(exact).max() * 3 * shape[1])
    assert_relative(found[1], products[1], 1e-14)
    memory = np.zeros(rows.nbytes + 1, np.uint8)
    odd = memory[1:].view(rows.dtype).reshape(shape)
    odd[...] = rows
    for other in (np.asfortranarray(rows), np.repeat(rows, 2, axis=1)[:, ::2], rows[::-1].copy()[::-1], odd):
        for n_threads in (1, 3):
            np.testing.assert_array_equal(_core.dot_rows(other, towards, n_threads, isa), found)
            np.testing.assert_array_equal(
                _core.mean_row(other, "raw", n_threads, isa), _core.mean_row(rows, "raw", 1, isa)
            )


def test_rows_have_the_width_of_what_they_are_multiplied_by():
    with pytest.raises(ValueError, match="rows of 3 features cannot be multiplied by 2 numbers"):
        _core.dot_rows(np.ones((4, 3)), np.ones(2), 1)


@pytest.mark.parametrize("blocks", [[0], [0, 4], [1, 5], [0, 3, 3, 5], [0, 4, 3, 5], [0, 6]])
def test_invalid_blocks(blocks):
    with pytest.raises(ValueError, match="blocks must rise from 0 to the number of rows, 5"):
        panels(rows_of(5, 2), blocks=blocks)


@pytest.mark.parametrize(
    ("message", "layers"),
    [
        ("same rows and blocks", lambda: [panels(rows_of(9, 2)), panels(rows_of(8, 2))]),
        ("same rows and blocks", lambda: [panels(rows_of(9, 2)), panels(rows_of(9, 2), blocks=[0, 3, 9])]),
        ("one precision", lambda: [panels(rows_of(9, 2)), panels(rows_of(9, 2), precision="fp64")]),
        ("one precision", lambda: [panels(rows_of(9, 2)), panels(rows_of(9, 2), isa="base")]),
    ],
)
def test_layers_that_do_not_match(message, layers):
    if message == "one precision" and len(ISAS) == 1:
        pytest.skip("this processor has one instruction set")
    with pytest.raises(ValueError, match=message):
        sums(layers())


def test_a_task_runs_once():
    sweep = _core.DistanceSweep(panels(rows_of(9, 2)), None, metric="euclidean", out=np.empty(36, np.float32))
    for begin, end in ((0, 2), (-1, 1), (1, 0)):
        with pytest.raises(ValueError, match="tasks must be a range"):
            sweep.run(begin, end, 1)
    sweep.run(0, 1, 1)
    with pytest.raises(ValueError, match="tasks run once"):
        sweep.run(0, 1, 1)

"""Small sets of rows in one call of the engine: the bits and the errors of the way of single sets."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim import _core
from pyrepsim.backends import cpu
from pyrepsim.core.errors import DegenerateError, NonFiniteError, PyrepsimError
from pyrepsim.pairwise import METRICS
from pyrepsim.pairwise.engine import PairwiseEngine
from pyrepsim.pairwise.metrics import metric_named
from pyrepsim.pairwise.small_sets import fill_small_sets

PLAIN = sorted(name for name, metric in METRICS.items() if not metric.whitened)
DTYPES = [np.float16, ml_dtypes.bfloat16, np.float32, np.float64]


def singly(rows, metric, monkeypatch, **options):
    """The distances by the way of larger sets, or the type and message of the error."""
    with monkeypatch.context() as patch:
        patch.setattr(cpu, "most_rows_of_small_sets", 0)
        return outcome(rows, metric, **options)


def outcome(rows, metric, **options):
    try:
        return rs.pdist(rows, metric, backend="cpu", **options)
    except PyrepsimError as error:
        return f"{type(error).__name__}: {error}"


def left_out(rows, metric, precision="fp32"):
    engine = PairwiseEngine(precision=precision, backend="cpu")
    n = rows.shape[-2]
    out = np.empty((1 if rows.ndim == 2 else len(rows), n * (n - 1) // 2), engine.entry_type)
    return fill_small_sets(engine, rows, metric_named(metric), out)


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", PLAIN)
def test_the_bits_of_single_sets(metric, dtype, isa, monkeypatch, rng):
    monkeypatch.setenv("PYREPSIM_ISA", isa)
    for n, d in ((2, 1), (3, 2), (5, 33), (49, 32), (50, 100), (97, 129), (128, 7), (129, 40)):
        rows = (rng.standard_normal((n, d)) + rng.standard_normal(d)).astype(dtype)
        if metric == "correlation" and d == 1:
            continue
        for precision in ("fp32", "fp64"):
            expected = singly(rows, metric, monkeypatch, precision=precision)
            np.testing.assert_array_equal(outcome(rows, metric, precision=precision), expected)
            outs = [np.empty(expected.shape, dtype) for dtype in (np.float32, np.float64, np.float32, np.float64)]
            for out, way in zip(outs, (outcome, outcome, singly, singly), strict=True):
                way(rows, metric, *([monkeypatch] if way is singly else []), precision=precision, out=out)
            np.testing.assert_array_equal(outs[0], outs[2])
            np.testing.assert_array_equal(outs[1], outs[3])


@pytest.mark.parametrize("metric", PLAIN)
def test_memory_layouts(metric, rng):
    rows = rng.standard_normal((40, 60))
    expected = rs.pdist(rows, metric)
    wide = np.zeros((80, 180))
    wide[::2, ::3] = rows
    for layout in (np.asfortranarray(rows), wide[::2, ::3], rows[::-1].copy()[::-1], np.asfortranarray(wide)[::2, ::3]):
        np.testing.assert_array_equal(rs.pdist(layout, metric), expected)


def hostile_rows(rng):
    base = rng.standard_normal((12, 40))
    yield "equal rows", np.repeat(base[:1], 12, axis=0)
    yield "two kinds of rows", np.repeat(base[:2], 6, axis=0)
    yield "one direction", base[:1] * np.arange(1.0, 13.0)[:, None]
    yield "nearly one direction", base[:1] * np.arange(1.0, 13.0)[:, None] * (1 + 1e-16 * base)
    yield "near one direction", base[:1] * (1 + 1e-12 * base)
    yield "a row of zeros", np.vstack([base[:5], np.zeros((1, 40)), base[6:]])
    yield "a constant row", np.vstack([base[:5], np.full((1, 40), 0.1), base[6:]])
    yield "a row of rounding", np.vstack([base[:5], np.full((1, 40), 0.1) * (1 + 2.0**-52 * (base[5] > 0)), base[6:]])
    yield "far from 0", base + 1e9
    yield "very far from 0", base + 1e15
    yield "NaN", np.where(np.arange(480).reshape(12, 40) == 77, np.nan, base)
    yield "infinity", np.where(np.arange(480).reshape(12, 40) == 77, -np.inf, base)
    for power in (-320, -170, -140, -100, -20, -16, -15, 15, 17, 18, 19, 100, 139, 141, 160, 300):
        yield f"10^{power}", base * 10.0**power
        yield f"one row of 10^{power}", np.vstack([base[:11], base[11:] * 10.0**power])
    yield "rectified", np.maximum(base, 0.3) - 0.3
    yield "whole numbers", np.floor(base)
    yield "one that differs", np.where(np.arange(480).reshape(12, 40) == 77, 2.0, 1.0)


@pytest.mark.parametrize("metric", PLAIN)
@pytest.mark.parametrize("precision", ["fp32", "fp64"])
def test_hostile_rows_have_the_values_and_errors_of_single_sets(metric, precision, monkeypatch, rng):
    for name, rows in hostile_rows(rng):
        for width in (40, 20):  # with few features float32 entries are made in float64
            with np.errstate(over="ignore", under="ignore", invalid="ignore"):
                kinds = [rows[:, :width].astype(dtype) for dtype in (np.float64, np.float32)]
            for part in kinds:
                expected = singly(part, metric, monkeypatch, precision=precision)
                found = outcome(part, metric, precision=precision)
                if isinstance(expected, str):
                    assert found == expected, name
                else:
                    np.testing.assert_array_equal(found, expected, err_msg=name)


def test_usual_rows_are_not_left_out(rng):
    """Otherwise the tests above would test one way twice."""
    rows = rng.standard_normal((5, 30, 50))
    for metric in PLAIN:
        for dtype in DTYPES:
            assert left_out(rows.astype(dtype), metric) == []
        assert left_out(np.maximum(rows, 0), metric, "fp64") == []
        assert left_out(np.repeat(rows, 2, axis=1), metric) == []
        assert left_out(rows + 1000, metric) == []
    rows[3, 2] = np.nan
    assert left_out(rows, "cosine") == left_out(rows, "manhattan", "fp64") == [3]
    assert left_out(np.ones((4, 30, 50)), "correlation") == [0, 1, 2, 3]
    assert left_out(rng.standard_normal((2, 129, 50)), "cosine") == [0, 1]


def test_errors_name_the_set(rng):
    X = rng.standard_normal((6, 10, 40))
    X[4, 2, 7] = np.inf
    with pytest.raises(NonFiniteError, match="set 4 of X must be finite: got inf at row 2, feature 7"):
        rs.rdm(X)
    X[4] = 1.0
    with pytest.raises(DegenerateError, match="row 0 of set 4 of X is constant"):
        rs.rdm(X, "correlation")


@pytest.mark.parametrize("n_threads", [1, 2, 3])
def test_any_number_of_threads(n_threads, rng):
    X = rng.standard_normal((200, 20, 40)).astype(np.float32)
    np.testing.assert_array_equal(
        rs.rdm(X, "euclidean", n_threads=n_threads), np.stack([rs.pdist(one, "euclidean") for one in X])
    )


def test_the_engine_refuses_what_does_not_fit():
    rows, options = np.zeros((4, 3)), {"metric": "dot", "transform": "raw", "shifted": False, "precision": "fp64"}
    options |= {"few_features": 0, "sizes": (1e-140, 1e140)}
    for features, ends, n_out in (
        ([0, 3], [2], 6),
        ([-1], [1], 6),
        ([0, 1], [1], 6),
        ([0], [0], 6),
        ([0], [0, 1], 12),
        (None, None, 5),
    ):
        given = [None if part is None else np.array(part) for part in (features, ends)]
        with pytest.raises(ValueError, match="features|out must have|a feature"):
            _core.SmallSets(rows, *given, out=np.zeros(n_out), **options)

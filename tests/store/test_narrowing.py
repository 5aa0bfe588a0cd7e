"""The engine's conversion against NumPy's: the same bits on every instruction set."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from pyrepsim import _core
from pyrepsim.backends import get_backend

TYPES = {"float16": np.dtype("f2"), "bfloat16": np.dtype(ml_dtypes.bfloat16), "float32": np.dtype("f4")}


def turning_points(dtype: np.dtype) -> np.ndarray:
    """Every fifth value of a 16-bit type, the midpoints between neighbours, and the values next to those."""
    infinity = int(np.array(np.inf, dtype=dtype).view(np.uint16))
    patterns = np.arange(0, infinity - 1, 5, dtype=np.uint16)
    values = np.stack([patterns, patterns + 1]).astype(np.uint16).view(dtype).astype(np.float64)
    middle = values.mean(axis=0)
    beside = [middle * (1 + sign * 2.0**-power) for sign in (-1, 1) for power in (20, 40)]
    points = np.concatenate([*values, middle, *beside])
    return np.concatenate([points, -points])


def narrowed(backend: str, rows: np.ndarray, dtype: np.dtype, n_summed: int = 0):
    out = None if rows.dtype == dtype else np.empty(rows.shape, dtype=dtype)
    sums = np.zeros(rows.shape[1])
    largest = get_backend(backend).narrow(rows, out, sums, n_summed)
    return rows if out is None else out, sums, largest


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("target", ["float16", "bfloat16"])
@pytest.mark.parametrize("source", ["float16", "bfloat16", "float32", "float64"])
def test_rounding_is_to_nearest_even_once(source, target, isa, monkeypatch):
    monkeypatch.setenv("PYREPSIM_ISA", isa)
    dtype = TYPES[target]
    with np.errstate(over="ignore"):
        given = turning_points(dtype).astype(TYPES.get(source, source))
    given = given[np.isfinite(given)]
    rows = given[: len(given) // 7 * 7].reshape(7, -1)
    ours, reference = narrowed("cpu", rows, dtype)[0], narrowed("reference", rows, dtype)[0]
    assert ours.tobytes() == reference.tobytes()
    exact, stored = rows.astype(np.float64), ours.astype(np.float64)
    fits = np.isfinite(stored)
    for towards in (np.inf, -np.inf):
        neighbour = np.nextafter(ours, dtype.type(towards)).astype(np.float64)
        there = fits & np.isfinite(neighbour)
        assert np.all(np.abs(stored - exact)[there] <= np.abs(neighbour - exact)[there])
    if source == "float32":
        with np.errstate(over="ignore"):
            assert ours.tobytes() == rows.astype(dtype).tobytes()


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("target", list(TYPES))
@pytest.mark.parametrize("source", [*TYPES, "float64"])
@pytest.mark.parametrize("width", [1, 13, 1500])
def test_backends_agree(rng, source, target, width, isa, monkeypatch):
    monkeypatch.setenv("PYREPSIM_ISA", isa)
    rows = (rng.standard_normal((37, width)) * 10.0 ** rng.integers(-8, 4, width)).astype(TYPES.get(source, source))
    rows[5, width // 2] = -60_000
    ours, sums, largest = narrowed("cpu", rows[::-1], TYPES[target], n_summed=20)
    expected, expected_sums, expected_largest = narrowed("reference", rows[::-1], TYPES[target], n_summed=20)
    assert ours.tobytes() == expected.tobytes()
    assert largest == expected_largest
    np.testing.assert_allclose(sums, expected_sums, rtol=1e-13, atol=1e-18)
    np.testing.assert_allclose(sums, expected[:20].astype("f8").sum(axis=0), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize("source", [*TYPES, "float64"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_the_largest_value_is_not_finite_if_any_is(source, value, isa, monkeypatch):
    monkeypatch.setenv("PYREPSIM_ISA", isa)
    rows = np.ones((4, 70), dtype=TYPES.get(source, source))
    rows[2, 66] = value
    for target in TYPES.values():
        given, _ = narrowed("cpu", rows, target)[2]
        assert given == np.inf if np.isinf(value) else np.isnan(given)


@pytest.mark.parametrize("isa", _core.available_isas())
@pytest.mark.parametrize(("value", "fits"), [(65519.996, True), (65520.0, False), (1e300, False)])
def test_overflow_is_reported(value, fits, isa, monkeypatch):
    monkeypatch.setenv("PYREPSIM_ISA", isa)
    given, stored = narrowed("cpu", np.full((1, 9), value), TYPES["float16"])[2]
    assert given == value
    assert stored == (65504.0 if fits else np.inf)


def test_arguments_that_the_engine_refuses():
    rows, sums = np.ones((3, 4), dtype="f4"), np.zeros(4)
    for out in (np.empty((3, 4)), np.empty((4, 3), "f2"), np.empty((3, 8), "f2")[:, ::2]):
        with pytest.raises(ValueError, match="out must be"):
            _core.narrow(rows, out, sums, 0)
    with pytest.raises(ValueError, match="contiguous"):
        _core.narrow(np.asfortranarray(rows), None, sums, 0)
    with pytest.raises(ValueError, match="sums must have an entry"):
        _core.narrow(rows, None, np.zeros(3), 0)

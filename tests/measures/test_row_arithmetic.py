"""Chosen Gram entries against the whole Gram matrix."""

from __future__ import annotations

import numpy as np
import pytest

from pyrepsim.measures import rows as module
from pyrepsim.measures.rows import entries, mean_row, mean_square, unit_rows
from tests.helpers.data import cast, correlated_pair


@pytest.mark.parametrize("centred", [False, True])
@pytest.mark.parametrize("unit", [False, True])
@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
def test_entries_of_the_gram_matrix(dtype, unit, centred, rng):
    X = cast(correlated_pair(60, 11, 3, seed=1)[0], dtype)
    X.flags.writeable = False
    columns = rng.integers(0, 60, (60, 7))
    rows = X.astype(np.float64)
    if unit:
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    gram = rows @ rows.T
    gram -= gram.mean(axis=1, keepdims=True) if centred else 0.0
    values = entries(X, columns, unit=unit, centred=centred)
    np.testing.assert_allclose(
        values, np.take_along_axis(gram, columns, axis=1), rtol=0, atol=1e-14 * np.abs(gram).max()
    )


def test_any_chunk_gives_the_same_entries(rng, monkeypatch):
    X, columns = rng.standard_normal((50, 9)), rng.integers(0, 50, (50, 4))
    whole = entries(X, columns, unit=False)
    monkeypatch.setattr(module, "_CHUNK_ELEMENTS", 100)
    assert np.array_equal(entries(X, columns, unit=False), whole)


def test_centred_entries_of_rows_far_from_the_origin(rng):
    Z, far, columns = rng.standard_normal((40, 6)), 1e6 * np.ones(6), rng.integers(0, 40, (40, 3))
    values = entries(Z + far, columns, unit=False, centred=True)
    exact = (Z + far) @ (Z - Z.mean(axis=0)).T
    np.testing.assert_allclose(
        values, np.take_along_axis(exact, columns, axis=1), rtol=0, atol=1e-9 * np.abs(exact).max()
    )


def test_unit_rows_of_any_size():
    rows = np.array([[3e-200, 4e-200], [3e200, 4e200], [3.0, 4.0]])
    np.testing.assert_allclose(unit_rows(rows), np.tile([0.6, 0.8], (3, 1)), rtol=1e-15)


def test_means(rng):
    X = rng.standard_normal((30, 5)).astype(np.float32)
    np.testing.assert_allclose(mean_row(X), X.astype(np.float64).mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(mean_row(X, unit=True), unit_rows(X).mean(axis=0), rtol=1e-13)
    assert mean_square(X) == pytest.approx(np.sum(X.astype(np.float64) ** 2) / 30, rel=1e-13)

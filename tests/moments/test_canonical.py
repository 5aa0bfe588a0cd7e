"""Canonical weights: with and without right vectors, of either order of the sides, and where rank is missing."""

from __future__ import annotations

import numpy as np
import pytest

from pyrepsim.moments import PairedMoments, singular


def sides(n=900, missing=0, constant=0):
    """Rows of 40 and 30 related features; of the second some combinations do not vary, or some features."""
    rng = np.random.default_rng(0)
    latent, noise = rng.standard_normal((n, 40)), rng.standard_normal((n, 30))
    X = latent * np.geomspace(1, 1e-3, 40) + 3
    Y = (latent[:, :30] * np.linspace(0.2, 3, 30) + noise) @ rng.standard_normal((30, 30)) * np.geomspace(1, 1e3, 30)
    for k in range(missing):
        Y[:, k] = Y[:, k + 3] - 2 * Y[:, k + 9]
    Y[:, 30 - constant :] = 7.0
    return X, Y


def canonical_of(X, Y):
    moments = PairedMoments(X.shape[1], Y.shape[1])
    moments.update(X, Y)
    return moments.pair()


@pytest.mark.parametrize("swapped", [False, True])
@pytest.mark.parametrize(("missing", "constant"), [(0, 0), (2, 0), (0, 1), (2, 1)])
def test_the_same_weights_from_right_vectors(monkeypatch, missing, constant, swapped):
    X, Y = sides(missing=missing, constant=constant)
    pair = canonical_of(Y, X) if swapped else canonical_of(X, Y)
    assert {pair.x.rank, pair.y.rank} == {40, 30 - missing - constant}
    quick, mirrored = pair.canonical, pair.swapped().canonical
    assert quick[1].min() > 0.02, "no right vectors were needed"
    for one, two in zip(quick, mirrored[::-1], strict=True):
        np.testing.assert_array_equal(one, two)
    monkeypatch.setattr(singular, "_SMALL", 0.9)  # many are below the limit of the fast method
    other = canonical_of(Y, X) if swapped else canonical_of(X, Y)
    for one, two in zip(quick, other.canonical, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-11)


@pytest.mark.parametrize(("missing", "constant"), [(0, 0), (2, 0), (0, 1), (2, 1)])
def test_directions_beyond_the_rank_are_left_out(missing, constant):
    side = canonical_of(*sides(missing=missing, constant=constant)).y
    C = np.random.default_rng(2).standard_normal((30, 5)) * np.sqrt(np.diag(side.scatter))[:, None]
    expected = side.loadings @ (side.whitening.T @ C)
    np.testing.assert_allclose(side.within_rank(C), expected, rtol=0, atol=1e-9 * np.abs(C).max())
    assert (np.abs(expected - C).max() > 1e-3 * np.abs(C).max()) == bool(missing)


def test_the_weights_are_covariances_with_unit_variates():
    X, Y = sides(missing=2, constant=1)
    pair = canonical_of(X, Y)
    (left, rho, _), centred = np.linalg.svd(_basis(X).T @ _basis(Y)), X - X.mean(axis=0)
    k = pair.y.rank
    variates = _basis(X) @ left[:, :k]
    weights_x, correlations, weights_y = pair.canonical
    np.testing.assert_allclose(correlations, rho[:k], atol=1e-12)
    np.testing.assert_allclose(weights_x, np.abs(centred.T @ variates).sum(axis=0), rtol=1e-8)
    other = _basis(Y) @ (_basis(Y).T @ variates) / correlations
    np.testing.assert_allclose(weights_y, np.abs((Y - Y.mean(axis=0)).T @ other).sum(axis=0), rtol=1e-8)


def _basis(rows):
    """Orthonormal, of the centred columns."""
    left, values, _ = np.linalg.svd(
        (rows - rows.mean(axis=0)) / np.maximum(rows.std(axis=0), 1e-9), full_matrices=False
    )
    return left[:, values > 1e-10 * values[0]]

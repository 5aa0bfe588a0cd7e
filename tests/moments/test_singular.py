"""Singular values from squares against LAPACK's SVD, for different kinds of spectra."""

from __future__ import annotations

import numpy as np
import pytest

from pyrepsim.moments import singular
from pyrepsim.moments.singular import nuclear_norm, singular_triplets, singular_values

N = 120
SPECTRA = {
    "canonical": np.linspace(1, 0.011, N),
    "a few small": np.r_[np.linspace(1, 0.02, N - 6), np.geomspace(9e-3, 1e-6, 6)],
    "one tiny": np.r_[np.linspace(1, 0.1, N - 1), 1e-13],
    "one zero": np.r_[np.linspace(1, 0.1, N - 1), 0],
    "many small": np.geomspace(1, 1e-4, N),
    "graded": np.geomspace(1, 1e-15, N),
    "low rank": np.r_[np.ones(9), np.zeros(N - 9)],
    "many ones": np.r_[np.ones(40), np.linspace(0.9, 0.05, N - 40)],
    "one large": np.r_[1e4, np.linspace(1, 0.1, N - 1)],
    "at the edge": np.r_[np.linspace(1, 0.1, N - 2), 1.001e-2, 0.999e-2],
}
SHAPES = {"square": (N, N), "wide": (N, 300), "tall": (300, N)}


def matrix(spectrum, shape):
    rng = np.random.default_rng(0)
    left, right = (np.linalg.qr(rng.standard_normal((n, N)))[0] for n in shape)
    return (left * spectrum) @ right.T


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_against_lapack(spectrum, shape):
    A = matrix(SPECTRA[spectrum], SHAPES[shape])
    expected = np.linalg.svd(A, compute_uv=False)
    np.testing.assert_allclose(singular_values(A), expected, rtol=0, atol=1e-10 * expected[0])
    left, values, right = singular_triplets(A)
    np.testing.assert_allclose(np.sort(values)[::-1], expected, rtol=0, atol=1e-13 * expected[0])
    np.testing.assert_allclose((left * values) @ right.T, A, rtol=0, atol=1e-13 * expected[0])
    for side in (left, right):
        np.testing.assert_allclose(side.T @ side, np.eye(N), rtol=0, atol=1e-10)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("spectrum", SPECTRA)
def test_images_of_right_vectors(spectrum, shape):
    A = matrix(SPECTRA[spectrum], SHAPES[shape])
    M = np.random.default_rng(1).standard_normal((7, A.shape[1]))
    left, values, image = singular_triplets(A, (M, M @ A.T))
    expected = np.linalg.svd(A, compute_uv=False)
    np.testing.assert_allclose(np.sort(values)[::-1], expected, rtol=0, atol=1e-13 * expected[0])
    np.testing.assert_allclose((image * values) @ left.T, M @ A.T, rtol=0, atol=1e-12 * expected[0])
    np.testing.assert_allclose(np.sum(image * image), np.sum((M @ singular_triplets(A)[2]) ** 2), rtol=1e-8)


@pytest.mark.parametrize("A", [np.zeros((4, 7)), np.array([[-0.3]]), np.eye(30), np.ones((5, 1))], ids=str)
def test_small_and_simple(A):
    left, values, right = singular_triplets(A)
    np.testing.assert_allclose((left * values) @ right.T, A, atol=1e-15)
    np.testing.assert_allclose(singular_values(A), np.linalg.svd(A, compute_uv=False), atol=1e-15)


def test_the_guards_are_needed(monkeypatch):
    """Without them digits are lost: values of squares are off by 1e-8, and right vectors are not orthogonal."""
    A = matrix(SPECTRA["one tiny"], (N, N))
    for guard in ("_LEAST", "_LEAST_AGAIN", "_SMALL"):
        monkeypatch.setattr(singular, guard, 0.0)
    assert np.abs(singular_values(A) - np.linalg.svd(A, compute_uv=False)).max() > 1e-10
    _, _, right = singular_triplets(A)
    assert np.abs(right.T @ right - np.eye(N)).max() > 1e-6


def test_the_fast_method_is_used_where_possible(monkeypatch):
    """An SVD, if needed, is only of the few small directions."""
    shapes = []
    svd = np.linalg.svd
    monkeypatch.setattr(np.linalg, "svd", lambda a, **options: shapes.append(a.shape) or svd(a, **options))
    for spectrum in ("canonical", "a few small", "many ones"):
        singular_triplets(matrix(SPECTRA[spectrum], (N, N)))
    assert shapes == [(6, N)]
    for spectrum in ("canonical", "many ones"):
        singular_values(matrix(SPECTRA[spectrum], (N, N)))
    assert shapes == [(6, N)]


@pytest.mark.parametrize("spectrum", SPECTRA)
@pytest.mark.parametrize("shape", [(N, N), (N, 2 * N), (2 * N, N)])
def test_nuclear_norm(spectrum, shape):
    """It is computed from squares only where their rounding is below 1e-12 of the sum."""
    A = matrix(SPECTRA[spectrum], shape)
    assert nuclear_norm(A) == pytest.approx(np.linalg.svd(A, compute_uv=False).sum(), rel=1e-12)

"""Comparators of RDMs with a covariance of the items, with negative eigenvalues, and with several models at once."""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import DegenerateError, OptionError
from tests.helpers import references_comparators as reference
from tests.helpers.rdm_stacks import RDM_ENTRIES as P
from tests.helpers.rdm_stacks import RDM_ITEMS as N
from tests.helpers.rdm_stacks import covariance, rdms


@pytest.mark.parametrize("compare", ["cosine_cov", "corr_cov"])
@pytest.mark.parametrize("missing", [0, 1, 7, 20])
@pytest.mark.parametrize("kind", ["none", "variances", "diagonal", "covariance"])
def test_whitening_by_the_covariance_of_the_entries(kind, missing, compare):
    a, b = rdms(2, 17), rdms(3, 18)
    sigma = {
        "none": None,
        "variances": np.linspace(0.5, 2, N),
        "diagonal": np.diag(np.linspace(0.5, 2, N)),
        "covariance": covariance(N, 19),
    }[kind]
    full = np.diag(sigma) if kind == "variances" else sigma
    keep = np.ones(P, bool)
    keep[np.random.default_rng(20).permutation(P)[:missing]] = False
    found = rs.compare_rdms(a, b, compare, mask=keep, sigma_k=sigma)
    expected = [[getattr(reference, compare)(x, y, full, keep) for y in b] for x in a]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-11)
    if kind != "none":
        np.testing.assert_allclose(rs.compare_rdms(a, b, compare, mask=keep, sigma_k=7 * sigma), found, atol=1e-12)
        assert np.abs(rs.compare_rdms(a, b, compare, mask=keep) - found).max() > 1e-3
    else:
        eye = rs.compare_rdms(a, b, compare, mask=keep, sigma_k=np.eye(N))
        np.testing.assert_allclose(eye, found, rtol=0, atol=1e-13)


@pytest.mark.parametrize("sigma", [None, covariance(N, 29)], ids=["independent", "covariance"])
def test_the_riemannian_distance_up_to_scale_and_noise(sigma):
    a, b = rdms(2, 30, features=3), rdms(2, 31)  # a of rank 3
    found = rs.compare_rdms(a, b, "neg_riem_dist", sigma_k=sigma)
    S = reference.on_contrasts(np.eye(N) if sigma is None else sigma)
    for i, x in enumerate(a):
        for j, y in enumerate(b):
            A, B = (reference.on_contrasts(reference.gram_of_rdm(v)) for v in (x, y))
            assert found[i, j] == pytest.approx(-reference.least_riemannian_distance(A, S, B), abs=1e-6)
    noise = reference.square(np.ones(P)) if sigma is None else squared_distances(sigma)
    mixed = np.array([3 * reference.square(x) + 0.2 * noise for x in a])
    assert np.abs(np.diag(rs.compare_rdms(a, mixed, "neg_riem_dist", sigma_k=sigma))).max() < 1e-6
    assert rs.compare_rdms(b[0], b[0], "neg_riem_dist") == pytest.approx(0, abs=1e-6)
    swapped = rs.compare_rdms(b, rdms(2, 30), "neg_riem_dist")
    assert np.abs(swapped - rs.compare_rdms(rdms(2, 30), b, "neg_riem_dist").T).max() > 1e-3


def squared_distances(gram: np.ndarray) -> np.ndarray:
    return np.diag(gram) + np.diag(gram)[:, None] - 2 * gram


def test_negative_eigenvalues_are_clipped_on_request():
    good = rdms(2, 32)
    noisy = good + np.random.default_rng(33).standard_normal(good.shape) * good.mean()
    for compare in ("bures", "bures_metric"):
        with pytest.raises(DegenerateError, match=r"Gram matrix of a\[0\] has the eigenvalue"):
            rs.compare_rdms(noisy, good, compare)
        assert np.isnan(rs.compare_rdms(noisy, good, compare, on_degenerate="nan")).all()
        plain = rs.compare_rdms(good, good[::-1], compare)
        np.testing.assert_array_equal(rs.compare_rdms(good, good[::-1], compare, clip_negative=True), plain)
        for x, y in ((noisy, good), (good, noisy), (noisy, noisy)):
            found = rs.compare_rdms(x, y, compare, clip_negative=True)
            for i, j in np.ndindex(2, 2):
                A, B = reference.gram_of_rdm(x[i]), reference.gram_of_rdm(y[j])
                fidelity = reference.clipped_fidelity(A, B)
                expected = (
                    fidelity / np.sqrt(np.trace(A) * np.trace(B))
                    if compare == "bures"
                    else np.trace(A) + np.trace(B) - 2 * fidelity
                )
                assert found[i, j] == pytest.approx(expected, abs=1e-6)
    with pytest.raises(DegenerateError, match="positive sum"):
        rs.compare_rdms(-good, good, "bures", clip_negative=True)


def test_models_that_depend_on_each_other():
    a, b = rdms(2, 34), rdms(3, 35)
    sums = np.vstack([b, b[0] + 2 * b[2] + 5])
    for compare in ("partial", "regression"):
        with pytest.raises(DegenerateError, match=r"b\[3\] is a sum of those before it"):
            rs.compare_rdms(a, sums, compare)
        assert np.isnan(rs.compare_rdms(a, sums, compare, on_degenerate="nan")).all()
        with pytest.raises(DegenerateError, match="more models than entries"):
            rs.compare_rdms(rdms(1, 36, n=3), rdms(4, 37, n=3), compare)
        with pytest.raises(DegenerateError, match=r"b\[1\] are all equal"):
            rs.compare_rdms(a, np.vstack([b[0], np.ones(P)]), compare)
    with pytest.raises(OptionError, match="two or more models"):
        rs.compare_rdms(a, b[:1], "partial")
    one = rs.compare_rdms(a[0], b[0], "regression")
    assert type(one) is float
    assert one == pytest.approx(np.polyfit(b[0], a[0], 1)[0], rel=1e-10)
    np.testing.assert_allclose(rs.compare_rdms(5 * a, b / 3, "regression"), 15 * rs.compare_rdms(a, b, "regression"))


def test_data_that_is_a_sum_of_models():
    b = rdms(3, 38)
    data = np.vstack([b[0] - 2 * b[1], b[2]])
    found = rs.compare_rdms(data, b, "partial", on_degenerate="nan")
    np.testing.assert_allclose(found, [[1, -1, np.nan], [np.nan, np.nan, 1]], atol=1e-6)
    with pytest.raises(DegenerateError, match=r"a\[0\] is a sum of them.*none with model 2"):
        rs.compare_rdms(data, b, "partial")

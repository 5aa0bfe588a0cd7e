"""MNE-RSA with pyrepsim underneath gives the values of MNE-RSA."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pyrepsim.integrations import calls, fallbacks
from pyrepsim.integrations import mne_rsa as integration

mne_rsa = pytest.importorskip("mne_rsa")

COMPARISONS = ["spearman", "pearson", "kendall-tau-a", "partial", "partial-spearman", "regression"]


def both(function: str, *arguments: Any, covered: bool = True, **options: Any) -> tuple[Any, Any]:
    """The result of MNE-RSA alone, and with pyrepsim underneath."""
    due = getattr(mne_rsa, function)(*arguments, **options)
    with integration.patched():
        before = sum(calls.values()), sum(fallbacks.values())
        found = getattr(mne_rsa, function)(*arguments, **options)
        assert sum(calls.values()) > before[0]
        assert (sum(fallbacks.values()) == before[1]) == covered
    assert np.shape(found) == np.shape(due)
    return found, due


@pytest.fixture
def rdms(rng: np.random.Generator) -> list[np.ndarray]:
    return [mne_rsa.compute_rdm(rng.standard_normal((12, 5))) for _ in range(4)]


@pytest.mark.parametrize("metric", ["correlation", "cosine", "euclidean", "sqeuclidean", "cityblock"])
def test_rdms(rng, metric: str):
    np.testing.assert_allclose(*both("compute_rdm", rng.standard_normal((12, 3, 4)) + 1, metric), rtol=1e-9)


@pytest.mark.parametrize("n_folds", [2, 4])
@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "correlation", "cosine"])
def test_cross_validated_rdms(rng, n_folds: int, metric: str):
    folds = rng.standard_normal((1, 9, 6)) + 0.1 * rng.standard_normal((n_folds, 9, 6))
    np.testing.assert_allclose(*both("compute_rdm_cv", folds, metric), rtol=1e-9, atol=1e-12)


@pytest.mark.skipif(not hasattr(mne_rsa.rdm, "_cv_cosine"), reason="after 1.0")
@pytest.mark.parametrize(
    "options", [{"reg_var": 0.0}, {"reg_denom": 0.6, "bounded": False}, {"reg_var": 0.5, "reg_denom": 0.0}]
)
def test_regularised_cosines(rng, options: dict[str, Any]):
    folds = rng.standard_normal((1, 9, 6)) + 0.3 * rng.standard_normal((3, 9, 6))
    np.testing.assert_allclose(*both("compute_rdm_cv", folds, "correlation", **options), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("metric", COMPARISONS)
@pytest.mark.parametrize("ignore_nan", [False, True])
def test_comparisons(rdms, metric: str, ignore_nan: bool):
    data, models = rdms[:2], rdms[2:]
    if ignore_nan:
        models[0][3] = models[1][7] = np.nan
        for rdm in data:
            rdm[11] = np.nan
    np.testing.assert_allclose(*both("rsa", data, models, metric, ignore_nan=ignore_nan), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(*both("rsa", data[0], models, metric, ignore_nan=ignore_nan), rtol=1e-9, atol=1e-12)


def test_one_model_gives_numbers(rdms):
    found, due = both("rsa", rdms[0], rdms[1])
    assert found == pytest.approx(due)
    assert found.shape == ()


@pytest.mark.parametrize("metric", COMPARISONS)
@pytest.mark.parametrize("n_folds", [1, 2])
def test_searchlights(rng, rdms, metric: str, n_folds: int):
    X = rng.standard_normal((24 if n_folds == 2 else 12, 4, 20))
    labels = list(range(12)) * 2 if n_folds == 2 else None
    options = {"rsa_metric": metric, "labels_X": labels, "n_folds": n_folds, "data_rdm_metric": "sqeuclidean"}
    patches = mne_rsa.searchlight(X.shape, temporal_radius=3)
    found, due = both("rsa_array", X, rdms[:2], patches, **options)
    np.testing.assert_allclose(found, due, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("metric", ["correlation", "cityblock", "sqeuclidean"])
@pytest.mark.parametrize("n_folds", [1, 2, 3])
def test_patches_of_different_sizes(rng, rdms, metric: str, n_folds: int):
    X = rng.standard_normal((12 * n_folds, 30))
    lists = [list(rng.choice(30, rng.integers(3, 6), replace=False)) for _ in range(300)]
    options = {"labels_X": list(range(12)) * n_folds if n_folds > 1 else None, "n_folds": n_folds}
    if n_folds > 1 and metric == "cityblock" and hasattr(mne_rsa.rdm, "_cv_cosine"):
        pytest.skip("left to MNE-RSA")
    patches = mne_rsa.searchlight(X.shape, spatial_radius=lists)
    found, due = both("rsa_array", X, rdms[0], patches, data_rdm_metric=metric, **options)
    np.testing.assert_allclose(found, due, rtol=1e-8, atol=1e-12)


@pytest.mark.filterwarnings("ignore")
def test_constant_rdms_have_the_values_of_mne_rsa(rdms):
    constant = np.full_like(rdms[0], 0.1)
    for metric in ("spearman", "pearson", "kendall-tau-a"):
        covered = metric != "kendall-tau-a"
        np.testing.assert_array_equal(*both("rsa", constant, rdms[1], metric, covered=covered))
        np.testing.assert_array_equal(*both("rsa", rdms[1], constant, metric, covered=covered))
    np.testing.assert_array_equal(*both("rsa", np.ones(1), np.zeros(1), "regression", covered=False))


def test_errors_are_those_of_mne_rsa(rdms):
    with pytest.raises(ValueError, match="length at least 2"), integration.patched():
        mne_rsa.rsa(np.ones(1), np.zeros(1), "pearson")
    with integration.patched():
        with pytest.raises(ValueError, match="Invalid RSA metric"):
            mne_rsa.rsa(rdms[0], rdms[1], "no such metric")
        with pytest.raises(ValueError, match="Need more than one model"):
            mne_rsa.rsa(rdms[0], [rdms[1]], "partial")
        with pytest.raises(ValueError, match="single feature"):
            mne_rsa.compute_rdm(np.zeros((4, 1)))

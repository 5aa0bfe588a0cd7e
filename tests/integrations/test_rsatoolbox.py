"""rsatoolbox with pyrepsim underneath gives the values of rsatoolbox."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pyrepsim.integrations import calls, fallbacks
from pyrepsim.integrations import rsatoolbox as integration

rsatoolbox = pytest.importorskip("rsatoolbox")

pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")  # of rsatoolbox

METHODS = ["cosine", "corr", "cosine_cov", "corr_cov", "spearman", "rho-a", "kendall", "tau-a", "bures", "bures_metric"]


def both(function: Any, *arguments: Any, **options: Any) -> tuple[Any, Any]:
    """The result of rsatoolbox alone, and with pyrepsim underneath, which must answer without a fallback."""
    due = function(*arguments, **options)
    with integration.patched():
        before = sum(calls.values()), sum(fallbacks.values())
        found = function(*arguments, **options)
        assert sum(calls.values()) > before[0]
        assert sum(fallbacks.values()) == before[1]
    return found, due


def rdms(rng: np.random.Generator, n_rdms: int, n_conditions: int = 6) -> Any:
    patterns = rng.standard_normal((n_rdms, n_conditions, 20))
    squared = ((patterns[:, :, None] - patterns[:, None]) ** 2).sum(axis=-1)
    return rsatoolbox.rdm.RDMs(squared)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("n_conditions", [3, 6])
def test_comparisons(rng, method: str, n_conditions: int):
    one, other = rdms(rng, 3, n_conditions), rdms(rng, 4, n_conditions)  # 3 RDMs of 3 entries: no square RDM
    rtol = 1e-5 if method == "bures_metric" else 1e-8  # rsatoolbox takes roots of eigenvalues that are 0 up to rounding
    np.testing.assert_allclose(*both(rsatoolbox.rdm.compare, one, other, method), rtol=rtol, atol=1e-12)


@pytest.mark.parametrize("method", METHODS[:8])
def test_entries_left_out(rng, method: str):
    one, other = rdms(rng, 3), rdms(rng, 4)
    one.dissimilarities[0, 5] = other.dissimilarities[2, 5] = np.nan
    np.testing.assert_allclose(*both(rsatoolbox.rdm.compare, one, other, method), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("method", METHODS[:8])
@pytest.mark.parametrize("constant", [0.0, 2.0])
@pytest.mark.filterwarnings("ignore::scipy.stats.ConstantInputWarning")
def test_constant_rdms(rng, method: str, constant: float):
    """One RDM at a time: 0.3.2 gives the RDMs after a constant one the values of other RDMs."""
    one, other = rdms(rng, 3), rdms(rng, 4)
    one.dissimilarities[1] = constant
    with integration.patched():
        found = rsatoolbox.rdm.compare(one, other, method)
    due = [rsatoolbox.rdm.compare(one.subset("index", k), other, method)[0] for k in range(3)]
    np.testing.assert_allclose(found, due, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("method", ["cosine_cov", "corr_cov"])
def test_covariances_of_conditions(rng, method: str):
    one, other = rdms(rng, 3), rdms(rng, 4)
    covariance = np.cov(rng.standard_normal((40, 6)).T)  # rsatoolbox solves to 1e-5 here
    np.testing.assert_allclose(*both(rsatoolbox.rdm.compare, one, other, method, sigma_k=covariance), rtol=1e-4)


@pytest.mark.parametrize("method", ["euclidean", "correlation", "mahalanobis"])
@pytest.mark.parametrize("descriptor", [None, "condition"])
@pytest.mark.parametrize("remove_mean", [False, True])
def test_rdms_of_data(rng, method: str, descriptor: str | None, remove_mean: bool):
    data = rsatoolbox.data.Dataset(
        rng.standard_normal((12, 7)) + 1, obs_descriptors={"condition": [f"c{k % 4}" for k in range(12)]}
    )
    options = {"noise": np.linalg.inv(np.cov(rng.standard_normal((40, 7)).T))} if method == "mahalanobis" else {}
    if options:
        options["noise"] = (options["noise"] + options["noise"].T) / 2
    found, due = both(rsatoolbox.rdm.calc_rdm, data, method, descriptor=descriptor, remove_mean=remove_mean, **options)
    np.testing.assert_allclose(found.get_vectors(), due.get_vectors(), rtol=1e-9)
    assert found.dissimilarity_measure == due.dissimilarity_measure
    assert found.pattern_descriptors.keys() == due.pattern_descriptors.keys()


def counts(rng: np.random.Generator, n_per_fold: int = 1) -> Any:
    order = rng.permutation(4 * 3 * n_per_fold)
    labels = {"condition": [f"c{k % 4}" for k in order], "fold": [k // 4 % 3 for k in order]}
    return rsatoolbox.data.Dataset(rng.poisson(3.0, (len(order), 7)) + 0.5, obs_descriptors=labels)


@pytest.mark.parametrize("prior", [{}, {"prior_lambda": 2.0, "prior_weight": 0.5}])
def test_poisson(rng, prior: dict[str, float]):
    found, due = both(rsatoolbox.rdm.calc_rdm, counts(rng), "poisson", descriptor="condition", **prior)
    np.testing.assert_allclose(found.get_vectors(), due.get_vectors(), rtol=1e-9)


@pytest.mark.parametrize("n_per_fold", [1, 2])
@pytest.mark.parametrize("remove_mean", [False, True])
@pytest.mark.parametrize("noise", ["none", "one", "each fold"])
def test_crossnobis(rng, n_per_fold: int, remove_mean: bool, noise: str):
    matrices = [np.linalg.inv(np.cov(rng.standard_normal((40, 7)).T)) for _ in range(3)]
    given = {"none": None, "one": matrices[0] + matrices[0].T, "each fold": matrices}[noise]
    options = {"descriptor": "condition", "cv_descriptor": "fold", "noise": given, "remove_mean": remove_mean}
    found, due = both(rsatoolbox.rdm.calc_rdm, counts(rng, n_per_fold), "crossnobis", **options)
    np.testing.assert_allclose(found.get_vectors(), due.get_vectors(), rtol=1e-8, atol=1e-12)


def test_unequal_folds_are_left_to_rsatoolbox(rng):
    data = counts(rng, 2).subset_obs("condition", ["c0", "c1", "c2", "c3"])
    data.obs_descriptors["fold"][0] = (data.obs_descriptors["fold"][0] + 1) % 3
    before = fallbacks["rsatoolbox.rdm.calc.calc_rdm_crossnobis"]
    due = rsatoolbox.rdm.calc_rdm(data, "crossnobis", descriptor="condition", cv_descriptor="fold")
    with integration.patched():
        found = rsatoolbox.rdm.calc_rdm(data, "crossnobis", descriptor="condition", cv_descriptor="fold")
    assert fallbacks["rsatoolbox.rdm.calc.calc_rdm_crossnobis"] == before + 1
    np.testing.assert_array_equal(found.get_vectors(), due.get_vectors())


def test_errors_are_those_of_rsatoolbox(rng):
    with integration.patched():
        with pytest.raises(ValueError, match="Unknown RDM comparison"):
            rsatoolbox.rdm.compare(rdms(rng, 2), rdms(rng, 2), "no such method")
        with pytest.raises(ValueError, match="equal shape"):
            rsatoolbox.rdm.compare(rdms(rng, 2, 6), rdms(rng, 2, 7))

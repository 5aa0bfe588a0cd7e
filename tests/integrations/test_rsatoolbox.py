"""rsatoolbox with pyrepsim underneath gives the values of rsatoolbox."""
# ruff: noqa: NPY002 - the random numbers of rsatoolbox

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest

from pyrepsim.integrations import calls, fallbacks
from pyrepsim.integrations import rsatoolbox as integration

rsatoolbox = pytest.importorskip("rsatoolbox")
searchlight = pytest.importorskip("rsatoolbox.util.searchlight")

pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered in cast:RuntimeWarning")  # of rsatoolbox

METHODS = ["cosine", "corr", "cosine_cov", "corr_cov", "spearman", "rho-a", "kendall", "tau-a", "bures", "bures_metric"]


def both(function: Any, *arguments: Any, **options: Any) -> tuple[Any, Any]:
    """The result of rsatoolbox alone, and with pyrepsim underneath, which must answer without a fallback."""
    due = function(*arguments, **options)
    with integration.patched():
        before = sum(calls.values()), sum(fallbacks.values())
        found = current(function)(*arguments, **options)
        assert sum(calls.values()) > before[0]
        assert sum(fallbacks.values()) == before[1]
    return found, due


def current(function: Any) -> Any:
    """What the name of the function is bound to now."""
    return getattr(sys.modules[function.__module__], function.__name__)


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


UNBALANCED = ["euclidean", "correlation", "mahalanobis", "crossnobis", "poisson", "poisson_cv"]


def unbalanced(rng: np.random.Generator) -> Any:
    condition = rng.permutation(np.concatenate([np.arange(5), np.arange(5), rng.integers(0, 5, 30)]))
    labels = {"condition": [f"c{7 - k}" for k in condition], "fold": [*range(4)] * 10}
    return rsatoolbox.data.Dataset(rng.poisson(3.0, (40, 7)) + 0.5, obs_descriptors=labels)


@pytest.mark.parametrize("method", UNBALANCED)
@pytest.mark.parametrize("cv_descriptor", [None, "fold"])
@pytest.mark.parametrize("noise", [False, True])
@pytest.mark.filterwarnings("ignore:cv_descriptor not set")
def test_unbalanced_designs(rng, method: str, cv_descriptor: str | None, noise: bool):
    matrix = np.linalg.inv(np.cov(rng.standard_normal((40, 7)).T))
    options = {"descriptor": "condition", "cv_descriptor": cv_descriptor, "noise": matrix + matrix.T if noise else None}
    for data in (unbalanced(rng), [unbalanced(rng), unbalanced(rng)]):
        found, due = both(rsatoolbox.rdm.calc_rdm_unbalanced, data, method, **options)
        np.testing.assert_allclose(found.get_vectors(), due.get_vectors(), rtol=1e-9, atol=1e-12)
        assert found.dissimilarity_measure == due.dissimilarity_measure
        np.testing.assert_array_equal(found.pattern_descriptors["condition"], due.pattern_descriptors["condition"])
        assert found.descriptors.keys() == due.descriptors.keys()
        assert found.rdm_descriptors.keys() == due.rdm_descriptors.keys()


def test_equal_weights_count_a_row_with_itself(rng):
    """0.3.2 leaves these pairs out of the number of pairs: single rows give NaN."""
    data = unbalanced(rng)
    with integration.patched():
        found, due = (
            rsatoolbox.rdm.calc_rdm_unbalanced(data, descriptor="condition", weighting=weighting)
            for weighting in ("equal", "number")
        )
    np.testing.assert_array_equal(found.get_vectors(), due.get_vectors())


def test_missing_measurements_are_left_to_rsatoolbox(rng):
    data = unbalanced(rng)
    data.measurements[3, 2] = np.nan
    due = rsatoolbox.rdm.calc_rdm_unbalanced(data, descriptor="condition")
    before = fallbacks["rsatoolbox.rdm.calc_unbalanced.calc_rdm_unbalanced"]
    with integration.patched():
        found = rsatoolbox.rdm.calc_rdm_unbalanced(data, descriptor="condition")
    assert fallbacks["rsatoolbox.rdm.calc_unbalanced.calc_rdm_unbalanced"] == before + 1
    np.testing.assert_array_equal(found.get_vectors(), due.get_vectors())


@pytest.mark.parametrize("method", ["correlation", "euclidean", "mahalanobis", "crossnobis", "poisson"])
@pytest.mark.parametrize("n_centers", [40, 1100])
def test_searchlights(rng, method: str, n_centers: int):
    data, events = rng.poisson(3.0, (12, 30)) + 0.5, np.tile(["b", "d", "a", "c"], 3)
    neighbors = [rng.choice(30, 8, replace=False) for _ in range(n_centers)]
    arguments = data, np.arange(n_centers) * 2, neighbors, events, method
    found, due = both(searchlight.get_searchlight_RDMs, *arguments)
    direct = integration.searchlight_rdms(*arguments)
    for rdms in (found, direct):
        np.testing.assert_allclose(rdms.get_vectors(), due.get_vectors(), rtol=1e-9, atol=1e-12)
        np.testing.assert_array_equal(rdms.rdm_descriptors["voxel_index"], due.rdm_descriptors["voxel_index"])
        assert rdms.dissimilarity_measure == due.dissimilarity_measure
        assert rdms.pattern_descriptors == due.pattern_descriptors


@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")
def test_searchlights_with_a_constant_pattern(rng):
    data = rng.standard_normal((6, 30))
    data[:, 20:] = data[2, 5] = 1.0
    data[4, 7] = np.nan
    neighbors = [rng.choice(20, 6, replace=False) for _ in range(300)]
    neighbors[7], neighbors[290] = np.arange(20, 26), np.arange(2, 8)
    arguments = data, np.arange(300), neighbors, np.arange(6)
    due = searchlight.get_searchlight_RDMs(*arguments).get_vectors()
    found = integration.searchlight_rdms(*arguments).get_vectors()
    np.testing.assert_allclose(found, due, rtol=1e-9, atol=1e-12)
    assert np.isnan(found[7]).all()
    assert np.isnan(found).any(axis=1).sum() > 2


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.filterwarnings("ignore:Noise ceiling for tau")
def test_models_of_searchlights(rng, method: str):
    of_centers = rdms(rng, 12)
    models = [rsatoolbox.model.ModelFixed(str(k), row) for k, row in enumerate(rdms(rng, 2).get_vectors().round())]
    arguments = of_centers, models, rsatoolbox.inference.eval_fixed
    if method.startswith("bures"):
        with integration.patched(), pytest.raises(ValueError, match="Unknown RDM comparison"):
            searchlight.evaluate_models_searchlight(*arguments, method=method)
        return
    for found, due in zip(*both(searchlight.evaluate_models_searchlight, *arguments, method=method), strict=True):
        assert_same_results(found, due)


def assert_same_results(found: Any, due: Any) -> None:
    for name in ("evaluations", "noise_ceiling", "variances", "model_var", "diff_var", "noise_ceil_var"):
        expected = getattr(due, name)
        if expected is None:
            assert getattr(found, name) is None
        else:
            np.testing.assert_allclose(getattr(found, name), expected, rtol=1e-8, atol=1e-11, err_msg=name)
            assert np.shape(getattr(found, name)) == np.shape(expected)
    for name in ("method", "cv_method", "dof", "n_rdm", "n_pattern", "n_model", "n_bootstraps", "fitter"):
        assert getattr(found, name) == getattr(due, name)
    assert [model.name for model in found.models] == [model.name for model in due.models]


BOOTSTRAPS = ["eval_bootstrap", "eval_bootstrap_pattern", "eval_bootstrap_rdm", "eval_dual_bootstrap"]


def seeded(function: Any, *arguments: Any, **options: Any) -> tuple[Any, float]:
    np.random.seed(3)
    return current(function)(*arguments, **options), np.random.random()


def study(rng: np.random.Generator, n_patterns: int = 8) -> tuple[list[Any], Any]:
    """Two models, and data of three subjects with one to three RDMs; patterns of groups."""
    subjects = {"subject": ["b", "a", "a", "c", "c", "c"]}
    groups = {"group": [f"g{k // 2}" for k in range(n_patterns)]}
    data = rdms(rng, 6, n_patterns)
    data.rdm_descriptors |= subjects
    data.pattern_descriptors |= groups
    models = rdms(rng, 2, n_patterns)
    models.pattern_descriptors |= groups
    return [rsatoolbox.model.ModelFixed(f"model {k}", models.subset("index", k)) for k in range(2)], data


@pytest.mark.parametrize("bootstrap", BOOTSTRAPS)
@pytest.mark.parametrize("method", METHODS[:8])
@pytest.mark.filterwarnings("ignore:Noise ceiling for tau")
def test_bootstraps(rng, bootstrap: str, method: str):
    models, data = study(rng)
    function = getattr(rsatoolbox.inference, bootstrap)
    (found, after), (due, after_due) = both(seeded, function, models, data, method=method, N=8)
    assert_same_results(found, due)
    assert after == after_due  # as many random numbers
    data.rdm_descriptors["subject"] = ["a"] * 6  # one group
    (found, _), (due, _) = both(seeded, function, models[0], data, method=method, N=3, rdm_descriptor="subject")
    assert_same_results(found, due)


@pytest.mark.parametrize("bootstrap", BOOTSTRAPS)
@pytest.mark.parametrize("boot_noise_ceil", [True, False])
@pytest.mark.filterwarnings("ignore:Degrees of freedom", "ignore:divide by zero", "ignore:invalid value")
def test_bootstraps_of_groups(rng, bootstrap: str, boot_noise_ceil: bool):
    """With four groups of patterns many samples have two or fewer, and no value."""
    models, data = study(rng)
    options = {"method": "corr", "N": 20, "rdm_descriptor": "subject"}
    if bootstrap != "eval_bootstrap_rdm":
        options["pattern_descriptor"] = "group"
    if bootstrap != "eval_dual_bootstrap":
        options["boot_noise_ceil"] = boot_noise_ceil
    (found, after), (due, after_due) = both(seeded, getattr(rsatoolbox.inference, bootstrap), models, data, **options)
    assert_same_results(found, due)
    assert after == after_due
    if bootstrap != "eval_bootstrap_rdm":
        assert np.isnan(due.evaluations).any()


def test_models_with_given_parameters(rng):
    _, data = study(rng)
    rows = rdms(rng, 3, 8)
    models = [
        rsatoolbox.model.ModelWeighted("weighted", rows),
        rsatoolbox.model.ModelSelect("selected", rows),
        rsatoolbox.model.ModelInterpolate("interpolated", rows),
    ]
    theta = [np.array([1.0, 0.5, 2.0]), 1, np.array([0.0, 0.3, 0.7])]
    found, due = both(seeded, rsatoolbox.inference.eval_bootstrap, models, data, theta=theta, N=5)
    assert_same_results(found[0], due[0])


@pytest.mark.parametrize("constant", ["model", "data"])
@pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning", "ignore:All-NaN slice")
def test_samples_without_a_value(rng, constant: str):
    """A model that does not vary in a sample has the value 0; data that do not are left to rsatoolbox."""
    models, data = study(rng)
    if constant == "model":
        square = np.zeros((8, 8))
        square[0, 1] = square[1, 0] = 1.0  # many samples lack one of these patterns
        models = [rsatoolbox.model.ModelFixed("one pair", square)]
        found, due = both(seeded, rsatoolbox.inference.eval_bootstrap_pattern, models, data, method="corr", N=9)
        assert (due[0].evaluations == 0).any()
        assert_same_results(found[0], due[0])
        return
    data.dissimilarities[1] = 1.0
    after = []
    for context in (nullcontext, integration.patched):
        np.random.seed(3)
        with context(), pytest.raises(ValueError, match="nan positions"):
            rsatoolbox.inference.eval_bootstrap_rdm(models, data, method="corr", N=5)
        after.append(np.random.random())
    assert after[0] == after[1]  # rsatoolbox drew its samples from the first one on


@pytest.mark.filterwarnings("ignore:Degrees of freedom", "ignore:divide by zero", "ignore:invalid value")
def test_what_bootstraps_leave_to_rsatoolbox(rng):
    models, data = study(rng)
    weighted = [rsatoolbox.model.ModelWeighted("weighted", rdms(rng, 2, 8))]
    other_order = rdms(rng, 1, 8)
    other_order.pattern_descriptors["group"] = data.pattern_descriptors["group"][::-1]
    of_other_order = [rsatoolbox.model.ModelFixed("other", other_order)]
    for name, chosen, options in (
        ("eval_dual_bootstrap", weighted, {"method": "cosine"}),
        ("eval_dual_bootstrap", models, {"k_rdm": 2}),
        ("eval_bootstrap_pattern", of_other_order, {"pattern_descriptor": "group"}),
        ("eval_bootstrap_rdm", models, {"method": "neg_riem_dist"}),
    ):
        function = getattr(rsatoolbox.inference, name)
        due, after_due = seeded(function, chosen, data, N=2, **options)
        with integration.patched():
            before = fallbacks[f"rsatoolbox.inference.evaluate.{name}"]
            found, after = seeded(getattr(rsatoolbox.inference, name), chosen, data, N=2, **options)
            assert fallbacks[f"rsatoolbox.inference.evaluate.{name}"] == before + 1
        assert after == after_due
        np.testing.assert_allclose(found.evaluations, due.evaluations, rtol=1e-3)


@pytest.mark.parametrize("method", METHODS[:8])
@pytest.mark.filterwarnings("ignore:Noise ceiling for tau")
def test_noise_ceilings(rng, method: str):
    _, data = study(rng)
    sample = data.subsample_pattern("index", [0, 1, 1, 3, 4, 7])  # entries between copies are NaN
    for one in (data, sample):
        for options in ({}, {"rdm_descriptor": "subject"}):
            found, due = both(rsatoolbox.inference.boot_noise_ceiling, one, method=method, **options)
            np.testing.assert_allclose(found, due, rtol=1e-9)

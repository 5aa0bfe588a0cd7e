"""Crossnobis and Poisson distances of balanced and unbalanced designs, and covariances of noise."""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import DegenerateError, DTypeError, NonFiniteError, OptionError, ShapeError
from tests.helpers import references_crossvalidated as crossvalidated
from tests.helpers import references_pairwise as reference

PRIOR = (1.0, 0.1)


def design(rng, n_conditions=6, n_folds=4, d=15, repeats=2):
    labels = [(c, k) for k in range(n_folds) for c in range(n_conditions) for _ in range(repeats)]
    conditions, folds = (np.array(part) for part in zip(*labels, strict=True))
    order = rng.permutation(len(labels))
    rows = 3 + rng.standard_normal((len(labels), d)) + rng.standard_normal((n_conditions, d))[conditions]
    return rows[order], {"conditions": conditions[order], "folds": folds[order]}


def random_covariance(rng, d):
    factor = rng.standard_normal((2 * d, d))
    return factor.T @ factor / (2 * d) + 0.1 * np.eye(d)


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12 * np.abs(expected).max())


def test_covariance_and_precision_of_noise(rng):
    rows, labels = design(rng)
    noise = random_covariance(rng, 15)
    expected = reference.crossnobis(rows, *labels.values(), noise)
    assert_close(rs.rdm(rows, "crossnobis", noise=noise, **labels), expected)
    assert_close(rs.rdm(rows, "crossnobis", noise=np.linalg.inv(noise), noise_is="precision", **labels), expected)
    inverse = np.linalg.inv(noise)
    difference = rows[:, None] - rows[None]
    expected = np.einsum("ijk,kl,ijl->ij", difference, inverse, difference)
    for options in ({"noise": noise}, {"noise": inverse, "noise_is": "precision"}):
        assert_close(rs.rdm(rows, "sqeuclidean", precision="fp64", **options), expected)
    # of fewer features it is the covariance that is taken of them
    features = [[0, 3, 7], [1, 2]]
    found = rs.rdm(rows, "crossnobis", noise=inverse, noise_is="precision", features=features, **labels)
    for chosen, vector in zip(features, found, strict=True):
        own = noise[np.ix_(chosen, chosen)]
        assert_close(vector, reference.condensed(reference.crossnobis(rows[:, chosen], *labels.values(), own)))


def test_a_noise_of_each_fold(rng):
    rows, labels = design(rng)
    noises = np.stack([random_covariance(rng, 15) for _ in range(4)])
    expected = crossvalidated.crossnobis_of_noises(rows, *labels.values(), noises)
    assert_close(rs.rdm(rows, "crossnobis", noise=noises, **labels), expected)
    assert_close(rs.rdm(rows, "crossnobis", noise=np.linalg.inv(noises), noise_is="precision", **labels), expected)
    same = np.stack([noises[0]] * 4)
    assert_close(
        rs.rdm(rows, "crossnobis", noise=same, **labels), rs.rdm(rows, "crossnobis", noise=noises[0], **labels)
    )
    (vector,) = rs.rdm(rows, "crossnobis", noise=noises, features=[[2, 3, 5]], **labels)
    own = noises[:, [2, 3, 5]][:, :, [2, 3, 5]]
    expected = crossvalidated.crossnobis_of_noises(rows[:, [2, 3, 5]], *labels.values(), own)
    assert_close(vector, reference.condensed(expected))
    with pytest.raises(OptionError, match="weighting='folds'"):
        rs.rdm(rows, "crossnobis", noise=noises, weighting="rows", **labels)
    with pytest.raises(ShapeError, match="one of each fold"):
        rs.rdm(rows, "crossnobis", noise=noises[:3], **labels)
    with pytest.raises(ShapeError, match=r"shape \(15, 15\): got"):
        rs.rdm(rows, "euclidean", noise=noises)


@pytest.mark.parametrize("prior", [PRIOR, (0.5, 1.0), (0.0, 0.0)])
def test_poisson(prior, rng):
    rows, labels = design(rng)
    rows = rng.poisson(np.exp(rows - 2)) + (0.0 if prior[1] else 1.0)
    means = reference.condition_means(rows, labels["conditions"])[1]
    assert_close(rs.rdm(rows, "poisson", prior=prior), crossvalidated.poisson(rows, prior))
    assert_close(
        rs.rdm(rows, "poisson", prior=prior, conditions=labels["conditions"]), crossvalidated.poisson(means, prior)
    )
    expected = crossvalidated.poisson_over_folds(rows, *labels.values(), prior)
    assert_close(rs.rdm(rows, "poisson_cv", prior=prior, **labels), expected)
    assert (expected < 0).any() or not (np.diag(expected) != 0).any()


def test_poisson_of_equal_and_of_near_rows(rng):
    rows = rng.poisson(5, (6, 40)).astype(float)
    rows[3] = rows[1]
    rows[4] = rows[1] + np.where(np.arange(40) == 7, 1e-5, 0)
    found = rs.rdm(rows, "poisson")
    assert found[1, 3] == 0
    assert np.array_equal(found[1, [0, 2, 4, 5]], found[3, [0, 2, 4, 5]])
    rate = (rows[1, 7] + 0.1) / 1.1
    np.testing.assert_allclose(found[1, 4], (1e-5 / 1.1) ** 2 / rate, rtol=1e-4)
    assert (found >= 0).all()


def cross(x, y):
    return x @ y


def minus_half_divergence(x, y):
    x, y = (crossvalidated.poisson_rates(side, PRIOR) for side in (x, y))
    return -0.5 * (x - y) @ (np.log(x) - np.log(y))


def unbalanced(rng):
    rows, labels = design(rng)
    kept = rng.random(len(rows)) < 0.6
    kept &= ~((labels["conditions"] == 2) & (labels["folds"] == 1))  # a condition that a fold lacks
    return np.abs(rows[kept]), {name: values[kept] for name, values in labels.items()}


def test_unbalanced_designs(rng):
    rows, labels = unbalanced(rng)
    for metric, similarity in (("crossnobis", cross), ("poisson_cv", minus_half_divergence)):
        with pytest.raises(DegenerateError, match="weighting='rows'"):
            rs.rdm(rows, metric, **labels)
        expected = crossvalidated.weighted_by_rows(rows, *labels.values(), similarity)
        assert_close(rs.rdm(rows, metric, weighting="rows", **labels), expected)
    noise = random_covariance(rng, 15)
    white = rows @ np.linalg.cholesky(np.linalg.inv(noise))
    expected = crossvalidated.weighted_by_rows(white, *labels.values(), cross)
    assert_close(rs.rdm(rows, "crossnobis", weighting="rows", noise=noise, **labels), expected)


@pytest.mark.parametrize("folds", ["each row", "few conditions"])
def test_folds_that_lack_most_conditions(rng, folds):
    rows, labels = unbalanced(rng)
    labels["folds"] = np.arange(len(rows)) if folds == "each row" else labels["folds"] * 10 + labels["conditions"] // 2
    for metric, similarity in (("crossnobis", cross), ("poisson_cv", minus_half_divergence)):
        expected = crossvalidated.weighted_by_rows(rows, *labels.values(), similarity)
        assert_close(rs.rdm(rows, metric, weighting="rows", **labels), expected)


def test_poisson_distances_of_rows(rng):
    rows, labels = unbalanced(rng)
    conditions = labels["conditions"]
    expected = crossvalidated.weighted_by_rows(rows, conditions, None, minus_half_divergence)
    found = rs.rdm(rows, "poisson", weighting="rows", conditions=conditions)
    assert_close(found, expected)
    assert np.abs(found - rs.rdm(rows, "poisson", conditions=conditions)).max() > 1e-3  # a negative control
    single = rows[np.unique(conditions, return_index=True)[1]]
    assert_close(
        rs.rdm(single, "poisson", weighting="rows", conditions=np.arange(len(single))),
        rs.rdm(single, "poisson"),
    )


def test_both_weightings_agree_for_balanced_designs(rng):
    rows, labels = design(rng)
    assert_close(rs.rdm(rows, "crossnobis", weighting="rows", **labels), rs.rdm(rows, "crossnobis", **labels))
    rows, labels = unbalanced(rng)
    folds = labels["folds"] // 2
    labels = {"conditions": labels["conditions"], "folds": folds}
    ours, theirs = (rs.rdm(rows, "crossnobis", weighting=weighting, **labels) for weighting in ("rows", "folds"))
    assert np.abs(ours - theirs).max() > 1e-3  # a negative control


def test_sets_of_unbalanced_and_poisson_designs(rng):
    rows, labels = unbalanced(rng)
    X = np.stack([rows, rows[::-1], rows * 2])
    for metric, options in (
        ("crossnobis", {"weighting": "rows"}),
        ("poisson_cv", {"weighting": "rows"}),
        ("poisson", {}),
        ("poisson", {"weighting": "rows"}),
    ):
        chosen = labels if metric != "poisson" else {"conditions": labels["conditions"]}
        found = rs.rdm(X, metric, **chosen, **options)
        for one, vector in zip(X, found, strict=True):
            np.testing.assert_array_equal(vector, rs.rdm(one, metric, square=False, **chosen, **options))
        found = rs.rdm(rows, metric, features=[[0, 1, 2], [4, 5]], **chosen, **options)
        expected = rs.rdm(np.ascontiguousarray(rows[:, [4, 5]]), metric, square=False, **chosen, **options)
        np.testing.assert_array_equal(found[1], expected)


@pytest.mark.parametrize(
    "metric", ["sqeuclidean", "sqmahalanobis", "manhattan", "dot", "crossnobis", "poisson", "poisson_cv"]
)
def test_distances_divided_by_the_number_of_features(metric, rng):
    rows, labels = design(rng)
    rows = np.abs(rows)
    labels = labels if metric in ("crossnobis", "poisson_cv") else {}
    for square in (True, False):
        whole = rs.rdm(rows, metric, square=square, precision="fp64", **labels)
        found = rs.rdm(rows, metric, square=square, precision="fp64", per_feature=True, **labels)
        np.testing.assert_allclose(found, whole / 15, rtol=1e-15)
        features = [[0, 1, 2], [4, 5, 6, 7, 8]]
        whole = rs.rdm(rows, metric, square=square, precision="fp64", features=features, **labels)
        found = rs.rdm(rows, metric, square=square, precision="fp64", features=features, per_feature=True, **labels)
        np.testing.assert_allclose(found[1], whole[1] / 5, rtol=1e-15)


def test_options_that_do_not_go_together(rng):
    rows, labels = design(rng)
    for options, match in (
        ({"metric": "cosine", "per_feature": True}, "sums over features"),
        ({"metric": "poisson", "noise": np.eye(15)}, "whitened rows"),
        ({"metric": "crossnobis", "weighting": "counts", **labels}, "weighting must be one of"),
        ({"metric": "euclidean", "noise": np.eye(15), "noise_is": "inverse"}, "noise_is must be one of"),
        ({"metric": "poisson", "prior": (1.0, -0.1)}, "prior must be"),
        ({"metric": "poisson", "prior": 1.0}, "prior must be"),
        ({"metric": "poisson", "folds": labels["folds"], "conditions": labels["conditions"]}, "no other metric"),
        ({"metric": "poisson_cv"}, "needs conditions and folds"),
    ):
        with pytest.raises(OptionError, match=match):
            rs.rdm(rows, **options)


def test_degenerate_designs_and_noise(rng):
    rows, labels = design(rng)
    rows = np.abs(rows)
    only = np.where(labels["conditions"] == 3, 0, labels["folds"])
    with pytest.raises(DegenerateError, match="different folds: 3 has none"):
        rs.rdm(rows, "crossnobis", conditions=labels["conditions"], folds=only, weighting="rows")
    with pytest.raises(DegenerateError, match="rates are above 0"):
        rs.rdm(-rows, "poisson")
    with pytest.raises(DegenerateError, match="rates are above 0: the least of set 1 of X"):
        rs.rdm(np.stack([rows, rows - 100]), "poisson")
    flat = np.eye(15)
    flat[3, 3] = 1e-13
    for noise in (flat, np.ones((15, 15)), -np.eye(15)):
        with pytest.raises(DegenerateError, match="positive definite"):
            rs.rdm(rows, "sqeuclidean", noise=noise)
    flat[3, 3] = 1e-11
    assert np.isfinite(rs.rdm(rows, "sqeuclidean", noise=flat)).all()
    rows[4, 5] = np.nan
    for metric in ("poisson", "crossnobis"):
        with pytest.raises(NonFiniteError, match="row 4, feature 5"):
            rs.rdm(rows, metric, **({} if metric == "poisson" else labels))


@pytest.mark.parametrize("method", ["full", "diagonal", "shrinkage_diagonal", "shrinkage_identity"])
@pytest.mark.parametrize("shape", [(40, 6), (5, 12), (2, 3)])
def test_covariances_of_noise(method, shape, rng):
    residuals = rng.standard_normal(shape) @ rng.standard_normal((shape[1], shape[1])) + 2
    for dof in (None, shape[0] + 3, 1.5):
        expected = crossvalidated.noise_covariance(residuals, method, dof)
        assert_close(rs.noise_covariance(residuals, method, dof=dof), expected)
    found = rs.noise_covariance(residuals.astype(np.float32), method)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, found.T)
    if method.startswith("shrinkage") and shape != (2, 3):
        assert np.linalg.eigvalsh(found)[0] > 0


def test_what_noise_covariances_refuse(rng):
    residuals = rng.standard_normal((9, 4))
    for options, error in (
        ({"method": "ledoit"}, OptionError),
        ({"dof": 0}, OptionError),
        ({"dof": True}, OptionError),
        ({"dof": "9"}, OptionError),
    ):
        with pytest.raises(error):
            rs.noise_covariance(residuals, **options)
    with pytest.raises(OptionError, match="more residuals"):
        rs.noise_covariance(residuals[:1])
    with pytest.raises(NonFiniteError):
        rs.noise_covariance(np.where(np.eye(9, 4), np.nan, 0.0))
    with pytest.raises(DTypeError):
        rs.noise_covariance(np.ones((3, 3), complex))
    residuals[:, 2] = 5.0
    with pytest.raises(DegenerateError, match="feature 2 is constant"):
        rs.noise_covariance(residuals)
    np.testing.assert_array_equal(rs.noise_covariance(residuals, "shrinkage_identity")[2, :2], [0, 0])

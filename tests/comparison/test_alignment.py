"""Fitted maps: against scikit-learn and SciPy, on held-out rows, without centring, and from sums."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import orthogonal_procrustes, subspace_angles
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, Ridge

import pyrepsim as rs
from pyrepsim.core.errors import DegenerateError, NonFiniteError, OptionError, ShapeError, StateError
from tests.helpers.data import correlated_pair

X, Y = correlated_pair(300, 9, 6, seed=3)
TRAIN, TEST = slice(0, 200), slice(200, 300)
MAPS = [
    rs.ProcrustesAlignment(),
    rs.ProcrustesAlignment(alpha=0.5),
    rs.ProcrustesAlignment(alpha=0.0, center=False),
    rs.CCADirections(),
    rs.CCADirections(n_components=3, variance=0.9),
    rs.CCADirections(ridge=0.1),
    rs.LinearMap(),
    rs.LinearMap(alpha=3.0, center=False),
    rs.FeatureMatching(),
    rs.FeatureMatching(signed=False),
]


@pytest.mark.parametrize("fitted", MAPS, ids=str)
def test_conventions_of_scikit_learn(fitted):
    with pytest.raises(StateError, match="Call fit"):
        clone(fitted).transform(X)
    copy = clone(fitted)
    assert copy == fitted
    assert copy.fit(X[TRAIN], Y[TRAIN]) is copy
    assert copy.transform(X).shape[0] == len(X)
    assert np.isfinite(copy.score(X[TEST], Y[TEST]))
    with pytest.raises(ShapeError, match="X must have the 9 features of fit"):
        copy.transform(Y)
    with pytest.raises(ShapeError, match="same number of rows"):
        copy.score(X[TEST], Y[TRAIN])
    with pytest.raises(ShapeError, match="same number of rows"):
        copy.fit(X[TEST], Y[TRAIN])


@pytest.mark.parametrize("fitted", MAPS, ids=str)
def test_maps_of_sums_are_those_of_rows(fitted):
    whole, streamed = clone(fitted).fit(X, Y), clone(fitted)
    moments = rs.PairedMoments(9, 6)
    for start in range(0, 300, 70):
        moments.update(X[start : start + 70], Y[start : start + 70])
    streamed.fit_moments(moments)
    assert np.array_equal(whole.transform(X), streamed.transform(X))


def test_set_params_checks_and_changes():
    ridge = rs.LinearMap().set_params(alpha=2.0)
    assert ridge.get_params() == {"alpha": 2.0, "center": True}
    with pytest.raises(OptionError):
        ridge.set_params(alpha=-1.0)
    assert ridge.alpha == 2.0
    for make in (
        lambda: rs.ProcrustesAlignment(alpha=2.0),
        lambda: rs.CCADirections(n_components=0),
        lambda: rs.CCADirections(ridge=1.0, variance=0.9),
        lambda: rs.CCADirections(ridge=-1.0),
        lambda: rs.LinearMap(alpha=float("nan")),
    ):
        with pytest.raises(OptionError):
            make()


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("alpha", [0.0, 5.0])
def test_linear_maps_against_scikit_learn(alpha, center):
    theirs = LinearRegression(fit_intercept=center) if alpha == 0 else Ridge(alpha, fit_intercept=center)
    theirs.fit(X[TRAIN], Y[TRAIN])
    ours = rs.LinearMap(alpha=alpha, center=center).fit(X[TRAIN], Y[TRAIN])
    np.testing.assert_allclose(ours.coef_, theirs.coef_.T, atol=1e-10)
    np.testing.assert_allclose(ours.predict(X[TEST]), theirs.predict(X[TEST]), atol=1e-10)
    rest, spread = Y[TEST] - theirs.predict(X[TEST]), Y[TEST] - Y[TEST].mean(axis=0)
    assert ours.score(X[TEST], Y[TEST]) == pytest.approx(1 - (rest**2).sum() / (spread**2).sum(), rel=1e-10)
    if alpha == 0 and center:
        assert ours.score(X[TRAIN], Y[TRAIN]) == pytest.approx(
            rs.compare(X[TRAIN], Y[TRAIN], "LinearPredictivity").value, rel=1e-10
        )


@pytest.mark.parametrize("center", [True, False])
def test_procrustes_against_scipy(center):
    x, y = (side[TRAIN] - (side[TRAIN].mean(axis=0) if center else 0) for side in (X[:, :6], Y))
    rotation, _ = orthogonal_procrustes(x, y)
    ours = rs.ProcrustesAlignment(center=center).fit(X[TRAIN, :6], Y[TRAIN])
    np.testing.assert_allclose(ours.W_x_ @ ours.W_y_.T, rotation, atol=1e-10)
    shift = ours.mean_y_ - ours.mean_x_ @ rotation
    np.testing.assert_allclose(ours.align(X[:, :6]), X[:, :6] @ rotation + shift, atol=1e-10)
    assert ours.score(X[TRAIN, :6], Y[TRAIN], value="euclidean") == pytest.approx(np.linalg.norm(x @ rotation - y))


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_angles_of_the_fitted_rows_are_those_of_the_measure(alpha):
    ours = rs.ProcrustesAlignment(alpha=alpha).fit(X, Y)
    score = rs.compare(X, Y, rs.ShapeMetric(alpha=alpha))
    assert ours.W_x_.shape[1] == ours.W_y_.shape[1] == 9
    assert ours.score(X, Y) == pytest.approx(score.value, rel=1e-10)
    assert ours.score(X, Y, value="similarity") == pytest.approx(score.details["similarity"], rel=1e-10)
    held_out = rs.ProcrustesAlignment(alpha=alpha).fit(X[TRAIN], Y[TRAIN]).score(X[TEST], Y[TEST])
    assert held_out > rs.compare(X[TEST], Y[TEST], rs.ShapeMetric(alpha=alpha)).value
    with pytest.raises(OptionError, match="value must be one of"):
        ours.score(X, Y, value="cosine")
    if alpha < 1:
        with pytest.raises(OptionError, match="needs alpha=1"):
            ours.align(X)


def test_canonical_directions():
    ours = rs.CCADirections().fit(X, Y)
    np.testing.assert_allclose(ours.correlations_, rs.compare(X, Y, "CCA").details["correlations"], atol=1e-12)
    u, v = ours.transform(X, Y)
    for one in (u, v):
        np.testing.assert_allclose(one.T @ one / len(X), np.eye(6), atol=1e-10)
        np.testing.assert_allclose(one.mean(axis=0), 0, atol=1e-10)
    np.testing.assert_allclose(u.T @ v / len(X), np.diag(ours.correlations_), atol=1e-10)
    centred = [side - side.mean(axis=0) for side in (X, Y)]
    np.testing.assert_allclose(np.sort(np.cos(subspace_angles(*centred)))[::-1], ours.correlations_, atol=1e-10)
    assert ours.score(X, Y) == pytest.approx(rs.compare(X, Y, "CCA").value)
    kept = rs.CCADirections(variance=0.8).fit(X, Y)
    np.testing.assert_allclose(kept.correlations_, rs.compare(X, Y, "SVCCA(variance=0.8)").details["correlations"])
    assert rs.CCADirections(n_components=2).fit(X, Y).transform(Y @ np.eye(6, 9)).shape == (300, 2)
    noise = np.random.default_rng(0).standard_normal((300, 6))
    assert abs(rs.CCADirections().fit(X[TRAIN], noise[TRAIN]).score(X[TEST], noise[TEST])) < 0.1


def test_matched_features():
    order, signs = np.array([4, 0, 3, 1, 2]), np.array([1.0, -1, 1, -1, 1])
    base = np.random.default_rng(1).standard_normal((200, 5))
    turned = base[:, order] * signs
    ours = rs.FeatureMatching(signed=False).fit(base, turned)
    matched, of_y = ours.transform(base, turned)
    np.testing.assert_allclose(matched, of_y)
    assert ours.score(base, turned) == pytest.approx(1.0)
    np.testing.assert_allclose(ours.correlations_, 1.0)
    signed = rs.FeatureMatching().fit(X[TRAIN], Y[TRAIN])
    score = rs.compare(X[TRAIN], Y[TRAIN], "Matching")
    assert signed.score(X[TRAIN], Y[TRAIN]) == pytest.approx(score.value, rel=1e-10)
    assert np.array_equal(signed.features_x_, score.details["features_x"])
    assert (signed.signs_ == 1).all()


def test_rows_without_a_score_are_refused(rng):
    X, Y = rng.standard_normal((40, 5)), rng.standard_normal((40, 4))
    constant = np.full((10, 4), 0.1)
    with pytest.raises(DegenerateError, match=r"R\^2 needs rows of Y that differ"):
        rs.LinearMap().fit(X, Y).score(X[:10], constant)
    with pytest.raises(DegenerateError, match="columns that vary"):
        rs.CCADirections().fit(X, Y).score(X[:10], constant)
    with pytest.raises(DegenerateError, match="columns that vary"):
        rs.FeatureMatching().fit(X, Y).score(X[:10], constant)
    with pytest.raises(DegenerateError, match="aligned rows other than 0"):
        rs.ProcrustesAlignment(center=False).fit(X, Y).score(0 * X, Y)


@pytest.mark.parametrize("kind", [rs.ProcrustesAlignment, rs.CCADirections, rs.LinearMap, rs.FeatureMatching])
def test_bad_rows_and_options_are_refused(rng, kind):
    X, Y = rng.standard_normal((40, 5)), rng.standard_normal((40, 4))
    fitted = kind().fit(X, Y)
    X[3, 1] = np.nan
    with pytest.raises(NonFiniteError, match="X must be finite"):
        fitted.transform(X)
    with pytest.raises(OptionError, match="options of .* got no_such"):
        fitted.set_params(no_such=1)

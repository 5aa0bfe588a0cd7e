"""Tests of the references: values derived by hand, published identities, SciPy and scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.linalg import subspace_angles
from scipy.spatial import procrustes as scipy_procrustes

from . import references as ref
from .assertions import assert_relative
from .data import CASES, centred_frame, correlated_pair, invertible, rotation

RHO = [0.95, 0.7, 0.4, 0.2, 0.05]
PLAIN = CASES["different_widths"]
EQUAL = CASES["equal_widths"]


# ---- CCA family ------------------------------------------------------------------------------------------


def test_cca_finds_the_correlations_that_were_put_in():
    assert_relative(ref.cca_correlations(CASES["known"].X, CASES["known"].Y), RHO, 1e-13)
    assert_relative(ref.cca(CASES["known"].X, CASES["known"].Y), np.mean(RHO), 1e-13)


@pytest.mark.parametrize("name", ["equal_widths", "different_widths", "offset_1e4", "rogue", "constant_columns"])
def test_cca_is_the_cosine_of_scipys_subspace_angles(name):
    case = CASES[name]
    angles = subspace_angles(ref.column_space(case.X), ref.column_space(case.Y))
    assert_relative(ref.cca_correlations(case.X, case.Y), np.cos(angles)[::-1], 1e-12)


def test_cca_agrees_with_scikit_learn():
    decomposition = pytest.importorskip("sklearn.cross_decomposition")
    model = decomposition.CCA(n_components=3, max_iter=20000, tol=1e-14).fit(EQUAL.X, EQUAL.Y)
    a, b = model.transform(EQUAL.X, EQUAL.Y)
    theirs = [np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(3)]
    assert_relative(ref.cca_correlations(EQUAL.X, EQUAL.Y)[:3], theirs, 1e-6)


def test_cca_agrees_with_fifty_digits_despite_offset_and_units():
    mpmath = pytest.importorskip("mpmath")
    X, Y = correlated_pair(30, 4, 3, seed=21)
    X, Y = X * [1e-3, 1.0, 1e3, 10.0] + 1e4, Y - 1e4
    with mpmath.workdps(50):
        bases = []
        for side in (X, Y):
            M = mpmath.matrix(side.tolist())
            for j in range(M.cols):
                mean = mpmath.fsum(M[:, j]) / M.rows
                for i in range(M.rows):
                    M[i, j] -= mean
            bases.append(mpmath.qr(M, mode="skinny")[0])
        rho = sorted((float(s) for s in mpmath.svd_r(bases[0].T * bases[1], compute_uv=False)), reverse=True)
    assert_relative(ref.cca_correlations(X, Y), rho, 1e-12)


def test_cca_is_one_where_rows_do_not_exceed_features():
    case = CASES["fewer_rows_than_features"]
    assert_relative(ref.cca_correlations(case.X, case.Y), np.ones(23), 1e-13)


def test_overlapping_ranks_force_correlations_of_one():
    case = CASES["ranks_overlap"]
    rho = ref.cca_correlations(case.X, case.Y)
    forced = case.rank_x + case.rank_y - (len(case.X) - 1)
    assert_relative(rho[:forced], np.ones(forced), 1e-13)
    assert rho[forced] < 0.999


@pytest.mark.parametrize("name", CASES)
def test_rank_is_the_known_one_and_does_not_depend_on_the_cut(name):
    case = CASES[name]
    for tol in (1e-6, ref.RANK_TOL, 1e-10):
        assert (ref.rank(case.X, tol), ref.rank(case.Y, tol)) == (case.rank_x, case.rank_y)


def test_ridge_cca_equals_the_eigenproblem_and_tends_to_cca():
    X, Y = ref.centre(PLAIN.X), ref.centre(PLAIN.Y)
    Sxx, Syy, Sxy, ridge = X.T @ X, Y.T @ Y, X.T @ Y, 0.05
    Rx = Sxx + ridge * np.trace(Sxx) / len(Sxx) * np.eye(len(Sxx))
    Ry = Syy + ridge * np.trace(Syy) / len(Syy) * np.eye(len(Syy))
    squares = np.linalg.eigvals(np.linalg.solve(Ry, Sxy.T) @ np.linalg.solve(Rx, Sxy)).real
    expected = np.sqrt(np.sort(squares)[::-1])
    assert_relative(ref.ridge_cca_correlations(PLAIN.X, PLAIN.Y, ridge), expected, 1e-10)
    assert_relative(ref.ridge_cca(PLAIN.X, PLAIN.Y, 1e-13), ref.cca(PLAIN.X, PLAIN.Y), 1e-10)
    assert ref.ridge_cca(PLAIN.X, PLAIN.Y, 1.0) < 0.9 * ref.cca(PLAIN.X, PLAIN.Y)


def test_ridge_cca_of_one_feature_by_hand():
    x = np.array([[-1.0], [0.0], [1.0]])
    y = np.array([[-1.0], [1.0], [0.0]])  # rho = 1/2; each side shrinks by 1 / sqrt(1 + ridge)
    assert_relative(ref.ridge_cca(x, y, 3.0), 0.5 / 4.0, 1e-14)


def test_svcca_with_all_variance_is_cca_and_the_cut_is_on_squares():
    assert_relative(ref.svcca(PLAIN.X, PLAIN.Y, variance=1.0), ref.cca(PLAIN.X, PLAIN.Y), 1e-13)
    frame = centred_frame(20, 3, seed=0)
    X = frame * [9.0, 4.0, 1.0]  # squares 81, 16, 1: cumulative 0.827, 0.990, 1; plain sums 0.643, 0.929, 1
    assert [ref.components_for_variance(X, f) for f in (0.5, 0.8, 0.85, 0.98, 0.995, 1.0)] == [
        1,
        1,
        2,
        2,
        3,
        3,
    ]
    assert len(ref.svcca_correlations(PLAIN.X, PLAIN.Y, components=4)) == 4


def test_pwcca_of_orthogonal_features_by_hand():
    # X is one feature of length 2 and one of length 1, each its own canonical variate: weights 2 and 1.
    frame = centred_frame(30, 4, seed=1)
    U, V = frame[:, :2], frame[:, 2:]
    X, Y = U * [2.0, 1.0], U * [0.8, 0.6] + V * [0.6, 0.8]
    alpha, rho = ref.pwcca_weights(X, Y)
    assert_relative(rho, [0.8, 0.6], 1e-13)
    assert_relative(alpha, [2.0, 1.0], 1e-13)
    assert_relative(ref.pwcca(X, Y), (2 * 0.8 + 0.6) / 3, 1e-13)
    assert_relative(ref.pwcca(X, Y, "y"), (0.8 + 0.6) / 2, 1e-13)
    assert_relative(ref.pwcca(X, Y, "mean"), 0.5 * (2.2 / 3 + 0.7), 1e-13)


def test_pwcca_weights_are_the_papers_through_coefficients():
    # The form of the engine: alpha_i = ||Sxx a_i||_1 with a_i^T Sxx a_i = 1. The values are equal.
    X, Y = ref.centre(PLAIN.X), ref.centre(PLAIN.Y)
    Lx, Ly = np.linalg.cholesky(X.T @ X), np.linalg.cholesky(Y.T @ Y)
    T = np.linalg.solve(Ly, np.linalg.solve(Lx, X.T @ Y).T).T
    U, rho, _ = np.linalg.svd(T, full_matrices=False)
    alpha = np.abs(X.T @ X @ np.linalg.solve(Lx.T, U)).sum(axis=0)
    assert_relative(ref.pwcca(PLAIN.X, PLAIN.Y), alpha @ rho / alpha.sum(), 1e-11)


def test_pwcca_depends_on_rotations_of_x_and_not_on_linear_maps_of_y():
    moved = ref.pwcca(PLAIN.X, PLAIN.Y @ invertible(11) + 3.0)
    assert_relative(moved, ref.pwcca(PLAIN.X, PLAIN.Y), 1e-11)
    # The effect is small where features are alike (3e-5 on PLAIN itself): give them unequal lengths.
    X = PLAIN.X * np.geomspace(1.0, 30.0, 19)
    assert abs(ref.pwcca(X @ rotation(19), PLAIN.Y) - ref.pwcca(X, PLAIN.Y)) > 1e-3


# ---- kernels ---------------------------------------------------------------------------------------------


def test_cka_of_one_feature_is_squared_pearson():
    X, Y = correlated_pair(50, 1, 1, seed=22)
    r = np.corrcoef(X[:, 0], Y[:, 0])[0, 1]
    assert_relative(ref.linear_cka(X, Y), r**2, 1e-13)
    assert_relative(ref.linear_cka(EQUAL.X, EQUAL.X @ rotation(12) * 7 + 1e3), 1.0, 1e-12)


def test_unbiased_hsic_is_the_mean_over_quadruples():
    # The U-statistic it stands for: mean over ordered quadruples of distinct rows of
    # K_ij L_ij + K_ij L_qr - 2 K_ij L_iq (Song et al. 2012, theorem 5). On raw Grams: no centring is needed.
    from itertools import permutations

    X, Y = correlated_pair(7, 3, 2, seed=23)
    K, L = X @ X.T, Y @ Y.T
    terms = [K[i, j] * (L[i, j] + L[q, r] - 2 * L[i, q]) for i, j, q, r in permutations(range(7), 4)]
    assert_relative(ref.hsic_unbiased(X, Y), np.mean(terms), 1e-12)


def test_debiased_cka_is_one_on_itself_and_near_zero_on_unrelated_data():
    assert_relative(ref.debiased_cka(PLAIN.X, PLAIN.X), 1.0, 1e-14)
    rng = np.random.default_rng(24)
    scores = [ref.debiased_cka(rng.standard_normal((40, 60)), rng.standard_normal((40, 60))) for _ in range(40)]
    assert abs(np.mean(scores)) < 4 * np.std(scores) / np.sqrt(40)
    assert ref.linear_cka(rng.standard_normal((40, 60)), rng.standard_normal((40, 60))) > 0.5


def test_rv2_of_three_rows_by_hand():
    # Rows -1, 0, 1 give a Gram whose only off-diagonal entry is -1 at (1, 3); the other side peaks elsewhere.
    x, y = np.array([[-1.0], [0.0], [1.0]]), np.array([[0.0], [-1.0], [1.0]])
    assert ref.rv2(x, x) == pytest.approx(1.0, abs=1e-15)
    assert ref.rv2(x, y) == pytest.approx(0.0, abs=1e-15)


# ---- shape -----------------------------------------------------------------------------------------------


def test_procrustes_agrees_with_scipys_disparity():
    # SciPy also fits a scale: its disparity is 1 - similarity^2.
    result = ref.procrustes(EQUAL.X, EQUAL.Y)
    assert_relative(1 - result.similarity**2, scipy_procrustes(EQUAL.X, EQUAL.Y)[2], 1e-12)
    assert_relative(result.distance, np.sqrt(2 - 2 * result.similarity), 1e-12)
    assert_relative(result.angle, np.arccos(result.similarity), 1e-12)


def test_procrustes_is_the_bures_fidelity_of_grams():
    A, B = ref.unit_frobenius(PLAIN.X), ref.unit_frobenius(PLAIN.Y)
    values = np.linalg.eigvals((A @ A.T) @ (B @ B.T)).real
    fidelity = np.sqrt(np.sort(values)[::-1][:11]).sum()
    assert_relative(ref.procrustes(PLAIN.X, PLAIN.Y).similarity, fidelity, 1e-10)


def test_procrustes_angle_of_a_rotated_copy_is_more_exact_than_by_arccos():
    assert ref.procrustes(EQUAL.X, EQUAL.X @ rotation(12) * 3 + 5).angle < 1e-13


def test_shape_metric_ends_are_procrustes_and_cca():
    assert_relative(ref.shape_metric(PLAIN.X, PLAIN.Y, 1.0).angle, ref.procrustes(PLAIN.X, PLAIN.Y).angle, 1e-12)
    assert_relative(ref.shape_metric(EQUAL.X, EQUAL.Y, 0.0).angle, np.arccos(ref.cca(EQUAL.X, EQUAL.Y)), 1e-12)
    rho = ref.cca_correlations(PLAIN.X, PLAIN.Y)
    assert_relative(ref.shape_metric(PLAIN.X, PLAIN.Y, 0.0).similarity, rho.sum() / np.sqrt(19 * 11), 1e-12)


@pytest.mark.parametrize("alpha", [0.2, 0.7])
def test_partial_whitening_is_the_papers_matrix(alpha):
    Xc = ref.centre(PLAIN.X)
    values, vectors = np.linalg.eigh(Xc.T @ Xc)
    inverse_root = (vectors / np.sqrt(values)) @ vectors.T
    expected = Xc @ (alpha * np.eye(19) + (1 - alpha) * inverse_root)
    assert_relative(ref.partially_whitened(PLAIN.X, alpha), expected, 1e-11)


@pytest.mark.parametrize(("scale", "invariant"), [("none", False), ("unit", True), ("mean", True)])
def test_shape_metric_between_the_ends_depends_on_units_unless_scaled(scale, invariant):
    plain = ref.shape_metric(PLAIN.X, PLAIN.Y, 0.5, scale=scale).angle
    moved = ref.shape_metric(PLAIN.X * 0.01, PLAIN.Y, 0.5, scale=scale).angle
    assert (abs(plain - moved) < 1e-12) == invariant


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_shape_metric_obeys_the_triangle_inequality(alpha):
    rng = np.random.default_rng(25)
    sides = [rng.standard_normal((12, 10)) for _ in range(3)]
    d = {(i, j): ref.shape_metric(sides[i], sides[j], alpha).angle for i in range(3) for j in range(3)}
    assert d[0, 2] <= d[0, 1] + d[1, 2] + 1e-12


# ---- regression ------------------------------------------------------------------------------------------


def test_predictivity_agrees_with_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    metrics = pytest.importorskip("sklearn.metrics")
    for a, b, direction in ((PLAIN.X, PLAIN.Y, "y_from_x"), (PLAIN.Y, PLAIN.X, "x_from_y")):
        predicted = linear_model.LinearRegression().fit(a, b).predict(a)
        expected = metrics.r2_score(b, predicted, multioutput="variance_weighted")
        assert_relative(ref.linear_predictivity(PLAIN.X, PLAIN.Y, direction), expected, 1e-11)


def test_ridge_smoother_agrees_with_scikit_learn():
    linear_model = pytest.importorskip("sklearn.linear_model")
    A = ref.unit_frobenius(PLAIN.X) * np.sqrt(len(PLAIN.X))
    target = ref.centre(PLAIN.Y)
    model = linear_model.Ridge(alpha=0.1 * len(A), fit_intercept=False, solver="svd").fit(A, target)
    assert_relative(ref.ridge_smoother(PLAIN.X, 0.1) @ target, model.predict(A), 1e-11)


@pytest.mark.parametrize("ridge", [1e-3, 0.1, 10.0])
def test_gulp_is_the_papers_trace_formula(ridge):
    A, B = (ref.unit_frobenius(side) * np.sqrt(len(side)) for side in (PLAIN.X, PLAIN.Y))
    n = len(A)
    Sa, Sb, Sab = A.T @ A / n, B.T @ B / n, A.T @ B / n
    Ia, Ib = np.linalg.inv(Sa + ridge * np.eye(len(Sa))), np.linalg.inv(Sb + ridge * np.eye(len(Sb)))
    expected = np.trace(Ia @ Sa @ Ia @ Sa) + np.trace(Ib @ Sb @ Ib @ Sb) - 2 * np.trace(Ia @ Sab @ Ib @ Sab.T)
    assert_relative(ref.gulp(PLAIN.X, PLAIN.Y, ridge), expected, 1e-10)


def test_gulp_without_ridge_counts_ranks_and_correlations():
    rho = ref.cca_correlations(PLAIN.X, PLAIN.Y)
    assert_relative(ref.gulp(PLAIN.X, PLAIN.Y, 0.0), 19 + 11 - 2 * np.sum(rho**2), 1e-12)
    assert ref.gulp(EQUAL.X, EQUAL.X @ rotation(12) * 3 + 1, 0.1) < 1e-25


def test_max_correlation_agrees_with_corrcoef_and_skips_constants():
    table = np.abs(np.corrcoef(PLAIN.X.T, PLAIN.Y.T)[:19, 19:])
    assert_relative(ref.max_correlation(PLAIN.X, PLAIN.Y), table.max(axis=1).mean(), 1e-13)
    case, base = CASES["constant_columns"], CASES["duplicated_columns"]
    expected = ref.max_correlation(base.X[:, :10], base.Y[:, :8])
    assert_relative(ref.max_correlation(case.X, case.Y), expected, 1e-13)

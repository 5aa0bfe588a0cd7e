"""References of the pairwise engine: values derived by hand, theorems, SciPy, fifty digits."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy import stats
from scipy.linalg import sqrtm
from scipy.spatial.distance import cdist, pdist

from . import references_comparators as comparators
from . import references_dependence as dependence
from . import references_geometry as geometry
from . import references_neighbours as neighbours
from . import references_pairwise as pairwise
from .assertions import assert_relative
from .data import CASES, correlated_pair, rotation

SMALL = correlated_pair(9, 4, 3, seed=30)
PLAIN = CASES["different_widths"]


# ---- distances -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "metric", ["cosine", "correlation", "sqeuclidean", "euclidean", "manhattan", "chebyshev", "mahalanobis"]
)
def test_distances_agree_with_scipy(metric):
    theirs = pdist(PLAIN.X, pairwise.SCIPY_NAME.get(metric, metric))
    assert_relative(pairwise.condensed(pairwise.distances(PLAIN.X, metric)), theirs, 1e-11)
    if metric != "mahalanobis":
        other = PLAIN.X[::3] + 0.5
        theirs = cdist(PLAIN.X, other, pairwise.SCIPY_NAME.get(metric, metric))
        assert_relative(pairwise.distances(PLAIN.X, metric, other), theirs, 1e-11)


def test_distances_by_hand():
    rows = np.array([[1.0, 0.0], [0.0, 2.0], [-3.0, 0.0], [1.0, 1.0]])
    angular = pairwise.distances(rows, "angular")
    assert_relative(angular[0], [0.0, 0.5, 1.0, 0.25], 1e-16)
    assert_relative(pairwise.distances(rows, "dot")[3], [1.0, 2.0, -3.0, 2.0], 0)
    assert_relative(pairwise.distances(rows, "chebyshev")[0], [0.0, 2.0, 4.0, 1.0], 0)
    assert_relative(pairwise.square(pairwise.condensed(angular)), angular, 0)


def test_sqmahalanobis_is_the_square_also_where_rows_do_not_exceed_features():
    X = CASES["fewer_rows_than_features"].X
    flat = pairwise.condensed(pairwise.distances(X, "sqmahalanobis"))
    assert_relative(flat, np.full(len(flat), 2.0 * (len(X) - 1)), 1e-12)  # (n - 1) |e_i - e_j|^2
    assert_relative(pairwise.condensed(pairwise.distances(X, "mahalanobis")) ** 2, flat, 1e-12)


# ---- crossnobis ------------------------------------------------------------------------------------------


def test_crossnobis_of_two_folds_by_hand():
    # p_0 - p_1 is (1, 0) in the first fold and (3, 4) in the second: 1 * 3 + 0 * 4
    rows = np.array([[1.0, 0.0], [0.0, 0.0], [3.0, 5.0], [0.0, 1.0]])
    D = pairwise.crossnobis(rows, [0, 1, 0, 1], [0, 0, 1, 1])
    assert_relative(D, [[0.0, 3.0], [3.0, 0.0]], 1e-16)
    halved = pairwise.crossnobis(rows, [0, 1, 0, 1], [0, 0, 1, 1], np.diag([2.0, 1.0]), per_feature=True)
    assert_relative(halved[0, 1], 0.75, 1e-16)


def test_crossnobis_is_unbiased_and_leave_one_fold_out():
    rng = np.random.default_rng(31)
    truth = np.array([[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    conditions, folds = np.tile(np.repeat([0, 1, 2], 2), 4), np.repeat([0, 1, 2, 3], 6)
    estimates = [
        pairwise.crossnobis(truth[conditions] + rng.standard_normal((24, 3)), conditions, folds) for _ in range(60)
    ]
    error = np.std(estimates, axis=0) / np.sqrt(60)
    assert np.all(np.abs(np.mean(estimates, axis=0) - cdist(truth, truth, "sqeuclidean")) <= 4 * error + 1e-12)
    X = truth[conditions] + rng.standard_normal((24, 3))
    expected = np.zeros((3, 3))
    for fold in range(4):
        test = pairwise.condition_means(X[folds == fold], conditions[folds == fold])[1]
        train = pairwise.condition_means(X[folds != fold], conditions[folds != fold])[1]
        expected += np.einsum("abf,abf->ab", test[:, None] - test, train[:, None] - train) / 4
    assert_relative(pairwise.crossnobis(X, conditions, folds), expected, 1e-13)


# ---- comparators -----------------------------------------------------------------------------------------

TIED = (np.array([1, 2, 2, 3, 5, 5, 5, 0, 9, 1.0]), np.array([2, 2, 1, 4, 4, 6, 5, 0, 1, 3.0]))


def test_rank_comparators_agree_with_scipy():
    a, b = TIED
    assert_relative(comparators.midranks(a), stats.rankdata(a), 0)
    assert_relative(comparators.spearman(a, b), stats.spearmanr(a, b).statistic, 1e-15)
    assert_relative(comparators.tau_b(a, b), stats.kendalltau(a, b).statistic, 1e-15)
    assert_relative(comparators.pearson(a, b), stats.pearsonr(a, b).statistic, 1e-15)


def test_rho_a_and_tau_a_are_expectations_over_broken_ties():
    a, b = np.array([1.0, 1.0, 2.0, 2.0]), np.array([3.0, 1.0, 1.0, 2.0])
    rho, tau = [], []
    for order_a in permutations(range(4)):
        for order_b in permutations(range(4)):
            ranks_a = np.lexsort((order_a, a)).argsort()
            ranks_b = np.lexsort((order_b, b)).argsort()
            rho.append(np.corrcoef(ranks_a, ranks_b)[0, 1])
            tau.append(stats.kendalltau(ranks_a, ranks_b).statistic)
    assert_relative(comparators.rho_a(a, b), np.mean(rho), 1e-13)
    assert_relative(comparators.tau_a(a, b), np.mean(tau), 1e-13)


def test_concordance_by_hand():
    assert comparators.concordance([1, 2, 2], [1, 3, 2]) == (2, 1, 0, 0)
    assert comparators.concordance([1, 1, 2], [4, 4, 3]) == (-2, 1, 1, 1)


def test_whitened_comparators_are_products_of_centred_matrices():
    vectors = [pairwise.condensed(pairwise.distances(side, "manhattan")) for side in SMALL]
    G, H = (comparators.gram_of_rdm(v) for v in vectors)
    assert_relative(comparators.cosine_cov(*vectors), np.sum(G * H) / np.linalg.norm(G) / np.linalg.norm(H), 1e-12)
    n = len(SMALL[0])
    centring = np.eye(n) - 1 / n
    G, H = G - vectors[0].mean() / 2 * centring, H - vectors[1].mean() / 2 * centring
    assert_relative(comparators.corr_cov(*vectors), np.sum(G * H) / np.linalg.norm(G) / np.linalg.norm(H), 1e-12)


def test_bures_and_riemannian_of_commuting_matrices_by_hand():
    A, B = np.diag([4.0, 1.0]), np.diag([9.0, 16.0])
    assert_relative(comparators.fidelity(A, B), 2 * 3 + 1 * 4, 1e-14)
    assert_relative(comparators.bures_distance(A, B), np.sqrt(5 + 25 - 20), 1e-14)
    assert_relative(comparators.riemannian_distance(A, B), np.hypot(np.log(9 / 4), np.log(16)), 1e-14)


def test_bures_is_sqrtm_and_riemannian_is_invariant_to_congruence():
    rng = np.random.default_rng(32)
    A, B, M = (rng.standard_normal((4, 6)) for _ in range(3))
    A, B, M = A @ A.T, B @ B.T, M[:, :4]
    root = sqrtm(A)
    assert_relative(comparators.fidelity(A, B), np.trace(sqrtm(root @ B @ root)).real, 1e-10)
    forward, backward = comparators.riemannian_distance(A, B), comparators.riemannian_distance(B, A)
    assert_relative(forward, backward, 1e-11)
    assert_relative(comparators.riemannian_distance(M @ A @ M.T, M @ B @ M.T), forward, 1e-10)


def test_gram_of_squared_distances_is_the_centred_gram():
    Xc = SMALL[0] - SMALL[0].mean(axis=0)
    assert_relative(comparators.gram_of_rdm(pdist(SMALL[0], "sqeuclidean")), Xc @ Xc.T, 1e-14)
    inside = comparators.on_contrasts(Xc @ Xc.T)
    assert inside.shape == (8, 8)
    assert_relative(np.linalg.eigvalsh(inside)[-4:], np.linalg.eigvalsh(Xc @ Xc.T)[-4:], 1e-13)


# ---- dependence ------------------------------------------------------------------------------------------


def test_debiased_hsic_is_the_mean_over_quadruples():
    K, L = (dependence.rbf(side[:7], 2.0) for side in SMALL)
    terms = [K[i, j] * (L[i, j] + L[q, r] - 2 * L[i, q]) for i, j, q, r in permutations(range(7), 4)]
    assert_relative(dependence.hsic_debiased(K, L), np.mean(terms), 1e-13)


def test_rbf_cka_tends_to_linear_cka_for_wide_kernels():
    from .references_kernel import debiased_cka, linear_cka

    assert_relative(dependence.rbf_cka(*SMALL, fraction=1e3), linear_cka(*SMALL), 1e-4)
    assert_relative(dependence.rbf_cka(*SMALL, fraction=1e3, debiased=True), debiased_cka(*SMALL), 1e-4)


def test_distance_correlation_of_lines_is_one_and_of_two_values_is_phi():
    t = np.linspace(-1, 2, 8)[:, None]
    assert_relative(dependence.distance_correlation(t, -3 * t @ [[1.0, 2.0]] + 7), 1.0, 1e-15)
    # between binary variables dCor is |phi| (Szekely and Rizzo 2009)
    a, b = np.array([0, 0, 1, 1, 1, 0.0])[:, None], np.array([0, 1, 1, 1, 0, 0.0])[:, None]
    assert_relative(dependence.distance_correlation(a, b), abs(np.corrcoef(a.T, b.T)[0, 1]), 1e-14)


def test_bias_corrected_distance_correlation_is_zero_on_average_and_one_on_itself():
    rng = np.random.default_rng(33)
    estimates = [
        dependence.distance_correlation_squared(
            rng.standard_normal((20, 30)), rng.standard_normal((20, 30)), unbiased=True
        )
        for _ in range(60)
    ]
    assert abs(np.mean(estimates)) < 4 * np.std(estimates) / np.sqrt(60)
    assert_relative(dependence.distance_correlation_squared(SMALL[0], SMALL[0], unbiased=True), 1.0, 1e-14)


# ---- neighbours ------------------------------------------------------------------------------------------


def test_neighbours_on_a_line_by_hand():
    X = np.array([[0.0], [1.0], [3.0], [3.0], [10.0]])
    assert neighbours.nearest(X, 2, "euclidean").tolist() == [[1, 2], [0, 2], [3, 1], [2, 1], [2, 3]]
    assert neighbours.nearest(X, 2, "dot").tolist() == [[1, 2], [4, 2], [4, 3], [4, 2], [2, 3]]
    assert neighbours.nearest(X, 1, "euclidean", X + 0.1).tolist() == [[0], [1], [2], [2], [4]]


def test_neighbour_measures_by_hand():
    X = np.array([[0.0], [1.0], [3.0], [7.0]])
    Y = np.array([[0.0], [5.0], [1.0], [20.0]])
    # lists of X: 0: 1 2; 1: 0 2; 2: 1 0; 3: 2 1. Lists of Y: 0: 2 1; 1: 2 0; 2: 0 1; 3: 1 2.
    assert neighbours.mutual_knn(X, Y, 2, "euclidean") == 1.0
    assert neighbours.mutual_knn(X, Y, 1, "euclidean") == 0.0
    assert neighbours.jaccard_knn(X, Y, 2, "euclidean") == 1.0
    # every row swaps places 1 and 2: two terms of 2 / (2 * 3), over 1 + 1/2
    assert_relative(neighbours.rank_similarity(X, Y, 2, "euclidean"), (2 / 3) / 1.5, 1e-15)
    # k = 1: 0 -> (Y) 2 -> (X) 1; 1 -> 2 -> 1 comes back; 2 -> 0 -> 1; 3 -> 1 -> 0
    assert neighbours.cycle_knn(X, Y, 1, "euclidean") == 0.25


@pytest.mark.parametrize("measure", ["mutual_knn", "jaccard_knn", "rank_similarity", "second_order_cosine", "cknna"])
def test_neighbour_measures_of_a_rotated_copy_are_one(measure):
    X = SMALL[0]
    assert_relative(getattr(neighbours, measure)(X, X @ rotation(4) * 3, 3), 1.0, 1e-12)


def test_cknna_with_all_neighbours_is_the_cosine_of_the_row_centred_kernels():
    X, Y = SMALL
    K, L = (side - side.mean(axis=1)[:, None] for side in (X @ X.T, Y @ Y.T))
    off = ~np.eye(len(X), dtype=bool)
    expected = np.sum(K[off] * L[off]) / np.linalg.norm(K[off]) / np.linalg.norm(L[off])
    assert_relative(neighbours.cknna(X, Y, len(X) - 1, kernel="dot"), expected, 1e-13)


# ---- geometry --------------------------------------------------------------------------------------------


def test_matchings_of_shuffled_features():
    X, _ = SMALL
    assert_relative(geometry.matching_hard(X, -X[:, ::-1], absolute=True), 1.0, 1e-14)
    for match in (geometry.matching_hard, geometry.matching_semi, geometry.matching_transport):
        assert_relative(match(X, X[:, ::-1] * 2 + 1), 1.0, 1e-14)


def test_transport_of_equal_widths_is_the_best_permutation():
    X, Y = correlated_pair(20, 4, 4, seed=34)
    table = geometry.signed_feature_correlations(X, Y)
    best = max(np.mean([table[i, order[i]] for i in range(4)]) for order in permutations(range(4)))
    assert_relative(geometry.matching_hard(X, Y), best, 1e-14)
    assert_relative(geometry.matching_transport(X, Y), best, 1e-12)


def test_eigenspace_overlap_counts_shared_directions():
    frame = np.linalg.qr(np.random.default_rng(35).standard_normal((10, 6)))[0]
    assert_relative(geometry.eigenspace_overlap(frame[:, :3] * 7, frame[:, 1:6] @ rotation(5)), 2 / 5, 1e-13)


def test_uniformity_concentricity_magnitude_by_hand():
    rows = np.array([[3.0, 0.0], [0.0, 2.0]])
    assert_relative(geometry.uniformity(rows), -4.0, 1e-15)  # |u - v|^2 = 2, t = 2
    assert_relative(geometry.uniformity(rows, diagonal=True), np.log((1 + np.exp(-4)) / 2), 1e-15)
    assert_relative(geometry.magnitude(rows), np.hypot(1.5, 1.0), 1e-15)
    assert_relative(geometry.concentricity(rows), 2.5 / np.hypot(1.5, 1.0) / 2, 1e-15)

"""RDM comparators on explicit vectors (i < j, row by row) and Gram matrices, from their papers."""

from __future__ import annotations

import numpy as np
from scipy.linalg import eigh, svdvals
from scipy.optimize import minimize

from .references_pairwise import square


def _as_vector(values) -> np.ndarray:
    return np.asarray(values).astype(np.float64)


def cosine(a, b) -> float:
    a, b = _as_vector(a), _as_vector(b)
    a, b = a / np.abs(a).max(), b / np.abs(b).max()  # squares stay in range
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def pearson(a, b) -> float:
    a, b = _as_vector(a), _as_vector(b)
    return cosine(a - a.mean(), b - b.mean())


def midranks(values) -> np.ndarray:
    """Rank of each value from 1; equal values share the mean of their ranks."""
    values = _as_vector(values)
    ordered = np.sort(values)
    below = np.searchsorted(ordered, values, side="left")
    not_above = np.searchsorted(ordered, values, side="right")
    return (below + not_above + 1) / 2


def spearman(a, b) -> float:
    """Pearson correlation of mid-ranks."""
    return pearson(midranks(a), midranks(b))


def rho_a(a, b) -> float:
    """Expected Spearman correlation when ties are broken at random: 12 r.s / (P^3 - P) - 3 (P + 1) / (P - 1).

    Schuett et al. 2023, eLife 12:e82566; r, s mid-ranks of the P entries. Never exceeds |spearman|.
    """
    r, s = midranks(a), midranks(b)
    P = len(r)
    centred = float((r - (P + 1) / 2) @ (s - (P + 1) / 2))  # = r.s - P (P + 1)^2 / 4, without the cancellation
    return 12 * centred / (P**3 - P)


def concordance(a, b) -> tuple[int, int, int, int]:
    """Over all P (P - 1) / 2 pairs of entries: concordant - discordant, ties in a, ties in b, ties in both."""
    a, b = _as_vector(a), _as_vector(b)
    difference = ties_a = ties_b = both = 0
    for k in range(len(a) - 1):
        s, t = np.sign(a[k + 1 :] - a[k]), np.sign(b[k + 1 :] - b[k])
        difference += int(np.sum(s * t))
        ties_a += int(np.sum(s == 0))
        ties_b += int(np.sum(t == 0))
        both += int(np.sum((s == 0) & (t == 0)))
    return difference, ties_a, ties_b, both


def tau_a(a, b) -> float:
    """(concordant - discordant) / all pairs of entries."""
    P = len(a)
    return concordance(a, b)[0] / (P * (P - 1) / 2)


def tau_b(a, b) -> float:
    """(concordant - discordant) / sqrt((pairs - ties in a)(pairs - ties in b)): scipy's kendalltau."""
    difference, ties_a, ties_b, _ = concordance(a, b)
    pairs = len(a) * (len(a) - 1) // 2
    return difference / float(np.sqrt(float(pairs - ties_a) * float(pairs - ties_b)))


def rdm_covariance(n: int, sigma=None) -> np.ndarray:
    """V of Diedrichsen et al. 2020 (arXiv:2007.02789): (C S C^T) squared elementwise, C all contrasts e_i - e_j.

    Covariance, up to a factor, of the entries of an RDM under noise of covariance S over items (I) and no signal.
    """
    sigma = np.eye(n) if sigma is None else sigma
    first, second = np.triu_indices(n, 1)
    C = np.zeros((len(first), n))
    C[np.arange(len(first)), first], C[np.arange(len(first)), second] = 1, -1
    return (C @ sigma @ C.T) ** 2


def cosine_cov(a, b, sigma=None, keep=None) -> float:
    """a^T V^-1 b / sqrt(a^T V^-1 a  b^T V^-1 b), over the entries `keep`. V has n^4 / 4 entries: small n only."""
    a, b = _as_vector(a), _as_vector(b)
    V = rdm_covariance(len(square(a)), sigma)
    if keep is not None:
        a, b, V = a[keep], b[keep], V[np.ix_(keep, keep)]
    a, b = a / np.abs(a).max(), b / np.abs(b).max()
    ia, ib = np.linalg.solve(V, a), np.linalg.solve(V, b)
    return float(a @ ib / np.sqrt((a @ ia) * (b @ ib)))


def corr_cov(a, b, sigma=None, keep=None) -> float:
    """cosine_cov of the vectors less their plain means (rsatoolbox's whitened Pearson; not the weighted mean)."""
    a, b = _as_vector(a), _as_vector(b)
    keep = np.ones(len(a), bool) if keep is None else keep
    return cosine_cov(a - a[keep].mean(), b - b[keep].mean(), sigma, keep)


def euclidean(a, b) -> float:
    """|a - b|, a distance."""
    return float(np.linalg.norm(_as_vector(a) - _as_vector(b)))


def gram_of_rdm(vector) -> np.ndarray:
    """-1/2 H D H: the centred Gram matrix of the points whose *squared* Euclidean distances are given."""
    D = square(_as_vector(vector))
    return -(D - D.mean(axis=0) - D.mean(axis=1)[:, None] + D.mean()) / 2


def _root(G: np.ndarray) -> np.ndarray:
    values, vectors = np.linalg.eigh((G + G.T) / 2)
    if values[0] < -1e-9 * values[-1]:
        raise ValueError(f"not a Gram matrix: smallest eigenvalue {values[0]:.3g}, largest {values[-1]:.3g}")
    return vectors * np.sqrt(np.maximum(values, 0))


def fidelity(A: np.ndarray, B: np.ndarray) -> float:
    """tr sqrt(A^1/2 B A^1/2): the sum of the singular values of R^T S, A = R R^T, B = S S^T."""
    return float(svdvals(_root(A).T @ _root(B)).sum())


def bures_similarity(A: np.ndarray, B: np.ndarray) -> float:
    """fidelity / sqrt(tr A tr B), in [0, 1]."""
    return fidelity(A, B) / float(np.sqrt(np.trace(A) * np.trace(B)))


def bures_distance(A: np.ndarray, B: np.ndarray) -> float:
    """sqrt(tr A + tr B - 2 fidelity): the 2-Wasserstein distance of centred Gaussians (Bhatia et al. 2019)."""
    return float(np.sqrt(max(np.trace(A) + np.trace(B) - 2 * fidelity(A, B), 0.0)))


def clipped_fidelity(A: np.ndarray, B: np.ndarray) -> float:
    """tr sqrt(A+^1/2 B A+^1/2) over the positive eigenvalues of A and of the product."""
    values, vectors = np.linalg.eigh(A)
    root = vectors * np.sqrt(np.maximum(values, 0))
    return float(np.sqrt(np.maximum(np.linalg.eigvalsh(root.T @ B @ root), 0)).sum())


def riemannian_distance(A: np.ndarray, B: np.ndarray) -> float:
    """Affine-invariant distance sqrt(sum log^2 of the eigenvalues of A^-1 B), A and B positive definite.

    For centred Gram matrices (which have a zero eigenvalue in common) pass `on_contrasts` of them.
    """
    return float(np.sqrt(np.sum(np.log(eigh(B, A, eigvals_only=True)) ** 2)))


def least_riemannian_distance(A: np.ndarray, S: np.ndarray, B: np.ndarray) -> float:
    """min over s, t of riemannian_distance(exp(s) A + exp(t) S, B), from several starting points."""

    def distance(theta: np.ndarray) -> float:
        return riemannian_distance(np.exp(theta[0]) * A + np.exp(theta[1]) * S, B)

    options = {"xatol": 1e-10, "fatol": 1e-12, "maxiter": 4000}
    starts = [(0.0, 0.0), (0.0, -4.0), (-4.0, 0.0), (2.0, 2.0)]
    return min(minimize(distance, start, method="Nelder-Mead", options=options).fun for start in starts)


def partial_correlation(d, models, which: int, *, ranked: bool = False) -> float:
    """Correlation of what a least-squares fit of the other models leaves of the data and of one model."""
    data, *own = (midranks(v) if ranked else _as_vector(v) for v in (d, *models))
    others = np.column_stack([np.ones(len(data)), *(own[:which] + own[which + 1 :])])
    left = [v - others @ np.linalg.lstsq(others, v, rcond=None)[0] for v in (data, own[which])]
    return float(left[0] @ left[1] / np.linalg.norm(left[0]) / np.linalg.norm(left[1]))


def regression(d, models) -> np.ndarray:
    """Weights of the models in a least-squares fit with an intercept."""
    design = np.column_stack([np.ones(len(d)), *(_as_vector(v) for v in models)])
    return np.linalg.lstsq(design, _as_vector(d), rcond=None)[0][1:]


def on_contrasts(G: np.ndarray) -> np.ndarray:
    """(n-1, n-1): the matrix within an orthonormal basis of the vectors that sum to zero."""
    n = len(G)
    basis = np.linalg.qr(np.hstack([np.ones((n, 1)), np.eye(n)[:, : n - 1]]))[0][:, 1:]
    return basis.T @ G @ basis


RDM_COMPARATORS = {
    "pearson": pearson,
    "cosine": cosine,
    "spearman": spearman,
    "rho-a": rho_a,
    "kendall": tau_b,
    "tau-b": tau_b,
    "tau-a": tau_a,
    "cosine_cov": cosine_cov,
    "corr_cov": corr_cov,
    "euclidean": euclidean,
}

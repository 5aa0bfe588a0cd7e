"""Similarity of RDMs in memory, one with one or stack with stack: every comparator by its definition, in float64.

Ranks, roots, centred and whitened forms are computed once for each RDM; each pair then takes one product.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.blas import one_blas_thread
from ..core.errors import OptionError, ShapeError, check_choice
from .engine import PairwiseEngine
from .gram_comparators import bures, bures_metric, covariance_of_items, entry_whitening, neg_riem_dist, riemannian
from .joint_comparators import partial_correlations, regression_weights
from .rank_comparators import compare_ranks, doubled_ranks_of_rows
from .rdm_stacks import Stack, Used, centred, cosines_of, entries_of, scaled, used_entries

__all__ = ["COMPARATORS", "compare_rdms"]


def compare_rdms(
    a: Any,
    b: Any,
    compare: str = "pearson",
    *,
    mask: Any = None,
    sigma_k: Any = None,
    on_degenerate: str = "raise",
    clip_negative: bool = False,
    backend: str = "auto",
    n_threads: int | None = None,
) -> Any:
    """Compare RDMs of the same n items: two of them, or each of a stack with each of another.

    Parameters
    ----------
    a, b : array of shape (n, n), (p,), (n_rdms, n, n) or (n_rdms, p)
        One RDM, square or condensed (i < j, row by row, p = n (n - 1) / 2), or a stack. Real numbers of any type, also
        integers and bool. An array with two equal dimensions is one square RDM: pass p RDMs of p entries as squares.
    compare : str, default "pearson"
        ``"pearson"``, ``"cosine"``: correlation or cosine of the n (n - 1) / 2 entries.
        ``"spearman"``: Pearson correlation of the mid-ranks.
        ``"rho-a"``: its expectation when ties are broken at random, 12 sum r s / (P^3 - P) - 3 (P + 1) / (P - 1) with
        ranks r and s of P entries.
        ``"kendall"`` or ``"tau-b"``, ``"tau-a"``: rank correlation by concordant pairs, with and without correction for
        ties.
        ``"cosine_cov"``: cosine whitened by the covariance V of the entries under independent noise, a^T V^-1 b /
        sqrt(a^T V^-1 a b^T V^-1 b), equal to the cosine of H D H and H E H with H = I - 11^T / n. ``"corr_cov"``: the
        same after subtracting the mean entry of each RDM.
        ``"euclidean"``: |a - b|, a distance.
        ``"bures"``: normalised Bures similarity |A^1/2 B^1/2|_* / sqrt(tr A tr B) of the centred Gram matrices
        A = -H D H / 2, with the entries as squared distances. ``"bures_metric"``: tr A + tr B - 2 |A^1/2 B^1/2|_*, the
        square of the Bures distance.
        ``"riemannian"``: affine-invariant distance sqrt(sum log^2 lambda(A^-1 B)) on the vectors that sum to 0; for
        RDMs of full rank n - 1. ``"neg_riem_dist"``: minus the smallest such distance of exp(s) A + exp(t) S and B over
        all s and t, S the covariance of the items; A may have any rank.
        ``"partial"``, ``"partial-spearman"``: correlation of an RDM of ``a`` (or its ranks) with each of ``b``, the
        other RDMs of ``b`` held fixed. ``"regression"``: the weights of the RDMs of ``b`` in a least-squares fit, with
        an intercept, to an RDM of ``a``.
    mask : array of bool of shape (p,) or (n, n), or "pairwise", optional
        Entries to use. Entries that are NaN in an RDM of ``a`` and in one of ``b`` are always left out of all; one that
        is NaN on one side only is an error. "pairwise": each pair uses the entries that neither of its RDMs has as NaN.
    sigma_k : array of shape (n,) or (n, n), optional
        Variances or covariance S of the noise of the items, for cosine_cov, corr_cov and neg_riem_dist. Then
        V_(ij),(kl) = (S_ik - S_il - S_jk + S_jl)^2. By default I.
    on_degenerate : {"raise", "nan"}, default "raise"
        What to do where a comparator is not defined, such as for a constant RDM: raise, or return NaN for these pairs.
    clip_negative : bool, default False
        For "bures" and "bures_metric": count negative eigenvalues of A and of A^1/2 B A^1/2 as 0 instead of raising;
        the traces stay as they are. Then values may leave their range, and depend on the order of a and b.
    backend, n_threads
        As in `PairwiseEngine`, for ranks.

    Returns
    -------
    float or ndarray of shape (n_rdms of a, n_rdms of b)
        A float for two single RDMs; otherwise an array, a single RDM being a stack of 1. Correlations and cosines are
        in [-1, 1], ``"bures"`` in [0, 1], distances in [0, inf). All but neg_riem_dist, partial, partial-spearman and
        regression are symmetric.

    Raises
    ------
    OptionError
        For an unknown comparator, or an option that it does not have.
    ShapeError, DTypeError, NonFiniteError
        For arrays that are not RDMs of the same items.
    DegenerateError
        For an RDM whose entries are all equal, or for which the comparator is not defined in another way.

    Notes
    -----
    Memory: a float64 copy of both stacks, their prepared forms with at most n^2 numbers an RDM (two n x n matrices for
    bures), the result, and temporary blocks of some 2^21 numbers. Time: the preparation of a + b RDMs, and for each
    pair p multiplications, an inversion count of p ranks (tau), a decomposition of n x n matrices (bures, riemannian),
    or a search over some 60 of them (neg_riem_dist). Rank comparators are exact, so their values do not depend on the
    stack. Other values may differ from those of single RDMs in the last bits.

    References
    ----------
    Kriegeskorte et al. (2008), Frontiers in Systems Neuroscience 2:4; Diedrichsen et al. (2020), arXiv:2007.02789
    (whitened comparators); Schuett et al. (2023), eLife 12:e82566, equation 11 (rho-a); Harvey et al. (2023),
    arXiv:2311.11436 (Bures); Shahbazi et al. (2021), NeuroImage 239 (Riemannian). docs/measures.md has a table of the
    names in rsatoolbox and mne-rsa.

    Examples
    --------
    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> a, b = np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 9.0])
    >>> round(rs.compare_rdms(a, b, "pearson"), 4), rs.compare_rdms(a, b, "spearman")
    (0.9897, 1.0)
    >>> rs.compare_rdms(np.stack([a, b]), np.stack([a[::-1], 2 * b]), "tau-a")
    array([[-1.,  1.],
           [-1.,  1.]])
    """
    check_choice("compare", compare, COMPARATORS)
    check_choice("on_degenerate", on_degenerate, ("raise", "nan"))
    for option, given, takers in (
        ("sigma_k", sigma_k is not None, _WITH_COVARIANCE),
        ("clip_negative", clip_negative, _WITH_CLIPPING),
    ):
        if given and compare not in takers:
            raise OptionError(f"{option} applies to {', '.join(takers)}: got compare={compare!r}. Leave it out.")
    x, y = (entries_of(rdms, name, raises=on_degenerate == "raise") for rdms, name in ((a, "a"), (b, "b")))
    if x.rows.shape[1] != y.rows.shape[1]:
        raise ShapeError(f"two RDMs must have the same number of entries: got {x.rows.shape[1]} and {y.rows.shape[1]}.")
    how = _How(sigma_k, clip_negative, backend, n_threads)
    values = np.empty((len(x.rows), len(y.rows)))
    for of_x, of_y, used in used_entries(x, y, mask, jointly=compare in _JOINT):
        part = _compared(compare, x.part(of_x, used.keep), y.part(of_y, used.keep), used, how)
        if of_x is None or of_y is None:
            values = part
        else:
            values[np.ix_(of_x, of_y)] = part
    return float(values[0, 0]) if x.single and y.single else values


@dataclass(frozen=True)
class _How:
    """Options of comparators."""

    sigma_k: Any
    clip_negative: bool
    backend: str
    n_threads: int | None


def _compared(compare: str, x: Stack, y: Stack, used: Used, how: _How) -> np.ndarray:
    """(a, b) values, NaN for RDMs that were refused."""
    if x.rows.shape[1] == 0:
        for stack in (x, y):
            stack.refuse(
                np.ones(len(stack.rows), bool),
                lambda who, _: f"RDMs need entries: the mask and NaN leave none of {who}. Use more of them.",
            )
        return np.full((len(x.rows), len(y.rows)), np.nan)
    values = COMPARATORS[compare](x, y, used, how)
    if x.bad is not None:
        values[x.bad] = np.nan
    if y.bad is not None:
        values[:, y.bad] = np.nan
    return values


def _pearson(x: Stack, y: Stack, _used: Used, _how: _How) -> np.ndarray:
    return cosines_of(x, y, centred(x), centred(y))


def _cosine(x: Stack, y: Stack, _used: Used, _how: _How) -> np.ndarray:
    return cosines_of(x, y, scaled(x), scaled(y))


def _whitened(prepared: Callable[[Stack], np.ndarray]) -> _Comparator:
    def compare(x: Stack, y: Stack, used: Used, how: _How) -> np.ndarray:
        sigma = covariance_of_items(how.sigma_k, used.n_items)
        with one_blas_thread():
            whiten = entry_whitening(used, sigma, one_pair=len(x.rows) == len(y.rows) == 1)
            of_x, of_y = (whiten(prepared(stack)) for stack in (x, y))
        return cosines_of(x, y, of_x, of_y)

    return compare


def _euclidean(x: Stack, y: Stack, _used: Used, _how: _How) -> np.ndarray:
    return np.array([[np.linalg.norm(row - other) for other in y.rows] for row in x.rows])


def _by_rank(compare: str) -> _Comparator:
    def compared(x: Stack, y: Stack, _used: Used, how: _How) -> np.ndarray:
        engine = PairwiseEngine(backend=how.backend, n_threads=how.n_threads)
        return compare_ranks(compare, x, y, engine.backend, engine.n_threads)

    return compared


def _complete(compare: str, formula: Callable[..., np.ndarray], *options: str) -> _Comparator:
    """A comparator of Gram matrices, which needs all entries."""

    def compared(x: Stack, y: Stack, used: Used, how: _How) -> np.ndarray:
        used.refuse_gaps(compare)
        given = {option: getattr(how, option) for option in options}
        if "sigma_k" in given:
            given = {"sigma": covariance_of_items(given["sigma_k"], used.n_items)}
        with one_blas_thread():
            return formula(x, y, used, **given)

    return compared


def _partial(x: Stack, y: Stack, _used: Used, _how: _How) -> np.ndarray:
    return partial_correlations(x, y, centred(x), centred(y))


def _partial_spearman(x: Stack, y: Stack, _used: Used, how: _How) -> np.ndarray:
    engine = PairwiseEngine(backend=how.backend, n_threads=how.n_threads)
    of_x, of_y = (doubled_ranks_of_rows(stack, engine.backend, engine.n_threads) for stack in (x, y))
    return partial_correlations(x, y, of_x, of_y)


def _regression(x: Stack, y: Stack, _used: Used, _how: _How) -> np.ndarray:
    centred(y)  # refuses models without variance
    return regression_weights(y, *(stack.rows - stack.rows.mean(axis=1, keepdims=True) for stack in (x, y)))


_Comparator = Callable[[Stack, Stack, Used, _How], np.ndarray]
COMPARATORS: dict[str, _Comparator] = {
    "pearson": _pearson,
    "cosine": _cosine,
    **{name: _by_rank(name) for name in ("spearman", "rho-a", "kendall", "tau-b", "tau-a")},
    "cosine_cov": _whitened(scaled),
    "corr_cov": _whitened(centred),
    "euclidean": _euclidean,
    "bures": _complete("bures", bures, "clip_negative"),
    "bures_metric": _complete("bures_metric", bures_metric, "clip_negative"),
    "riemannian": _complete("riemannian", riemannian),
    "neg_riem_dist": _complete("neg_riem_dist", neg_riem_dist, "sigma_k"),
    "partial": _partial,
    "partial-spearman": _partial_spearman,
    "regression": _regression,
}
_JOINT = ("partial", "partial-spearman", "regression")
_WITH_COVARIANCE = ("cosine_cov", "corr_cov", "neg_riem_dist")
_WITH_CLIPPING = ("bures", "bures_metric")

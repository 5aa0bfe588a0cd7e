"""RDMs compared over samples of their items and of the RDMs, as a bootstrap does many times, and noise ceilings.

Each RDM of a sample is ranked, normalised or whitened once, however many it is compared with.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ..core.blas import one_blas_thread
from ..core.errors import NonFiniteError, OptionError, ShapeError, check_choice
from .distances import n_rows_of
from .engine import PairwiseEngine
from .gram_comparators import entry_whitening
from .patterns import numbered
from .rank_comparators import compare_ranked, ranks_of_rows
from .rdm_stacks import Stack, Used, centred, entries_of, scaled

__all__ = ["RDMSample", "RDMSampler"]

_LINEAR = {"pearson": centred, "cosine": scaled, "cosine_cov": scaled, "corr_cov": centred}
_RANKED = ("spearman", "rho-a", "kendall", "tau-b", "tau-a")
_ROUNDING = 2.0**-46
"""Of the squared sum of lengths: a pool of RDMs that is no longer is 0 up to rounding."""


class RDMSampler:
    """Compares data RDMs with model RDMs, and with each other, over samples of their items.

    A sample has the entries between its items, but not those between an item and its own copies, which are 0 in every
    RDM.

    Parameters
    ----------
    data : array of shape (n_rdms, p) or (n_rdms, n, n)
        RDMs of the same n items, condensed or square. Entries that are NaN in all RDMs are left out.
    models : array of shape (n_models, p) or (n_models, n, n), optional
    compare : str, default "pearson"
        A comparator of `compare_rdms`: ``"pearson"``, ``"cosine"``, ``"corr_cov"``, ``"cosine_cov"``, ``"spearman"``,
        ``"rho-a"``, ``"tau-a"``, ``"tau-b"`` or ``"kendall"``.
    groups : array-like of shape (n_rdms,), optional
        A label of each data RDM, such as its subject, for noise ceilings; by default each RDM is a group.
    backend, n_threads
        As in `PairwiseEngine`, for ranks.

    Raises
    ------
    OptionError, ShapeError, DTypeError
        For an unknown comparator, or arrays that are not RDMs of the same items.
    NonFiniteError
        For infinity, or an entry that is NaN in some of the RDMs only.

    Examples
    --------
    A bootstrap over items:

    >>> import numpy as np
    >>> import pyrepsim as rs
    >>> rng = np.random.default_rng(0)
    >>> patterns = rng.standard_normal((12, 30))
    >>> data = rs.rdm(patterns + rng.standard_normal((8, 12, 30)), "sqeuclidean", precision="fp64")
    >>> model = rs.rdm(patterns, "sqeuclidean", precision="fp64")
    >>> sampler = rs.pairwise.RDMSampler(data, model, "spearman")
    >>> sample = sampler.sample()
    >>> round(float(sample.similarities.mean()), 3), tuple(round(bound, 3) for bound in sample.ceilings())
    (0.582, (0.491, 0.632))
    >>> draws = [sampler.sample(rng.integers(0, 12, 12)).similarities.mean() for _ in range(200)]
    >>> round(float(np.std(draws)), 2)
    0.1
    """

    def __init__(
        self,
        data: Any,
        models: Any = None,
        compare: str = "pearson",
        *,
        groups: Any = None,
        backend: str = "auto",
        n_threads: int | None = None,
    ) -> None:
        check_choice("compare", compare, (*_LINEAR, *_RANKED))
        stacks = [entries_of(data, "data")] + ([] if models is None else [entries_of(models, "models")])
        widths = [stack.rows.shape[1] for stack in stacks]
        if widths[0] != widths[-1]:
            raise ShapeError(
                f"data and models must be RDMs of the same items: got {widths[0]} and {widths[-1]} entries."
            )
        self.compare = compare
        self.rows = np.concatenate([stack.rows for stack in stacks])
        self.n_rdms, self.n_items = len(stacks[0].rows), n_rows_of(self.rows[0])
        self.engine = PairwiseEngine(backend=backend, n_threads=n_threads)
        names, group = numbered(np.arange(self.n_rdms) if groups is None else groups, self.n_rdms, "groups")
        self.members = np.arange(len(names))[:, None] == group
        missing = np.isnan(self.rows[0])
        if not (np.isfinite(self.rows) != missing).all():
            raise NonFiniteError(
                "RDMs must be finite, or NaN at the same entries in all data and models: they are not. "
                "Leave these items out of all RDMs."
            )
        self._places = np.full((self.n_items, self.n_items), -1)
        first, second = _pairs(self.n_items)
        self._places[first, second] = np.where(missing, -1, np.arange(widths[0]))
        self._places[second, first] = self._places[first, second]

    def sample(self, items: Any = None) -> RDMSample:
        """The RDMs of these items.

        Parameters
        ----------
        items : array-like of int, optional
            Their numbers, in any order and with repetitions. By default each item once.

        Raises
        ------
        OptionError, ShapeError
            For numbers that are not those of items, or a sample without entries.
        """
        chosen = np.arange(self.n_items) if items is None else np.asarray(items)
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
            raise OptionError(f"items must be whole numbers: got {chosen.dtype} of shape {chosen.shape}.")
        if len(chosen) and not 0 <= chosen.min() <= chosen.max() < self.n_items:
            raise OptionError(f"items must be from 0 to {self.n_items - 1}: got {chosen.min()} to {chosen.max()}.")
        first, second = _pairs(len(chosen))
        places = self._places[chosen[first], chosen[second]]
        keep = places >= 0
        if not keep.any():
            raise ShapeError("a sample needs an entry: it has no two different items whose distance is not NaN.")
        rows = self.rows.take(places[keep], axis=1)
        return RDMSample(self, rows, Used(None if keep.all() else keep, len(chosen)))


class RDMSample:
    """The RDMs of a sample of items, made by `RDMSampler.sample`.

    Attributes
    ----------
    similarities : ndarray of shape (n_models, n_rdms)
        Of each model with each RDM of the data; NaN where it is not defined, as for constant RDMs.
    """

    def __init__(self, sampler: RDMSampler, rows: np.ndarray, used: Used) -> None:
        self._sampler = sampler
        n = sampler.n_rdms
        with one_blas_thread():
            if sampler.compare in _RANKED:
                ranks = ranks_of_rows(rows, sampler.engine.backend, sampler.engine.n_threads)
                self._ranks = ranks[:n]
                models = ranks[n:]
                self.similarities = self._of_ranks(models, self._ranks) if len(models) else np.empty((0, n))
            else:
                self._products, self._lengths = _products(sampler.compare, rows, used)
                self.similarities = self._products[n:, :n]

    def ceilings(self, counts: Any = None) -> tuple[float, float]:
        """The noise ceiling: a lower and an upper bound of how similar the best possible model would be to the data.

        The pool of RDMs is the mean of their ranks or of their normalised entries (z-scores for correlations, entries
        over their root mean square for cosines). The upper bound is the mean similarity of the RDMs with the pool of
        all, the lower bound that with the pool of the RDMs of other groups; both are means over groups. With one group
        the lower bound is the upper bound.

        Parameters
        ----------
        counts : array-like of shape (n_rdms,), optional
            How often the sample has each data RDM; by default once.

        Returns
        -------
        (float, float)
            NaN if an RDM or a pool has no similarity with others, such as a constant one.

        References
        ----------
        Nili et al. (2014), PLoS Computational Biology 10:e1003553. The same bounds as
        `rsatoolbox.inference.boot_noise_ceiling`.
        """
        n = self._sampler.n_rdms
        counted = np.ones(n) if counts is None else np.asarray(counts)
        numbers = counted.dtype.kind in "iuf" and counted.shape == (n,)
        if not numbers or not ((counted >= 0) & (counted < np.inf)).all() or not counted.any():
            raise OptionError(
                f"counts must be a number of at least 0 for each of the {n} RDMs, finite and not all 0: got {counts!r}."
            )
        members, used = self._sampler.members, np.arange(n)
        if not counted.all():
            used = np.flatnonzero(counted)
            members = members[:, used]
            members = members[members.any(axis=1)]
        weights = counted[used].astype(np.float64)
        shares = members * weights
        shares /= shares.sum(axis=1, keepdims=True)

        def mean(similar: np.ndarray) -> float:
            return float(np.mean(np.sum(shares * similar, axis=1)))

        if len(members) == 1:
            upper = mean(self._of_pools(weights[None], used, members[:0]))
            return upper, upper
        similar = self._of_pools(np.vstack([weights, np.where(members, 0.0, weights)]), used, members)
        return mean(np.where(members, similar[1:], 0.0)), mean(similar[0])

    def _of_pools(self, weights: np.ndarray, used: np.ndarray, members: np.ndarray) -> np.ndarray:
        """Similarity of sums of these RDMs with each of them: of pool 0 with all, of pool 1 + g with the group g."""
        compare, engine = self._sampler.compare, self._sampler.engine
        with one_blas_thread():
            if compare not in _RANKED:
                scales = weights * self._lengths[used]
                products = scales @ self._products[np.ix_(used, used)]
                squares = np.sum(products * scales, axis=1)
                defined = squares > _ROUNDING * scales.sum(axis=1) ** 2
                return products / np.sqrt(np.where(defined, squares, np.nan))[:, None]
            ranks = self._ranks[used]
            pools = ranks_of_rows(weights @ ranks, engine.backend, engine.n_threads)
            if compare in ("spearman", "rho-a"):
                return self._of_ranks(pools, ranks)
            out = np.full((len(pools), len(used)), np.nan)  # a pair takes longer than a call
            out[0] = self._of_ranks(pools[:1], ranks)
            for pool, member in enumerate(members, start=1):
                out[pool, member] = self._of_ranks(pools[pool : pool + 1], ranks[member])
            return out

    def _of_ranks(self, x: np.ndarray, y: np.ndarray) -> np.ndarray:
        engine, compare = self._sampler.engine, self._sampler.compare
        of_x, of_y = (Stack("RDMs", ranks, single=False, raises=False) for ranks in (x, y))
        values = compare_ranked(compare, of_x, of_y, x, y, engine.backend, engine.n_threads)
        if of_x.bad is not None:
            values[of_x.bad] = np.nan
        if of_y.bad is not None:
            values[:, of_y.bad] = np.nan
        return values


def _products(compare: str, rows: np.ndarray, used: Used) -> tuple[np.ndarray, np.ndarray]:
    """Cosines of all prepared RDMs, NaN where one is not defined, and their lengths per length before whitening."""
    stack = Stack("RDMs", rows, single=False, raises=False)
    vectors = _LINEAR[compare](stack)
    lengths = np.ones(len(rows))
    if compare.endswith("_cov"):
        before = stack.or_one(_lengths(vectors))
        vectors = entry_whitening(used, None, one_pair=False)(vectors)
        lengths = _lengths(vectors) / before
    products = vectors @ vectors.T
    roots = np.sqrt(stack.or_one(products.diagonal()))
    products /= roots[:, None] * roots
    np.clip(products, -1.0, 1.0, out=products)
    if stack.bad is not None:
        products[stack.bad] = products[:, stack.bad] = np.nan
    return products, lengths


def _lengths(rows: np.ndarray) -> np.ndarray:
    return np.sqrt(np.einsum("ij,ij->i", rows, rows))


@lru_cache(maxsize=4)
def _pairs(n: int) -> tuple[np.ndarray, np.ndarray]:
    return np.triu_indices(n, 1)

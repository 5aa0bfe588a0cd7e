"""RDMs whose entries are all equal up to rounding: refused by the bound of the computation, and compared beyond it."""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import DegenerateError
from pyrepsim.measures import all_measures
from pyrepsim.pairwise import METRICS
from pyrepsim.pairwise.bounds import entry_error
from tests.helpers import references_comparators as comparators
from tests.helpers import references_pairwise as pairwise
from tests.helpers.data import rotation
from tests.helpers.references_base import LONG

N = 24
PRECISIONS = ["fp32", "fp64"]
OF_DISTANCES = [
    *(rs.RSA(metric=m, compare=c) for m in ("euclidean", "sqeuclidean") for c in ("pearson", "spearman", "corr_cov")),
    rs.RSA(metric="sqeuclidean", method="tiles"),
    rs.RSA(metric="euclidean", compare="kendall"),
    rs.LinearCKA(debiased=True),
    rs.DistanceCorrelation(debiased=True),
    rs.KernelCKA(debiased=True),
    rs.KernelCKA(debiased=True, fraction=0.2),
    rs.MutualKNN(k=3, metric="euclidean"),
]
OF_ANGLES = [
    *(rs.RSA(metric=m, compare=c) for m in ("cosine", "angular", "dot") for c in ("pearson", "spearman", "kendall")),
    rs.RSA(metric="dot", compare="cosine"),
    rs.RSA(metric="dot", method="tiles"),
    rs.RSA(method="tiles"),
    *(kind(k=3) for name, kind in all_measures().items() if "k" in kind.__dataclass_fields__),
    rs.MutualKNN(k=3, metric="dot"),
]


def _simplex(offset: float = 0.0, seed: int = 0) -> np.ndarray:
    """Rows that are all equally far from each other, and at right angles without an offset."""
    rng = np.random.default_rng(seed)
    return rotation(N, rng) + offset * rng.standard_normal(N)


def _refused(measure: rs.Measure, x: np.ndarray, precision: str) -> bool:
    try:
        rs.compare(x, np.random.default_rng(9).standard_normal((len(x), 4)), measure, precision=precision)
    except DegenerateError:
        return True
    return False


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("measure", OF_DISTANCES, ids=str)
def test_equal_distances_are_refused(measure, precision):
    for seed in range(4):
        for scale in (1.0, 3.0, 1e-3):
            assert _refused(measure, scale * _simplex(seed=seed), precision)
            assert _refused(measure, scale * _simplex(offset=3.0, seed=seed), precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("measure", OF_ANGLES, ids=str)
def test_right_angles_are_refused(measure, precision):
    for seed in range(4):
        for scale in (1.0, 3.0, 1e-3):
            assert _refused(measure, scale * _simplex(seed=seed), precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("metric", ["cosine", "angular"])
@pytest.mark.parametrize("compare", ["pearson", "spearman", "kendall"])
def test_small_equal_angles_are_refused(compare, metric, precision):
    """Rows of length 1 are known up to b, which is much of a small angle, also where all angles are equal."""
    for seed in range(4):
        for angle in (1e-2, 1e-5, 1e-7, 1e-9):
            x = np.hstack([np.ones((N, 1)), angle * np.eye(N)]) @ rotation(N + 1, np.random.default_rng(seed))
            for method in ("auto", "tiles"):
                assert _refused(rs.RSA(metric=metric, compare=compare, method=method), x, precision), angle
    apart = x + 1e-10 * np.random.default_rng(7).standard_normal(x.shape)
    assert not _refused(rs.RSA(metric=metric, compare=compare, method="tiles"), apart, precision)


@pytest.mark.parametrize("method", ["auto", "tiles"])
@pytest.mark.parametrize("compare", ["pearson", "spearman", "kendall", "corr_cov"])
@pytest.mark.parametrize("metric", ["mahalanobis", "sqmahalanobis"])
def test_few_whitened_rows_are_refused_by_their_number(metric, compare, method, rng):
    """n <= d + 1 rows span n - 1 dimensions, however badly conditioned they are."""
    for x in (rng.standard_normal((10, 9)), rng.standard_normal((10, 40)) * 10.0 ** -np.linspace(0, 4, 40)):
        for precision in PRECISIONS:
            measure = rs.RSA(metric=metric, compare=compare, method=method)
            assert _refused(measure, x, precision)
            assert not _refused(measure, np.vstack([x[:, :4], x[:, 4:8]]), precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("metric", ["euclidean", "cosine", "dot"])
def test_distances_that_differ_by_more_are_compared(metric, precision):
    """Differences of 100 times the bound of an entry leave values with an error of a few percent at most."""
    rng = np.random.default_rng(4)
    base = _simplex()
    few = pairwise.condensed(pairwise.distances(base, metric))
    error = entry_error(METRICS[metric], precision, base, few)
    x = base + 100 * error * rng.standard_normal(base.shape)
    y = rng.standard_normal((N, 4))
    a, b = (pairwise.condensed(pairwise.distances(side, metric)) for side in (x, y))
    for compare in ("pearson", "spearman"):
        expected = comparators.RDM_COMPARATORS[compare](a, b)
        value = rs.compare(x, y, rs.RSA(metric=metric, compare=compare, method="tiles"), precision=precision).value
        # ranks are of entries rounded to 20 bits (40 in float64)
        assert abs(value - expected) < 0.05


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean", "cosine", "correlation", "angular", "dot"])
@pytest.mark.parametrize("d", [3, 40, 768])
def test_the_bound_of_an_entry_holds(d, metric, precision):
    rng = np.random.default_rng(d)
    x = rng.standard_normal((60, d))
    exact = pairwise.distances(x, metric, work=LONG)
    entries = rs.pdist(x, metric, precision=precision)
    error = np.abs(entries.astype(LONG) - pairwise.condensed(exact))
    bound = entry_error(METRICS[metric], precision, x, entries)
    size = np.maximum(pairwise.condensed(exact) / np.mean(pairwise.condensed(exact)), 1.0) if metric != "dot" else 3.0
    assert (error <= bound * size + 2.0**-53 * np.abs(entries)).all()  # the reference is rounded to float64
    assert bound <= 5000 * float(np.sqrt(np.mean(error**2)))  # of up to 776 roundings that never cancel, twice


def test_rows_that_vary_by_rounding_alone_are_constant_for_every_measure(rng):
    base = 10 * rng.standard_normal(6)
    x = base * (1 + 2.0**-52 * rng.integers(-2, 3, (20, 6)))
    y = rng.standard_normal((20, 5))
    for kind in all_measures().values():
        measure = kind(k=3) if "k" in kind.__dataclass_fields__ else kind()
        for scale in (1.0, 3.0, 0.7):
            with pytest.raises(DegenerateError, match="of X is constant|of X have one direction"):
                rs.compare(x * scale, y, measure)
    for metric in ("euclidean", "manhattan", "chebyshev"):
        with pytest.raises(DegenerateError, match="every feature of X is constant"):
            rs.compare(x, y, rs.RSA(metric=metric))
        apart = x * (1 + 1e-12 * rng.standard_normal((20, 6)))
        expected = comparators.pearson(*(pairwise.condensed(pairwise.distances(s, metric)) for s in (apart, y)))
        assert abs(rs.compare(apart, y, rs.RSA(metric=metric), precision="fp64").value - expected) < 1e-3


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_a_mean_row_of_rounding_has_no_direction(dtype, rng):
    x = rng.standard_normal((40, 6)).astype(dtype).astype(np.float64)
    centred = x - x.mean(axis=0)
    y = rng.standard_normal((40, 3)) + 1
    for scale in (1.0, 3.0, 0.7):
        with pytest.raises(DegenerateError, match="mean row with a direction"):
            rs.compare((centred * scale).astype(dtype), y, rs.Concentricity())
    moved = (centred + 0.05).astype(dtype)
    rows = moved.astype(LONG)
    mean = rows.mean(axis=0)
    cosines = rows @ mean / np.sqrt(np.sum(rows * rows, axis=1) * np.sum(mean * mean))
    details = rs.compare(moved, y, rs.Concentricity()).details
    assert abs(details["concentricity_x"] - float(cosines.mean())) < 1e-10

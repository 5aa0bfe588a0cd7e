"""Invalid input gives a typed error that states the fact, never a number."""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import DegenerateError, DTypeError, NonFiniteError, OptionError, ShapeError
from pyrepsim.measures import BlockSumMeasure, MomentMeasure, RowMeasure, all_measures
from tests.helpers.data import correlated_pair

X, Y = correlated_pair(60, 10, 8, seed=70)
CONDITIONS, FOLDS = np.repeat(np.arange(5), 12), np.tile(np.arange(4), 15)
HOLED = np.where(np.arange(60)[:, None] == 41, np.nan, X)


@pytest.mark.parametrize("measure", [rs.RSA(metric="euclidean"), rs.RSA(sample=10), rs.KernelCKA(), rs.MutualKNN()])
def test_a_measure_of_rows_has_no_score_from_moments(measure):
    moments = rs.PairedMoments(10, 8)
    moments.update(X, Y)
    with pytest.raises(OptionError, match="reads the rows"):
        measure.score(moments)


def test_every_measure_is_of_moments_or_of_rows():
    for kind in all_measures().values():
        assert isinstance(kind(), MomentMeasure) != isinstance(kind(), RowMeasure)
    assert isinstance(rs.RSA(), MomentMeasure)
    assert isinstance(rs.RSA(metric="euclidean"), BlockSumMeasure)
    assert not isinstance(rs.RSA(metric="euclidean", compare="spearman"), BlockSumMeasure)


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (NonFiniteError, lambda: rs.rdm(HOLED, conditions=CONDITIONS)),
        (NonFiniteError, lambda: rs.rdm(HOLED, noise=np.eye(10))),
        (DTypeError, lambda: rs.rdm(X, conditions=[None] * 60)),
        (DTypeError, lambda: rs.rdm(X, conditions=np.where(CONDITIONS == 0, np.nan, CONDITIONS))),
        (DTypeError, lambda: rs.rdm(X, "crossnobis", conditions=CONDITIONS, folds=FOLDS, noise="diag")),
        (DegenerateError, lambda: rs.rdm(np.vstack([X, -X]), conditions=np.tile(np.arange(60), 2))),
        (DTypeError, lambda: rs.compare_rdms(np.arange(3) + 1j, np.arange(3.0))),
        (DTypeError, lambda: rs.compare_rdms(np.array([1, "a", 2], dtype=object), np.arange(3.0))),
        (NonFiniteError, lambda: rs.compare_rdms(np.full((4, 4), np.nan), np.arange(6.0))),
        (OptionError, lambda: rs.compare_rdms(np.arange(3.0), np.arange(3.0), "spearman", n_threads=-3)),
        (OptionError, lambda: rs.PairwiseEngine().estimate(-1, [768])),
        (ShapeError, lambda: rs.pdist(X[:1])),
        (ShapeError, lambda: rs.knn(X, 3, Y=Y)),
        (OptionError, lambda: rs.knn(X, True)),
        (OptionError, lambda: rs.pdist(X, ["cosine"])),
    ],
)
def test_typed_errors(error, call):
    with pytest.raises(error):
        call()


def test_a_bad_row_has_the_callers_row_number():
    with pytest.raises(NonFiniteError, match="row 41"):
        rs.rdm(HOLED, conditions=CONDITIONS)
    for how in ({}, {"method": "tiles"}, {"compare": "spearman"}):
        measure = rs.RSA(sample=50, seed=3, **how)
        (drawn,) = measure.chosen_rows(60, None)
        assert drawn.tolist().index(41) != 41
        with pytest.raises(NonFiniteError, match="got nan at row 41"):
            rs.compare(HOLED, Y, measure)
        rows = np.where(np.arange(60)[:, None] == 41, 0, X)
        with pytest.raises(DegenerateError, match="row 41 of X is all zero"):
            rs.compare(rows, Y, measure)


def test_rdms_of_other_libraries_are_read():
    torch = pytest.importorskip("torch")
    a, b = rs.rdm(X), rs.rdm(Y)
    tensors = torch.tensor(a), torch.tensor(b)
    assert rs.compare_rdms(*tensors) == rs.compare_rdms(a, b)
    assert abs(rs.compare_rdms(tensors[0].bfloat16(), tensors[1]) - rs.compare_rdms(a, b)) < 0.05


def test_ties_are_distinguished_from_shared_bins(monkeypatch):
    """tau-b by histograms, where a tenth of all entries are tied and where none are."""
    from pyrepsim.pairwise import ranks

    rng = np.random.default_rng(71)
    whole = rng.integers(0, 3, (120, 4)) + 1.0
    for sides in ((whole, whole[:, :3] + rng.integers(0, 2, (120, 3))), (rng.standard_normal((120, 4)), whole)):
        measure = rs.RSA(metric="manhattan", compare="kendall")
        monkeypatch.setattr(ranks, "IN_MEMORY_ROWS", 8192)
        exact = rs.compare(*sides, measure).value
        monkeypatch.setattr(ranks, "IN_MEMORY_ROWS", 10)
        found = rs.compare(*sides, measure)
        assert abs(found.value - exact) < 2e-3
        assert abs(found.value - exact) <= found.details["bound"]


def test_a_matrix_symmetric_up_to_rounding_is_symmetric():
    square = rs.rdm(X)
    a, b = square.copy(), square.copy()
    a[2, 5], a[5, 2], b[2, 5], b[5, 2] = 1e-9, -2e-9, 1e-9, 1e-9
    assert rs.compare_rdms(a, square) == pytest.approx(rs.compare_rdms(b, square), abs=1e-6)
    a[2, 5] = 1e-3
    with pytest.raises(ShapeError, match="must be symmetric"):
        rs.compare_rdms(a, square)
    noise = np.eye(10)
    noise[1, 2], noise[2, 1] = 1e-17, 0
    np.testing.assert_allclose(rs.rdm(X, noise=noise), square, atol=1e-6)
    noise[1, 2] = 1e-3
    with pytest.raises(NonFiniteError, match="symmetric"):
        rs.rdm(X, noise=noise)


@pytest.mark.parametrize(("scale", "what"), [(1e-200, "are 0"), (1e200, "overflow")])
def test_rows_whose_squares_underflow_are_not_constant(scale, what):
    with pytest.raises(NonFiniteError, match=f"squares float64 can hold: those of these rows {what}"):
        rs.pdist(X * scale, "mahalanobis")


@pytest.mark.parametrize(("precision", "bound"), [("fp32", 4e-4), ("fp64", 2e-8)])
def test_angles_of_opposite_rows(precision, bound):
    opposite = np.concatenate([X, -1.7 * X])
    found = rs.cdist(X, opposite[60:], "angular", precision=precision)
    assert np.abs(np.diag(found) - 1).max() < bound

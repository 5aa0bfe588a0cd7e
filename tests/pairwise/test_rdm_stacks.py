"""Stacks of RDMs: every comparator against its definition, entries left out, what has no value."""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import DegenerateError, DTypeError, NonFiniteError, OptionError, ShapeError
from pyrepsim.pairwise import COMPARATORS, rdm_stacks
from tests.helpers import references_comparators as reference
from tests.helpers.backends import EVERY
from tests.helpers.rdm_stacks import RDM_ENTRIES as P
from tests.helpers.rdm_stacks import RDM_ITEMS as N
from tests.helpers.rdm_stacks import by_definition, rdms

RANKS = ("spearman", "rho-a", "kendall", "tau-b", "tau-a")
JOINT = ("partial", "partial-spearman", "regression")


@pytest.mark.parametrize("compare", COMPARATORS)
def test_stacks_are_compared_by_the_definition(compare):
    a, b = rdms(3, 0), rdms(4, 1)
    expected = by_definition(compare, a, b)
    found = rs.compare_rdms(a, b, compare)
    assert found.shape == (3, 4)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6 if compare == "neg_riem_dist" else 1e-10)
    assert np.ptp(found) > 1e-3


@pytest.mark.parametrize("compare", [name for name in COMPARATORS if name not in JOINT])
def test_a_stack_gives_what_its_rdms_give(compare):
    a, b = rdms(3, 2), rdms(2, 3)
    found = rs.compare_rdms(a, b, compare)
    singles = [[rs.compare_rdms(x, y, compare) for y in b] for x in a]
    assert all(type(value) is float for row in singles for value in row)
    np.testing.assert_allclose(found, singles, rtol=0, atol=0 if compare in RANKS else 1e-13)
    np.testing.assert_array_equal(rs.compare_rdms(a[:1], b[0], compare), [[singles[0][0]]])  # a single one is a stack


@pytest.mark.parametrize("compare", ["pearson", "cosine", "cosine_cov", "corr_cov", *RANKS])
def test_values_do_not_leave_their_range(compare):
    stack = rdms(60, 46)
    both = np.vstack([stack, 3 * stack, -stack])
    found = rs.compare_rdms(both, both, compare)
    assert np.abs(found).max() <= 1
    np.testing.assert_allclose(np.diag(found), 1, rtol=0, atol=0 if compare in RANKS else 1e-15)
    np.testing.assert_allclose(np.diag(found[:60, 120:]), -1, rtol=0, atol=0 if compare in RANKS else 1e-15)
    np.testing.assert_allclose(found, found.T, rtol=0, atol=1e-15)


@pytest.mark.parametrize("compare", COMPARATORS)
def test_any_form_any_layout_any_blocks(compare, monkeypatch):
    a, b = rdms(5, 4), rdms(4, 5)
    expected = rs.compare_rdms(a, b, compare)
    squares = [np.array([reference.square(v) for v in stack]) for stack in (a, b)]
    wide = np.zeros((5, 2 * P))
    wide[:, ::2] = a
    wide.flags.writeable = False
    for x, y in (
        squares,
        (a.tolist(), b[::-1][::-1]),
        (np.asfortranarray(a), b),
        (wide[:, ::2], squares[1].transpose(0, 2, 1)),
    ):
        np.testing.assert_array_equal(rs.compare_rdms(x, y, compare), expected)
    if compare in RANKS:
        for n_threads in (1, 2, 3):
            np.testing.assert_array_equal(rs.compare_rdms(a, b, compare, n_threads=n_threads), expected)
    monkeypatch.setattr(rdm_stacks, "_BLOCK", 2 * N * N)
    np.testing.assert_allclose(rs.compare_rdms(a, b, compare), expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(rs.compare_rdms(*squares, compare), expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("compare", ["pearson", "cosine", *RANKS, "cosine_cov", "euclidean", "partial-spearman"])
def test_integers_and_bool(compare):
    rng = np.random.default_rng(6)
    whole, models = rng.integers(0, 6, (3, P)), rng.random((3, P)) < 0.4
    expected = rs.compare_rdms(whole.astype(float), models.astype(float), compare)
    for dtype in (np.int8, np.uint8, np.int64, np.float16, np.float32):
        np.testing.assert_array_equal(rs.compare_rdms(whole.astype(dtype), models, compare), expected)
    np.testing.assert_allclose(expected, by_definition(compare, whole, models), rtol=0, atol=1e-12)


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("compare", RANKS)
def test_ranks_with_ties_on_every_backend(compare, backend):
    rng = np.random.default_rng(7)
    a, b = rng.integers(0, 4, (3, 190)), rng.integers(-9, 9, (2, 190)) / 7
    found = rs.compare_rdms(a, b, compare, backend=backend)
    np.testing.assert_allclose(found, by_definition(compare, a, b), rtol=0, atol=1e-14)
    np.testing.assert_array_equal(found, rs.compare_rdms(a, b, compare))


@pytest.mark.parametrize("compare", ["spearman", "rho-a"])
def test_more_entries_than_float64_sums_exactly(compare, monkeypatch):
    from pyrepsim.pairwise import rank_comparators

    a, b = rdms(3, 8), np.vstack([rdms(1, 9), np.round(rdms(1, 10))])
    expected = rs.compare_rdms(a, b, compare)
    monkeypatch.setattr(rank_comparators, "_EXACT_ENTRIES", 10)
    np.testing.assert_array_equal(rs.compare_rdms(a, b, compare), expected)
    found = rs.compare_rdms(np.vstack([a, np.ones(P)]), b, compare, on_degenerate="nan")
    np.testing.assert_array_equal(found[:3], expected)
    np.testing.assert_array_equal(found[3], np.full(2, np.nan if compare == "spearman" else 0.0))


@pytest.mark.parametrize("compare", ["pearson", "cosine_cov", "spearman", "tau-a", "euclidean"])
def test_memory_is_that_of_the_stacks(compare, monkeypatch):
    import tracemalloc

    monkeypatch.setattr(rdm_stacks, "_BLOCK", 1 << 14)
    n, count = 24, 300
    a, b = np.random.default_rng(9).random((2, count, n * (n - 1) // 2))
    rs.compare_rdms(a[:3], b, compare)  # imports
    tracemalloc.start()
    rs.compare_rdms(a, b, compare)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    prepared, result = 2.2 * a.nbytes, 8 * count * count
    # the prepared forms of both, the result and its square root factors, and blocks
    assert peak < 1.5 * prepared + 4 * result + 20 * 8 * (1 << 14)


# ---- entries left out ------------------------------------------------------------------------------------------

SOME = [name for name in COMPARATORS if name in (*RANKS, *JOINT, "pearson", "cosine", "euclidean")]


@pytest.mark.parametrize("compare", SOME)
def test_entries_left_out_by_mask_or_nan(compare):
    a, b = rdms(3, 11), rdms(4, 12)
    keep = np.random.default_rng(13).random(P) < 0.6
    expected = by_definition(compare, a[:, keep], b[:, keep])
    holed = [np.where(keep, stack, np.nan) for stack in (a, b)]
    for x, y, options in (
        (a, b, {"mask": keep}),
        (a, b, {"mask": reference.square(keep) == 1}),
        (*holed, {}),
        (*holed, {"mask": "pairwise"}),
        (holed[0], b, {"mask": keep}),
    ):
        np.testing.assert_allclose(rs.compare_rdms(x, y, compare, **options), expected, rtol=0, atol=1e-10)
    assert np.abs(rs.compare_rdms(a, b, compare) - expected).max() > 1e-3


@pytest.mark.parametrize("compare", [*SOME, "cosine_cov", "corr_cov"])
def test_each_pair_has_its_own_entries(compare):
    a, b = rdms(6, 14), rdms(3, 15)
    rng = np.random.default_rng(16)
    patterns = rng.random((3, P)) < 0.1
    a[patterns[[0, 1, 0, 2, 2, 1]]] = np.nan
    b[1, rng.random(P) < 0.1] = np.nan
    found = rs.compare_rdms(a, b, compare, mask="pairwise")
    for i, x in enumerate(a):
        if compare in JOINT:
            keep = np.isfinite(x) & np.isfinite(b).all(axis=0)
            np.testing.assert_allclose(found[i : i + 1], by_definition(compare, x[None, keep], b[:, keep]), atol=1e-10)
            continue
        for j, y in enumerate(b):
            keep = np.isfinite(x) & np.isfinite(y)
            if compare in ("cosine_cov", "corr_cov"):
                expected = getattr(reference, compare)(np.nan_to_num(x), np.nan_to_num(y), keep=keep)
            else:
                expected = by_definition(compare, x[None, keep], y[None, keep])[0, 0]
            assert found[i, j] == pytest.approx(expected, abs=1e-10)


def test_items_without_any_entry_do_not_count():
    a, b = rdms(2, 21), rdms(2, 22)
    inside = np.ones((N, N), bool)
    inside[4] = inside[:, 4] = False
    few = [np.array([reference.square(v)[inside].reshape(N - 1, N - 1) for v in stack]) for stack in (a, b)]
    found = rs.compare_rdms(a, b, "cosine_cov", mask=inside)
    np.testing.assert_allclose(found, rs.compare_rdms(*few, "cosine_cov"), atol=1e-13)


@pytest.mark.parametrize("compare", ["bures", "bures_metric", "riemannian", "neg_riem_dist"])
def test_comparators_that_need_all_entries(compare):
    a, b = rdms(2, 23), rdms(2, 24)
    with pytest.raises(OptionError, match="needs all entries"):
        rs.compare_rdms(a, b, compare, mask=np.arange(P) != 3)


def test_gaps_on_one_side_only():
    a, b = rdms(3, 25), rdms(2, 26)
    a[1, 5] = np.nan
    with pytest.raises(NonFiniteError, match="a must be finite: it holds NaN at entry 5"):
        rs.compare_rdms(a, b)
    b[:, [5, 7]] = np.nan
    with pytest.raises(NonFiniteError, match="b must be finite: it holds NaN at entry 7"):
        rs.compare_rdms(a, b)
    for where in (a, b):
        where[0, 7] = np.inf
    for options in ({}, {"mask": "pairwise"}):
        with pytest.raises(NonFiniteError, match="infinity"):
            rs.compare_rdms(a, b, **options)
    assert np.isfinite(rs.compare_rdms(a, b, mask=np.arange(P) > 7)).all()


def test_masks_that_are_none():
    a, b = rdms(3, 27), rdms(2, 28)
    for mask, error in (
        (np.arange(P), DTypeError),
        (np.ones(P - 1, bool), ShapeError),
        (np.ones((3, P), bool), ShapeError),
        (np.ones((N + 1, N + 1), bool), ShapeError),
        ("common", OptionError),
    ):
        with pytest.raises(error, match="mask"):
            rs.compare_rdms(a, b, mask=mask)
    with pytest.raises(DegenerateError, match="leave none of a"):
        rs.compare_rdms(a, b, mask=np.zeros(P, bool))
    assert np.isnan(rs.compare_rdms(a, b, mask=np.zeros(P, bool), on_degenerate="nan")).all()
    for compare in (*RANKS, "pearson"):  # one entry has neither order nor variance
        for x, y in ((a, b), (a[0], b[0])):
            with pytest.raises(DegenerateError):
                rs.compare_rdms(x, y, compare, mask=np.arange(P) == 4)
            assert np.isnan(rs.compare_rdms(x, y, compare, mask=np.arange(P) == 4, on_degenerate="nan")).all()


# ---- RDMs without a value, and arguments ------------------------------------------------------------------------


@pytest.mark.parametrize("compare", COMPARATORS)
def test_rdms_without_a_value(compare):
    a, b = rdms(4, 39), rdms(3, 40)
    expected = rs.compare_rdms(a, b, compare)
    bad = np.zeros(P)
    a = np.vstack([a[:2], bad, a[2:]])
    expected = np.insert(expected, 2, np.nan, axis=0)
    if compare in ("euclidean", "bures_metric", "rho-a", "tau-a", "regression"):
        found = rs.compare_rdms(a, b, compare)  # zeros have a value
        assert np.isfinite(found).all()
        expected[2] = found[2]
    else:
        with pytest.raises(DegenerateError, match=r"a\[2\]"):
            rs.compare_rdms(a, b, compare)
        found = rs.compare_rdms(a, b, compare, on_degenerate="nan")
        if compare not in JOINT:
            assert np.isnan(rs.compare_rdms(bad, bad, compare, on_degenerate="nan"))
            np.testing.assert_allclose(rs.compare_rdms(b, a, compare, on_degenerate="nan")[:, 2], np.full(3, np.nan))
    np.testing.assert_allclose(found, expected, atol=1e-10)


def test_options_that_do_not_apply():
    a, b = rdms(2, 41), rdms(2, 42)
    for options, message in (
        ({"sigma_k": np.eye(N)}, "sigma_k applies to cosine_cov"),
        ({"clip_negative": True}, "clip_negative applies to bures"),
        ({"on_degenerate": "zero"}, "on_degenerate must be one of 'raise', 'nan'"),
        ({"compare": ["pearson"]}, "compare must be one of"),
    ):
        with pytest.raises(OptionError, match=message):
            rs.compare_rdms(a, b, **options)
    for sigma, error in (
        (np.eye(N + 1), ShapeError),
        (np.full(N, np.nan), NonFiniteError),
        (np.triu(np.ones((N, N))), NonFiniteError),
        (np.ones((N, N)), DegenerateError),
        (-np.ones(N), DegenerateError),
        (np.eye(N).astype(complex), DTypeError),
    ):
        with pytest.raises(error, match="sigma_k"):
            rs.compare_rdms(a, b, "cosine_cov", sigma_k=sigma)


def test_arrays_that_are_not_stacks():
    a = rdms(2, 43)
    for bad in (a[:, :-1], a[:0], a[None], np.zeros((2, N, N + 1)), np.zeros((0, N, N)), np.float64(3)):
        with pytest.raises(ShapeError):
            rs.compare_rdms(bad, a)
    uneven = np.array([reference.square(v) for v in a])
    uneven[1, 2, 0] += 1
    with pytest.raises(ShapeError, match=r"symmetric: a\[1\] is not"):
        rs.compare_rdms(uneven, a)
    with pytest.raises(ShapeError, match="Pass a stack of 10 RDMs of 10 entries as squares"):
        rs.compare_rdms(rdms(10, 44, n=5), rdms(10, 45, n=5))
    squares = np.array([reference.square(v) for v in rdms(10, 44, n=5)])
    assert rs.compare_rdms(squares, rdms(3, 45, n=5)).shape == (10, 3)

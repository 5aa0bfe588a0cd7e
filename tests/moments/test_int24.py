"""Precision int24: exact sums of rounded rows, with the same bits everywhere and an error below a proved bound."""

from __future__ import annotations

import hashlib

import ml_dtypes  # noqa: F401 - registers bfloat16
import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim import _core
from pyrepsim.core.errors import NonFiniteError, OptionError
from tests.helpers.data import cast
from tests.helpers.references_integers import exact_scatter, sums_of_integers, transformed_rows

TRANSFORMS = ("raw", "unit", "unit_centred")
DTYPES = ("float16", "bfloat16", "float32", "float64")


def ugly(n: int, dtype: str, seed: int = 0) -> np.ndarray:
    """Columns: constant, little variance, |mean| = 50 sd, heavy tails, denormal, one row, two equal, rogue, normal."""
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((n, 1))
    rows = 0.8 * rng.standard_normal((n, 40)) + 0.6 * common
    rows[:, 0] = 3.25
    rows[:, 1] = 2 + 1e-3 * rows[:, 1]
    rows[:, 2] += 50
    rows[:, 3] = np.clip(rows[:, 3] / np.maximum(1e-3, rng.standard_normal(n) ** 2), -60000, 60000)
    rows[:, 4] *= 3e-6 if dtype == "float16" else 1e-39
    rows[:, 5] = 0
    rows[n // 2, 5] = 7.5
    rows[:, 6] = rows[:, 7]
    rows[:, 8] *= 300
    return cast(rows, dtype)


def exact_rows(n: int, d: int, seed: int) -> np.ndarray:
    """float32 rows made of integers alone, so that every machine makes the same."""
    state, values = np.uint64(seed), np.empty(n * d)
    for i in range(n * d):
        state = np.uint64((int(state) * 6364136223846793005 + 1442695040888963407) % 2**64)
        values[i] = int(state >> np.uint64(40)) - 2**23
    rows = values.reshape(n, d) / 2**20
    rows[:, 1:] += np.round(rows[:, :-1] * 2**8) / 2**9
    return rows.astype(np.float32)


def arrays_of(chunks, transform: str = "raw", **options) -> dict[str, np.ndarray]:
    widths = [side.shape[1] for side in chunks[0]]
    moments = rs.MomentsSet(widths, [(0, 1)], transforms=(transform,), precision="int24", **options)
    for chunk in chunks:
        moments.update(chunk)
    return moments.arrays(transform=transform)


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("n", [2, 63, 255, 256, 257, 700])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("isa", _core.available_isas())
def test_every_instruction_set_has_the_bits_of_the_reference(isa, dtype, n, monkeypatch):
    monkeypatch.setenv("PYREPSIM_ISA", isa)
    X, Y = ugly(n, dtype), ugly(n, dtype, 1)[:, 7:30]
    for transform in TRANSFORMS:
        ours = arrays_of([(X, Y)], transform, backend="cpu")
        assert same(ours, arrays_of([(X, Y)], transform, backend="reference")), transform


@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_are_those_of_rounded_rows(dtype):
    X, Y = ugly(700, dtype), ugly(700, dtype, 1)[:, 7:30]
    ours = arrays_of([(X, Y)])
    shifted = [np.float64(side) - ours[f"shift_{s}"] for s, side in enumerate((X, Y))]
    for name, left, right in (("products_0", 0, 0), ("products_1", 1, 1), ("cross_0_1", 0, 1)):
        np.testing.assert_array_equal(ours[name], sums_of_integers(shifted[left], shifted[right]))


@pytest.mark.parametrize("n", [3, 300, 4000])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("transform", TRANSFORMS)
def test_errors_are_below_the_bound(transform, dtype, n):
    X, Y = ugly(n, dtype), ugly(n, dtype, 1)[:, 7:30]
    moments = rs.PairedMoments(X.shape[1], Y.shape[1], transforms=(transform,), precision="int24")
    moments.update(X, Y)
    pair = moments.pair(transform)
    rows = [transformed_rows(side, transform) for side in (X, Y)]
    largest = []
    for found, left, right in ((pair.x.scatter, 0, 0), (pair.y.scatter, 1, 1), (pair.cross, 0, 1)):
        exact = exact_scatter(rows[left], rows[right])
        sides = [np.sqrt(np.diagonal(exact_scatter(rows[k], rows[k]))) for k in (left, right)]
        scale = np.outer(*sides)
        varying = scale > 0
        largest.append(float(np.max(np.abs(found - exact)[varying] / scale[varying])))
    assert max(largest) <= pair.largest_error
    assert pair.largest_error < (1e-5 if transform == "raw" else 1e-4)


def test_the_bound_is_not_much_larger_than_needed():
    """A feature of equal magnitudes: all its rounding errors may be as large as the bound says."""
    rows = np.full((256, 2), 1 + 0.5 / 2**22)
    rows[::2] *= -1
    moments = rs.PairedMoments(2, 2, precision="int24")
    moments.update(rows, rows)
    assert moments.pair().largest_error < 2.5 / 2**23


@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize(
    ("smallest", "rogue", "each"),
    [(-3.2, 150.0, 1e-6), (-4.65, 1.0, 1e-4)],
    ids=["large and small features", "small directions"],
)
def test_canonical_correlations_of_ill_conditioned_rows(dtype, smallest, rogue, each):
    """A condition number of 2e9: the full rank, and the mean within 1e-6. Features of any size have units of their own,
    so each correlation is then within 1e-6, too; a direction of 2e-5 of the features' size has noise of rounding."""
    rng = np.random.default_rng(3)
    n, d = 4000, 96
    basis = np.linalg.qr(rng.standard_normal((d, d)))[0]
    X = rng.standard_normal((n, d)) * np.logspace(0, smallest, d) @ basis
    X[:, 7] *= rogue
    X = cast(X, dtype)
    Y = cast(np.float64(X) @ rng.standard_normal((d, d)) * 0.1 + rng.standard_normal((n, d)) * 0.3, dtype)
    ours, exact = (rs.compare(X, Y, rs.CCA(), precision=p) for p in ("int24", "fp64"))
    assert ours.details["rank_x"] == exact.details["rank_x"] == d
    if dtype == "float32":
        assert np.linalg.cond(np.cov(np.float64(X).T)) > 1e9
    np.testing.assert_allclose(ours.details["correlations"], exact.details["correlations"], atol=each, rtol=0)
    assert abs(ours.value - exact.value) < 1e-6


def test_scores_are_near_those_of_float64_and_say_how_near():
    X, Y = ugly(2000, "float16"), ugly(2000, "float16", 1)
    measures = [rs.LinearCKA(), rs.LinearCKA(debiased=True), rs.RV2(), rs.CCA(), rs.SVCCA(), rs.Procrustes()]
    measures += [rs.RSA(metric=m, compare="pearson") for m in ("sqeuclidean", "cosine", "correlation")]
    for ours, exact in zip(*(rs.compare(X, Y, measures, precision=p) for p in ("int24", "fp64")), strict=True):
        assert ours.provenance["precision"] == "int24"
        assert abs(ours.value - exact.value) < 1e-6, ours.measure
        assert 0 < ours.details["largest_error"] < 1e-5
        assert "largest_error" not in exact.details


def test_few_rows_take_no_other_route():
    """Of fewer rows than features too, the value is that of integer sums."""
    X, Y = ugly(20, "float32"), ugly(20, "float32", 1)
    moments = rs.PairedMoments(40, 40, precision="int24")
    moments.update(X, Y)
    for measure in (rs.LinearCKA(), rs.SVCCA(), rs.Procrustes()):
        assert rs.compare(X, Y, measure, precision="int24").value == measure.score(moments).value


def test_merged_and_weighted_sums_keep_the_bound():
    X, Y = ugly(900, "float32"), ugly(900, "float32", 1)
    parts = [rs.PairedMoments(40, 40, precision="int24") for _ in range(3)]
    for part, start in zip(parts, (0, 300, 600), strict=True):
        part.update(X[start : start + 300], Y[start : start + 300])
    rounding = sum(part.state().rounding[0] for part in parts)
    parts[0].merge(parts[1])
    parts[0].merge(parts[2])
    np.testing.assert_allclose(parts[0].state().rounding[0], rounding, rtol=1e-15)
    whole = rs.PairedMoments(40, 40, precision="int24")
    whole.update(X, Y)
    ours, exact = parts[0].pair(), exact_scatter(np.float64(X), np.float64(Y))
    scale = np.sqrt(np.outer(ours.x.squares, ours.y.squares))
    assert np.max(np.abs(ours.cross - exact)[scale > 0] / scale[scale > 0]) <= ours.largest_error
    doubled = 2 * whole.state()
    np.testing.assert_array_equal(doubled.rounding[0], 2 * whole.state().rounding[0])
    again = rs.PairedMoments.from_arrays(whole.arrays(), precision="int24")
    assert rs.LinearCKA().score(again).value == rs.LinearCKA().score(whole).value


def test_a_jackknife_has_the_interval_of_float64():
    X, Y = ugly(600, "float32")[:, 6:], ugly(600, "float32", 1)[:, 6:]
    documents = np.repeat(np.arange(30), 20)
    ours, exact = (
        rs.compare(X, Y, rs.LinearCKA(), documents=documents, interval="Jackknife", precision=p)
        for p in ("int24", "fp64")
    )
    np.testing.assert_allclose(ours.interval, exact.interval, atol=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_an_integer_would_hide_what_is_not_finite(value):
    X = ugly(100, "float32")
    X[70, 9] = value
    with pytest.raises(NonFiniteError, match="row 70, feature 9"):
        rs.compare(X, X, rs.LinearCKA(), precision="int24")


@pytest.mark.parametrize("size", [1e-60, 1e60])
def test_sizes_of_rows(size):
    X, Y = np.float64(ugly(300, "float64"))[:, 6:], np.float64(ugly(300, "float64", 1))[:, 6:]
    one, other = (rs.compare(scale * X, Y, rs.LinearCKA(), precision="int24").value for scale in (1.0, size))
    assert abs(one - other) < 1e-9


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("size", [1e-320, 1e-200, 1e-100, 1e90, 1e160, 1e300])
def test_rows_whose_squares_do_not_fit_are_refused(size, backend):
    """Of all features, or of one: an integer would hide it."""
    X, Y = np.float64(ugly(300, "float64"))[:, 9:], np.float64(ugly(300, "float64", 1))[:, 9:]
    with pytest.raises(NonFiniteError, match="of a size"), np.errstate(all="ignore"):
        rs.compare(size * X, Y, rs.LinearCKA(), precision="int24", backend=backend)
    X[:, 2] *= size
    with np.errstate(all="ignore"):
        if size > 1:
            with pytest.raises(NonFiniteError, match="of a size"):
                rs.compare(X, Y, rs.LinearCKA(), precision="int24", backend=backend)
        else:  # as in float64, a feature that is nothing beside the others
            ours, exact = (rs.compare(X, Y, rs.LinearCKA(), precision=p, backend=backend) for p in ("int24", "fp64"))
            assert abs(ours.value - exact.value) < 1e-8


def test_tiles_of_pairs_of_rows_are_as_with_auto():
    X, Y = ugly(200, "float32"), ugly(200, "float32", 1)
    measure = rs.RSA(metric="euclidean", compare="spearman")
    assert rs.compare(X, Y, measure, precision="int24").value == rs.compare(X, Y, measure).value


def test_a_precision_that_does_not_exist():
    with pytest.raises(OptionError, match="int24"):
        rs.PairedMoments(3, 3, precision="int16")


WITHOUT_DECOMPOSITION = (
    "LinearCKA",
    "LinearCKA(debiased=True)",
    "RV2",
    "RSA(metric='sqeuclidean', compare='pearson', method='closed')",
    "RSA(metric='cosine', compare='pearson', method='closed')",
    "RSA(metric='correlation', compare='cosine', method='closed')",
    "RSA(metric='dot', compare='pearson', method='closed')",
)


@pytest.mark.parametrize("isa", _core.available_isas())
def test_one_hash_for_all_machines(isa, monkeypatch):
    """Of the sums, and of the scores that need no decomposition, for rows that are made of integers.

    Whole sums and sums that were merged, at different shifts.
    """
    monkeypatch.setenv("PYREPSIM_ISA", isa)
    X, Y = exact_rows(700, 21, 1), exact_rows(700, 33, 2)
    digest = hashlib.sha256()
    for transform in TRANSFORMS:
        sums = arrays_of([(X, Y)], transform)
        for name in sorted(sums):
            digest.update(np.ascontiguousarray(sums[name], "<f8").tobytes())
    merged = [rs.PairedMoments(21, 33, transforms=TRANSFORMS, precision="int24") for _ in range(2)]
    merged[0].update(X[:400], Y[:400])
    merged[1].update(X[400:], Y[400:])
    merged[0].merge(merged[1])
    for name in WITHOUT_DECOMPOSITION:
        measure = rs.parse_measure(name)
        for value in (rs.compare(X, Y, measure, precision="int24").value, measure.score(merged[0]).value):
            digest.update(np.float64(value).tobytes())
    assert digest.hexdigest()[:16] == HASH


HASH = "4a4c8fad1dbb169e"

"""Rows of one direction: cosine, angular and correlation distances are 0 up to rounding, which is never scored."""

from __future__ import annotations

import re
from dataclasses import fields
from functools import cache

import ml_dtypes
import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.backends import get_backend
from pyrepsim.backends.directions import _unit_rows, any_direction, shared_direction
from pyrepsim.core.errors import DegenerateError
from pyrepsim.measures import MomentMeasure, all_measures
from pyrepsim.measures.base import Invariance
from pyrepsim.measures.neighbour_lists import NeighbourMeasure
from pyrepsim.pairwise import METRICS
from tests.helpers import references_comparators as comparators
from tests.helpers import references_neighbours as neighbours
from tests.helpers import references_pairwise as pairwise
from tests.helpers.backends import EVERY

TYPES = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16, "float32": np.float32, "float64": np.float64}
COMPARE = ("pearson", "spearman", "rho-a", "kendall", "tau-a", "cosine", "cosine_cov", "corr_cov", "euclidean")
DIRECTIONS = ("cosine", "correlation", "angular")


def _variants(kind: type[rs.Measure]) -> list[rs.Measure]:
    """The measure with each metric that it has, and RSA with each comparison and method."""
    small = {"k": 3} if "k" in {option.name for option in fields(kind)} else {}
    if kind is rs.RSA:
        return [
            rs.RSA(metric=metric, compare=compare, method=method)
            for metric in METRICS
            for compare in COMPARE
            for method in ("auto", "tiles")
            if not (metric == "dot" and compare.endswith("_cov"))
        ]
    return [kind(metric=metric, **small) for metric in getattr(kind, "metrics", ())] or [kind(**small)]


EVERY_MEASURE = [measure for kind in all_measures().values() for measure in _variants(kind)]


def _metric(measure: rs.Measure) -> str:
    """The metric of the distances that a measure compares, or "" if it compares none."""
    if isinstance(measure, NeighbourMeasure):
        return measure.list_metric
    return measure.metric if isinstance(measure, rs.RSA) else ""


NEEDS_DIRECTIONS = [measure for measure in EVERY_MEASURE if _metric(measure) in DIRECTIONS]
FEW = [
    *(rs.RSA(metric=metric, compare=compare) for metric in DIRECTIONS for compare in ("pearson", "spearman")),
    rs.RSA(method="tiles"),
    rs.RSA(sample=3),
    rs.MutualKNN(k=2),
    rs.MutualKNN(k=2, metric="correlation"),
]


def _one_direction(n: int, d: int, *, offset: float = 0.0, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng([seed, n, d])
    return rng.uniform(0.5, 3, (n, 1)) * rng.standard_normal((1, d)) + offset * rng.standard_normal((n, 1))


def _value(measure: rs.Measure, x: np.ndarray, y: np.ndarray, **options) -> float | None:
    """The value, or None if it is refused."""
    try:
        return float(rs.compare(x, y, measure, **options))
    except DegenerateError:
        return None


@pytest.mark.parametrize("measure", EVERY_MEASURE, ids=str)
def test_no_measure_scores_the_rounding_of_one_direction(measure):
    """Refused, or a number that does not depend on how rows round when they are scaled."""
    x, y = _one_direction(30, 16), np.random.default_rng(1).standard_normal((30, 5))
    if not measure.invariant_x & Invariance.SCALING:
        assert np.isfinite(_value(measure, x, y))
        return
    values = [_value(measure, x * scale, y) for scale in (1.0, 3.0, 0.7, 1 / 3, 8.0, 2.0**-20)]
    if _metric(measure) in DIRECTIONS or values[0] is None:
        assert values == [None] * 6
    else:
        assert np.ptp(np.array(values, float)) <= 1e-6 * max(1.0, abs(values[0]))
        exact = [values[0], *values[4:]]  # powers of two
        assert np.ptp(exact) <= (0 if _metric(measure) != "" else 1e-12) * max(1.0, abs(values[0]))


@pytest.mark.parametrize("measure", NEEDS_DIRECTIONS, ids=str)
def test_the_message_names_layer_and_metric(measure):
    y = np.random.default_rng(1).standard_normal((30, 5))
    for x, z, label in ((_one_direction(30, 16), y, "X"), (y, _one_direction(30, 16), "Y")):
        with pytest.raises(DegenerateError, match=f"whose {_metric(measure)} distances .* rows of {label} have one"):
            rs.compare(x, z, measure)


@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("d", [2, 5, 768])
@pytest.mark.parametrize("n", [3, 30, 300])
def test_stored_rows_of_one_direction_are_refused(n, d, name):
    y = np.random.default_rng(1).standard_normal((n, 4))
    for offset in (0.0, 50.0):
        for scale in (1e-3, 1.0, 0.7, 1e2) if name == "float16" else (1e-3, 0.7, 1e6):
            x = (_one_direction(n, d, offset=offset) * scale).astype(TYPES[name])
            for measure in FEW:
                if not offset or _metric(measure) == "correlation":
                    assert _value(measure, x, y) is None, (measure, offset, scale)


def test_many_rows_by_histograms(monkeypatch):
    monkeypatch.setattr("pyrepsim.pairwise.ranks.IN_MEMORY_ROWS", 1000)
    x, y = _one_direction(5000, 8).astype(np.float32), np.random.default_rng(1).standard_normal((5000, 3))
    for measure in (*FEW, rs.RSA(compare="kendall")):
        if _metric(measure) != "correlation":
            assert _value(measure, x, y) is None


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("precision", ["fp32", "fp64"])
def test_on_every_backend(backend, precision):
    x, y = _one_direction(12, 8), np.random.default_rng(1).standard_normal((12, 4))
    for measure in FEW:
        assert _value(measure, x, y, backend=backend, precision=precision) is None
        assert _value(measure, y[:, ::-1], y, backend=backend, precision=precision) is not None


@pytest.mark.parametrize("measure", FEW, ids=str)
def test_single_rows_that_differ_in_size_or_are_equal(measure, rng):
    y = rng.standard_normal((20, 4))
    x = _one_direction(20, 8)
    denormal, equal = x.copy(), x.copy()
    denormal[3] *= 5e-322 / np.abs(x[3]).max()
    equal[:12] = equal[0]
    scaled = x * 10.0 ** rng.uniform(-3, 6, (20, 1))
    for rows in (denormal, equal, scaled):
        assert _value(measure, rows, y) is None
    other = x.copy()  # one row of another direction is enough
    other[7, 2] += 0.01
    if getattr(measure, "sample", None) is None:
        assert _value(measure, other, y) is not None


def test_one_feature_and_opposite_directions(rng):
    y = rng.standard_normal((20, 4))
    positive, signs = rng.uniform(1, 2, (20, 1)), rng.choice([-1.0, 1.0], (20, 1))
    assert _value(rs.RSA(), positive, y) is None
    assert _value(rs.RSA(), positive * signs, y) is not None
    assert _value(rs.RSA(method="tiles"), positive * signs, y) is not None


def test_euclidean_distances_of_one_direction_are_valid():
    x, y = _one_direction(40, 16), np.random.default_rng(1).standard_normal((40, 5))
    for measure, metric, compare in (
        (rs.RSA(metric="euclidean"), "euclidean", "pearson"),
        (rs.RSA(metric="sqeuclidean"), "sqeuclidean", "pearson"),
        (rs.RSA(metric="euclidean", compare="spearman"), "euclidean", "spearman"),
    ):
        a, b = (pairwise.condensed(pairwise.distances(side, metric)) for side in (x, y))
        expected = comparators.RDM_COMPARATORS[compare](a, b)
        value = rs.compare(x, y, measure, precision="fp64").value
        assert abs(value - expected) < 1e-10
        assert rs.compare(x * 2.0**7, y, measure, precision="fp64").value == value


@cache
def _nearly(times: float, offset: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows of nearly one direction: each feature differs by up to `times` the bound of its rounding."""
    x = _one_direction(60, 24, offset=offset)
    transform = "unit_centred" if offset else "unit"
    _, bound = _unit_rows(x, transform)
    rng = np.random.default_rng(5)
    length = np.linalg.norm(x - (x.mean(axis=1, keepdims=True) if offset else 0.0), axis=1, keepdims=True)
    apart = x + times * bound * rng.uniform(-1, 1, x.shape) * length
    return apart, rng.standard_normal((60, 5))


@pytest.mark.parametrize("precision", ["fp32", "fp64"])
@pytest.mark.parametrize(("metric", "offset"), [("cosine", 0.0), ("angular", 0.0), ("correlation", 4.0)])
def test_directions_that_differ_by_more_are_compared(metric, offset, precision):
    """100 times the bound of b: distances have relative errors of at most about 1/50."""
    x, y = _nearly(100, offset)
    a, b = (pairwise.condensed(pairwise.distances(side, metric)) for side in (x, y))
    for compare in ("pearson", "spearman", "kendall", "cosine"):
        expected = comparators.RDM_COMPARATORS[compare](a, b)
        for method in ("auto", "tiles") if precision == "fp64" else ("tiles",):  # float32 sums refuse such small rows
            measure = rs.RSA(metric=metric, compare=compare, method=method)
            assert abs(rs.compare(x, y, measure, precision=precision).value - expected) < 0.02
    if metric != "angular":
        shared = rs.compare(x, y, rs.MutualKNN(k=5, metric=metric), precision=precision).value
        assert abs(shared - neighbours.mutual_knn(x, y, 5, metric)) < 0.05
    for measure in FEW:
        if _metric(measure) == metric:
            assert _value(measure, _nearly(0.25, offset)[0], y, precision=precision) is None


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("name", TYPES)
@pytest.mark.parametrize("transform", ["unit", "unit_centred"])
def test_the_bound_holds(transform, name, backend):
    """Computed rows of one direction, stored with two roundings, are within b of the exact direction."""
    rng = np.random.default_rng(8)
    worst = 0.0
    for d in (2, 16, 400):
        v = rng.standard_normal(d).astype(np.longdouble)
        s = rng.uniform(0.5, 2, (50, 1)).astype(np.longdouble)
        o = rng.standard_normal((50, 1)) if transform == "unit_centred" else np.zeros((50, 1))
        half = (s * v + o).astype(np.float64).astype(TYPES[name])
        stored = (half.astype(np.float64) * 0.7).astype(TYPES[name])
        exact = v - v.mean() if transform == "unit_centred" else v
        exact = exact / np.sqrt(np.sum(exact * exact))
        y, bound = _unit_rows(stored, transform)
        assert shared_direction(stored, transform, any_direction(d)) is not None
        engine = get_backend(backend)
        computed = y if backend == "cpu" else engine.transformed(stored, transform)
        assert (np.abs(computed - exact) <= bound).all()
        worst = max(worst, float(np.max(np.abs(computed - exact) / bound)))
    assert worst > 0.02  # and is not far too large


def test_parts_blocks_and_files_agree(tmp_path):
    """States of parts of the rows know a common direction, however they are merged, saved and resampled."""
    x, y = _one_direction(600, 6), np.random.default_rng(1).standard_normal((600, 4))
    mixed = x.copy()
    mixed[:, 0] += np.where(np.arange(600) < 300, 0.0, 0.5)[:]  # each half has one direction
    for rows, shared in ((x, True), (mixed, False)):
        whole = rs.MomentsSet([6, 4], [(0, 1)], transforms=("raw", "unit"))
        whole.update([rows[:300], y[:300]])
        whole.save(tmp_path / "half.npz")
        resumed = rs.MomentsSet([6, 4], [(0, 1)], transforms=("raw", "unit"))
        resumed.restore(tmp_path / "half.npz")
        assert resumed.side(0, "unit").one_direction
        assert not resumed.side(0, "raw").one_direction
        other = rs.MomentsSet([6, 4], [(0, 1)], transforms=("raw", "unit"))
        other.update([rows[300:], y[300:]])
        for moments in (whole, resumed):
            moments.merge(other)
            assert moments.side(0, "unit").one_direction is shared
            assert not moments.side(1, "unit").one_direction
        whole.save(tmp_path / "whole.npz")
        again = rs.MomentsSet([6, 4], [(0, 1)], transforms=("raw", "unit"))
        again.restore(tmp_path / "whole.npz")
        assert again.side(0, "unit").one_direction is shared
    for plan in (rs.Jackknife(blocks=4), rs.Bootstrap(blocks=4, n_resamples=20)):
        with pytest.raises(DegenerateError, match="one direction"):
            rs.compare(x, y, rs.RSA(), interval=plan)
    with pytest.raises(DegenerateError, match="every resample.*one direction"):
        rs.compare(mixed, y, rs.RSA(), interval=rs.Jackknife(blocks=2))


def test_one_layer_of_many_is_named(tmp_path, rng):
    layers = {f"layer.{i}": rng.standard_normal((50, 8)).astype(np.float16) for i in range(3)}
    for name, rows in (("x", _one_direction(50, 8).astype(np.float16)), ("y", layers["layer.1"])):
        rs.write_store(tmp_path / name, {**layers, "layer.1": rows})
    for measure in (rs.RSA(), rs.RSA(method="tiles"), rs.RSA(compare="kendall"), rs.MutualKNN()):
        for score in rs.compare(rs.open_store(tmp_path / "x"), rs.open_store(tmp_path / "y"), measure, layers="all"):
            assert np.isnan(score.value) == (score.layer_x == "layer.1")
            if np.isnan(score.value):
                assert re.search(r"all rows of layer\.1( of X)? have one direction", score.details["undefined"])


def test_streams_know_a_common_direction():
    x, y = _one_direction(300, 6), np.random.default_rng(1).standard_normal((300, 4))
    stream = rs.StreamingComparison({"a": 6}, {"a": 4}, [rs.RSA(), rs.LinearCKA()])
    for start in range(0, 300, 100):
        stream.update({"a": x[start : start + 100]}, {"a": y[start : start + 100]})
    with pytest.raises(DegenerateError, match="all rows of a have one direction"):
        stream.scores()


def test_measures_of_moments_declare_their_transform():
    """A new measure of unit rows must refuse rows of one direction: it is among the measures tested above."""
    declared = [m for m in EVERY_MEASURE if isinstance(m, MomentMeasure) and m.transform.startswith("unit")]
    assert declared
    assert {str(m) for m in declared} <= {str(m) for m in NEEDS_DIRECTIONS}


@pytest.mark.parametrize("metric", DIRECTIONS)
def test_distances_and_neighbours_of_one_direction_are_ties(metric, rng):
    x = _one_direction(20, 8)
    for precision in ("fp32", "fp64"):
        assert not rs.pdist(x, metric, precision=precision).any()
        assert not rs.cdist(x[:5], 3.3 * x[5:], metric, precision=precision).any()
        distances, indices = rs.knn(x, 2, metric, precision=precision)
        assert indices[:3].tolist() == [[1, 2], [0, 2], [0, 1]]
        assert not distances.any()
        assert rs.cdist(x[:5], rng.standard_normal((4, 8)), metric, precision=precision).min() > 1e-3
    with pytest.raises(DegenerateError, match="other than zero"):
        rs.compare_rdms(rs.pdist(x, metric), rng.uniform(size=190))


def test_a_row_that_is_constant_up_to_rounding_has_no_correlation(rng):
    x, y = rng.standard_normal((30, 12)), rng.standard_normal((30, 4))
    x[7] = 0.1 * (1 + 2.0**-52 * rng.integers(-2, 3, 12))
    x[9, :2] = 1.0  # equal first features alone
    for measure in NEEDS_DIRECTIONS:
        if _metric(measure) == "correlation":
            with pytest.raises(DegenerateError, match="row 7 of X is constant across features"):
                rs.compare(x, y, measure)
    x[7] = 0.1 * (1 + 1e-9 * rng.standard_normal(12))
    a, b = (pairwise.condensed(pairwise.distances(side, "correlation")) for side in (x, y))
    for method in ("auto", "tiles"):
        value = rs.compare(x, y, rs.RSA(metric="correlation", method=method), precision="fp64").value
        assert abs(value - comparators.pearson(a, b)) < 1e-6

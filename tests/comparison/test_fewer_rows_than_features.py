"""With fewer rows than features, n x n matrices give the values of the d x d sums, by a rule on shapes alone."""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.comparison import comparing
from pyrepsim.core.errors import DegenerateError, NonFiniteError
from pyrepsim.measures import Invariance, MomentMeasure, all_measures
from tests.helpers.data import scaled_columns

MEASURES = [
    rs.LinearCKA(),
    rs.LinearCKA(debiased=True),
    rs.RV2(),
    rs.Procrustes(),
    rs.ShapeMetric(),
    rs.ShapeMetric(alpha=0.5),
    rs.SVCCA(),
    rs.SVCCA(components=5),
    rs.CCA(ridge=1e-2),
    rs.GULP(),
    rs.RSA(),
    rs.RSA(metric="correlation"),
    rs.RSA(metric="dot"),
    rs.RSA(metric="dot", compare="cosine"),
    rs.RSA(metric="cosine", compare="cosine_cov"),
    rs.RSA(metric="sqeuclidean", compare="cosine"),
    rs.RSA(metric="sqeuclidean", compare="corr_cov"),
]


def pair(n, d_x, d_y, shared=20, noise=1.0, offset=0.0):
    rng = np.random.default_rng([n, d_x, d_y])
    latent = rng.standard_normal((n, shared))
    sides = (latent @ rng.standard_normal((shared, d)) + noise * rng.standard_normal((n, d)) for d in (d_x, d_y))
    return tuple(side + offset * rng.standard_normal(side.shape[1]) for side in sides)


PAIRS = {
    "few rows": pair(40, 150, 120),
    "one side narrow": pair(40, 150, 25),
    "rank 10": pair(40, 150, 120, shared=10, noise=0.0),
    "large means": pair(40, 150, 120, offset=1e4),
    "units": tuple(scaled_columns(side, 4.0) for side in pair(40, 150, 120)),
    "five rows": pair(5, 30, 20),
    "float32": tuple(side.astype(np.float32) for side in pair(40, 150, 120)),
}


def from_sums(measure, X, Y):
    """The score of the d x d sums."""
    moments = rs.PairedMoments(X.shape[1], Y.shape[1], transforms=(measure.transform,))
    moments.update(X, Y)
    return measure.score(moments)


@pytest.fixture
def routes(monkeypatch):
    """The routes that were taken."""
    taken = []

    def watch(name):
        run = getattr(comparing, name)

        def watched(*args, **options):
            taken.append(name)
            return run(*args, **options)

        monkeypatch.setattr(comparing, name, watched)

    watch("tile_scores")
    watch("gram_scores")
    watch("moment_scores")
    return taken


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_values_are_those_of_the_sums(measure, name, routes):
    X, Y = PAIRS[name]
    score, expected = rs.compare(X, Y, measure), from_sums(measure, X, Y)
    assert routes == ["tile_scores" if measure.reads == "products" else "gram_scores"]
    # numbers with a mean of 1e4 of their standard deviations have 12 digits of it
    tolerance = 1e-12 if name != "large means" else 1e-10
    assert abs(score.value - expected.value) <= tolerance * max(1.0, abs(expected.value))
    assert set(score.details) == set(expected.details)
    for key, value in expected.details.items():
        if not isinstance(value, str | np.ndarray):
            np.testing.assert_allclose(score.details[key], value, rtol=1e-6, atol=1e-9, err_msg=key)


@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_both_sides_equal_or_exchanged(measure):
    X, Y = PAIRS["few rows"]
    assert rs.compare(X, X, measure).value == pytest.approx(from_sums(measure, X, X).value, abs=2e-7)
    if measure.symmetric:
        assert rs.compare(X, Y, measure).value == pytest.approx(rs.compare(Y, X, measure).value, rel=1e-12)


def test_the_rule_knows_shapes_and_arguments_only(routes):
    measures = [rs.LinearCKA(), rs.PWCCA()]
    for n, d_x, d_y, expected in (
        (49, 50, 49, ["tile_scores", "moment_scores"]),  # PWCCA weighs single features
        (50, 50, 50, ["moment_scores"]),
        (50, 81, 20, ["tile_scores", "moment_scores"]),
        (60, 80, 40, ["moment_scores"]),
    ):
        for n_threads in (1, 3):
            routes.clear()
            rs.compare(*pair(n, d_x, d_y), measures, n_threads=n_threads)
            assert routes == expected


def test_only_measures_without_axes_take_it():
    for kind in all_measures().values():
        if issubclass(kind, MomentMeasure) and kind().from_gram:
            assert Invariance.ORTHOGONAL in kind().invariant_x & kind().invariant_y
    assert not rs.MaxCorrelation().from_gram
    assert not rs.CCA().from_gram


@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_bits_do_not_depend_on_threads_and_memory(measure):
    X, Y = PAIRS["few rows"]
    expected = rs.compare(X, Y, measure, n_threads=1)
    for x in (np.asfortranarray(X), np.repeat(X, 2, axis=1)[:, ::2]):
        for n_threads in (1, 3):
            assert rs.compare(x, Y, measure, n_threads=n_threads) == expected


@pytest.mark.parametrize("backend", ["cpu", "reference"])
def test_every_backend(backend):
    X, Y = PAIRS["few rows"]
    for score in rs.compare(X, Y, [rs.LinearCKA(), rs.Procrustes()], backend=backend):
        expected = from_sums(rs.parse_measure(score.measure), X, Y)
        assert score.value == pytest.approx(expected.value, rel=1e-11)
        assert score.provenance["backend"] == backend


def test_float32_sums():
    X, Y = PAIRS["float32"]
    for measure in (rs.LinearCKA(), rs.LinearCKA(debiased=True), rs.Procrustes()):
        score = rs.compare(X, Y, measure, precision="fp32")
        assert score.value == pytest.approx(from_sums(measure, X, Y).value, abs=1e-5)
        assert score.provenance["precision"] == "fp32"


def test_stores_of_few_rows(tmp_path, routes):
    layers = [{f"layer.{k}": side.astype(np.float32) for k, side in enumerate(pair(30, 60 + s, 90))} for s in (0, 1)]
    stores = [rs.write_store(tmp_path / f"{s}", layers[s]) for s in (0, 1)]
    scores = rs.compare(*stores, ["LinearCKA", "Procrustes", "CCA"], layers="all")
    assert routes == ["tile_scores", "gram_scores", "moment_scores"]
    assert [score.measure for score in scores] == 4 * ["LinearCKA", "Procrustes", "CCA"]
    for score in scores.select(measure=["LinearCKA", "Procrustes"]):
        X, Y = (np.asarray(store[name]) for store, name in zip(stores, (score.layer_x, score.layer_y), strict=True))
        assert score.value == rs.compare(X, Y, score.measure).value
    routes.clear()
    rs.compare(*stores, "LinearCKA", checkpoint=tmp_path / "sums")
    assert routes == ["moment_scores"]
    itself = rs.compare(stores[0], stores[0], "LinearCKA", layers="all")
    assert itself.matrix()[2].diagonal().tolist() == [1.0, 1.0]


def test_pairs_of_one_group_take_different_routes(tmp_path, routes):
    # a measure that needs the matrices of a pair whole; sums of products come from tiles for the whole group
    rng = np.random.default_rng(0)
    stores = [
        rs.write_store(tmp_path / name, {"wide": rng.standard_normal((30, 90)), "narrow": rng.standard_normal((30, 9))})
        for name in ("a", "b")
    ]
    scores = rs.compare(*stores, ["LinearCKA", "Procrustes"], layers="all")
    assert routes == ["tile_scores", "gram_scores", "moment_scores"]
    for score in scores:
        X, Y = (np.asarray(store[name]) for store, name in zip(stores, (score.layer_x, score.layer_y), strict=True))
        assert score.value == pytest.approx(from_sums(rs.parse_measure(score.measure), X, Y).value, rel=1e-12)


@pytest.mark.parametrize("measure", [rs.LinearCKA(), rs.RSA(), rs.RSA(metric="correlation")], ids=str)
def test_bad_rows(measure):
    X, Y = (side.copy() for side in PAIRS["few rows"])

    def changed(value, at):
        Z = X.copy()
        Z[at] = value
        return Z

    with pytest.raises(NonFiniteError, match="X must be finite: got nan at row 3, feature 2"):
        rs.compare(changed(np.nan, (3, 2)), Y, measure)
    with pytest.raises(DegenerateError):
        rs.compare(np.ones_like(X), Y, measure)
    with pytest.raises(DegenerateError, match="at least"):
        rs.compare(X[:1], Y[:1], measure)
    if measure.transform != "raw":
        with pytest.raises(DegenerateError, match="row 3 of X"):
            rs.compare(changed(0.0, 3), Y, measure)
        with pytest.raises(DegenerateError, match="all rows of X have one"):
            rs.compare(np.outer(np.arange(1.0, 41.0), X[0]), Y, measure)
    else:
        for size in (1e-200, 1e120):
            with pytest.raises(NonFiniteError, match="Rescale them"):
                rs.compare(X * size, Y, measure)


def test_rows_that_vary_in_few_features():
    X, Y = (side.copy() for side in PAIRS["few rows"])
    X[:, 5:] = 3.7
    for measure in (rs.LinearCKA(), rs.Procrustes(), rs.CCA(ridge=0.1)):
        assert rs.compare(X, Y, measure).value == pytest.approx(from_sums(measure, X, Y).value, rel=1e-12)
    assert rs.compare(X, Y, rs.CCA(ridge=0.1)).details["constant_features_x"] == X.shape[1] - 5


DEBIASED = [
    rs.LinearCKA(debiased=True),
    rs.KernelCKA(debiased=True),
    rs.DistanceCorrelation(debiased=True),
    rs.SVCCA(components=3),
]


@pytest.mark.parametrize("measure", [*(kind() for kind in all_measures().values()), *DEBIASED], ids=str)
def test_measures_that_few_rows_bias_say_so(measure, caplog):
    """Those of which unrelated rows have nearly the value of equal rows, and no other; debiased ones are low."""
    rng = np.random.default_rng(0)
    X, Y = rng.standard_normal((50, 400)), rng.standard_normal((50, 400))
    score = rs.compare(X, Y, measure)
    assert score.details.get("fewer_rows_than_features", False) == measure.biased_by_few_rows
    assert len(caplog.records) == measure.biased_by_few_rows
    if measure.biased_by_few_rows:
        assert (score.value < 0.4) if measure.is_distance else (score.value > 0.7)
    elif measure in DEBIASED:
        assert abs(score.value) < 0.3
    caplog.clear()
    many = rs.compare(X[:, :10], Y[:, :10], measure)
    assert "fewer_rows_than_features" not in many.details
    assert not caplog.records

"""Measures that read rows: stores give the same as arrays, tiles serve many pairs, all layers use the same samples."""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.comparison.sources import StoreSource
from pyrepsim.core.errors import DegenerateError, NonFiniteError, OptionError, ShapeError
from pyrepsim.measures import RowMeasure
from pyrepsim.pairwise import PairwiseEngine
from tests.helpers.backends import EVERY

from .conftest import LAYERS

MEASURES = [
    rs.RSA(metric="euclidean"),
    rs.RSA(metric="manhattan", compare="spearman"),
    rs.RSA(compare="cosine_cov", method="tiles"),
    rs.KernelCKA(),
    rs.DistanceCorrelation(debiased=True),
    rs.MutualKNN(),
    rs.SecondOrderCosine(k=4),
    rs.Concentricity(),
]


def content(store, layer):
    return np.asarray(store[layer])[store.columns.mask("content")]


@pytest.fixture(scope="module")
def everything(stores):
    return rs.compare(*stores, MEASURES, layers="all")


def test_stores_give_what_their_arrays_give(stores, everything):
    base, tuned = stores
    for name in LAYERS[1:]:
        expected = rs.compare(content(base, name), content(tuned, name), MEASURES)
        scores = everything.select(layer_x=name, layer_y=name)
        assert [s.value for s in scores] == [s.value for s in expected]
        assert [s.n_samples for s in scores] == [2700] * len(MEASURES)


def test_tiles_of_many_layers_equal_single_pairs(stores, everything):
    same = rs.compare(*stores, MEASURES)
    assert len(everything) == 9 * len(MEASURES)
    seen = {(s.layer_x, s.layer_y, s.measure): s.value for s in everything}
    assert all(seen[s.layer_x, s.layer_y, s.measure] == s.value for s in same)
    assert all(s.details == seen_.details for s, seen_ in zip(same[:1], everything[:1], strict=True))


def test_measures_of_both_kinds_keep_their_order(stores):
    mixed = [rs.DistanceCorrelation(), rs.LinearCKA(), rs.RSA(metric="angular"), rs.SVCCA()]
    scores = rs.compare(*stores, mixed)
    assert [(s.layer_x, s.measure) for s in scores] == [(name, str(m)) for name in LAYERS for m in mixed]
    assert [s.provenance["precision"] for s in scores[:4]] == ["fp32", "fp64", "fp32", "fp64"]
    assert scores[0].provenance["model_y"] == "tuned"
    exact = rs.compare(*stores, mixed, precision="fp64")
    assert {s.provenance["precision"] for s in exact} == {"fp64"}
    np.testing.assert_allclose([s.value for s in scores], [s.value for s in exact], rtol=1e-6)


@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_backends_agree(measure, rng):
    X, Y = rng.standard_normal((70, 9)) + 4, rng.standard_normal((70, 6))
    Y[:, :5] += X[:, :5]
    cpu, reference = (rs.compare(X, Y, measure, backend=name, precision="fp64").value for name in ("cpu", "reference"))
    assert cpu == pytest.approx(reference, rel=1e-10)
    assert rs.compare(X, Y, measure).value == pytest.approx(reference, rel=2e-6, abs=1e-6)


def test_same_bits_for_any_number_of_threads(rng):
    X, Y = rng.standard_normal((700, 20)), rng.standard_normal((700, 12))
    scores = [rs.compare(X, Y, MEASURES, n_threads=n) for n in (1, 2, 5)]
    assert [s.value for s in scores[0]] == [s.value for s in scores[1]] == [s.value for s in scores[2]]


def test_a_sample_is_the_same_rows_in_every_layer(stores):
    base, tuned = stores
    measure = rs.RSA(metric="euclidean", sample=200, draws=3, seed=7)
    draws = measure.chosen_rows(2700, None)
    assert len({d.tobytes() for d in draws}) == 3
    for score in rs.compare(base, tuned, measure, layers="all"):
        x, y = content(base, score.layer_x), content(tuned, score.layer_y)
        each = [rs.compare(x[d], y[d], rs.RSA(metric="euclidean")).value for d in draws]
        np.testing.assert_array_equal(score.details["draws"], each)
        assert score.value == np.mean(each)
        assert score.details["spread"] == np.std(each, ddof=1)
        assert score.n_samples == 200


@pytest.mark.parametrize("options", [{}, {"metric": "sqmahalanobis"}, {"metric": "dot"}], ids=str)
def test_a_sample_in_closed_form_is_the_closed_form_of_the_sample(options, rng):
    X, Y = rng.standard_normal((300, 9)) + 1, rng.standard_normal((300, 6)) + 1
    Y[:, :5] += X[:, :5]
    (rows,) = rs.RSA(sample=120, **options).chosen_rows(300, None)
    sampled = rs.compare(X, Y, rs.RSA(sample=120, **options))
    assert sampled.details["method"] == "closed"
    expected = rs.compare(X[rows], Y[rows], rs.RSA(**options)).value
    assert sampled.value == pytest.approx(expected, rel=1e-12)
    tiles = rs.compare(X, Y, rs.RSA(sample=120, method="tiles", **options), precision="fp64")
    assert tiles.value == pytest.approx(expected, rel=1e-9)


def test_a_cap_on_the_rows_of_a_document(stores):
    base, tuned = stores
    measure = rs.RSA(sample=250, per_document=1)
    documents = base.columns["doc_id"][base.columns.mask("content")]
    (rows,) = measure.chosen_rows(2700, documents)
    assert len(rows) == len(set(documents[rows].tolist())) == 250
    assert (np.diff(rows) > 0).all()
    x, y = content(base, "layer.0")[rows], content(tuned, "layer.0")[rows]
    score = rs.compare(base["layer.0"], tuned["layer.0"], measure)
    assert score.value == pytest.approx(rs.compare(x, y, rs.RSA()).value, rel=1e-12)
    with pytest.raises(OptionError, match=r"300 with at most 1 of each document"):
        rs.compare(base, tuned, rs.RSA(sample=301, per_document=1))
    with pytest.raises(OptionError, match="arrays have none"):
        rs.compare(x, y, rs.RSA(sample=50, per_document=1))


def test_invalid_samples_are_refused(rng):
    X = rng.standard_normal((50, 4))
    with pytest.raises(OptionError, match="got 50 rows"):
        rs.compare(X, X, rs.RSA(sample=51))
    for options in ({"draws": 2}, {"seed": 1}, {"per_document": 3}):
        with pytest.raises(OptionError, match="give sample="):
            rs.RSA(**options)
    for options in ({"sample": 2}, {"sample": 9, "draws": 0}, {"sample": 9, "seed": -1}, {"sample": 9.5}):
        with pytest.raises(OptionError, match="whole number|of type int"):
            rs.RSA(**options)


def test_draws_do_not_depend_on_their_number():
    few, many = (rs.RSA(sample=30, draws=n, seed=2).chosen_rows(100, None) for n in (2, 5))
    assert all((a == b).all() for a, b in zip(few, many, strict=False))


@pytest.mark.parametrize(
    ("measure", "used"),
    [
        (rs.RSA(sample=50), "fp64"),
        (rs.RSA(sample=50, metric="sqmahalanobis"), "fp64"),
        (rs.RSA(sample=50, method="tiles"), "fp32"),
        (rs.RSA(compare="spearman"), "fp64"),
        (rs.Concentricity(), "fp64"),
        (rs.MetricSpaceMagnitude(), "fp64"),
        (rs.Uniformity(), "fp32"),
        (rs.MutualKNN(), "fp32"),
    ],
    ids=str,
)
def test_the_precision_recorded_is_the_one_used(measure, used, rng):
    X, Y = rng.standard_normal((90, 5)), rng.standard_normal((90, 4))
    assert rs.compare(X, Y, measure).provenance["precision"] == used


def test_options_that_contradict_each_other():
    with pytest.raises(OptionError, match="Use method='tiles'"):
        rs.RSA(metric="euclidean", method="closed")
    with pytest.raises(OptionError, match="zero diagonal"):
        rs.RSA(metric="dot", compare="corr_cov")
    with pytest.raises(OptionError, match="applies to spearman"):
        rs.RSA(exact=True)
    with pytest.raises(OptionError, match="bandwidth"):
        rs.KernelCKA(bandwidth="mean")
    with pytest.raises(OptionError, match="bandwidth='median'"):
        rs.KernelCKA(bandwidth=2.0, fraction=0.5)


def test_a_stream_keeps_no_rows():
    with pytest.raises(OptionError, match="reads all rows at once"):
        rs.StreamingComparison({"a": 4}, {"a": 4}, rs.KernelCKA())


def test_a_checkpoint_is_of_moments(stores, tmp_path):
    with pytest.raises(OptionError, match="reads rows"):
        rs.compare(*stores, rs.KernelCKA(), checkpoint=tmp_path / "c")
    mixed = [rs.LinearCKA(), rs.RSA(metric="euclidean", sample=100)]
    first = rs.compare(*stores, mixed, checkpoint=tmp_path / "c")
    assert first == rs.compare(*stores, mixed, checkpoint=tmp_path / "c")


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_degenerate_rows_are_named(measure, backend, rng):
    X = rng.standard_normal((20, 5))

    def refused(error, x, match, y=X):
        with pytest.raises(error, match=match):
            rs.compare(x, y[: len(x)], measure, backend=backend)

    refused(DegenerateError, X[:1], "at least two rows")
    refused(DegenerateError, np.ones((20, 5)), "every feature of X is constant")
    holed = X.copy()
    holed[7, 2] = np.nan
    refused(NonFiniteError, holed, "X must be finite: got nan at row 7, feature 2")
    refused(ShapeError, X[:9], "same number of rows", y=np.ones((8, 5)))
    if isinstance(measure, rs.RSA):
        refused(DegenerateError, X[:2], "at least 3 rows")
    if isinstance(measure, RowMeasure) and getattr(measure, "metric", "") == "cosine":
        holed[7] = 0
        refused(DegenerateError, holed, "row 7 of X is all zero")


@pytest.mark.parametrize("comparator", ["pearson", "spearman", "kendall", "corr_cov"])
def test_an_rdm_of_equal_entries_is_refused(comparator):
    corners = np.eye(8) * 3  # all equally far apart
    other = np.random.default_rng(0).standard_normal((8, 3))
    for x, y, name in ((corners, other, "X"), (other, corners, "Y")):
        with pytest.raises(DegenerateError, match=f"entries .*the RDM of {name} "):
            rs.compare(x, y, rs.RSA(metric="euclidean", compare=comparator))


@pytest.mark.parametrize("comparator", ["spearman", "kendall"])
def test_an_rdm_of_tied_entries_is_refused_by_histograms_too(comparator, monkeypatch):
    monkeypatch.setattr("pyrepsim.pairwise.ranks.IN_MEMORY_ROWS", 4)
    monkeypatch.setattr("pyrepsim.pairwise.ranks.JOINT_BINS", 8)
    corners, other = np.eye(8), np.random.default_rng(0).standard_normal((8, 3))
    with pytest.raises(DegenerateError, match="those of the RDM of Y are all tied"):
        rs.compare(other, corners, rs.RSA(metric="euclidean", compare=comparator))


def test_most_rows_equal_have_no_median_distance(rng):
    X = np.ones((20, 3))
    X[0] = 5
    with pytest.raises(DegenerateError, match="Give bandwidth a number"):
        rs.compare(X, rng.standard_normal((20, 3)), rs.KernelCKA())
    rs.compare(X, rng.standard_normal((20, 3)), rs.KernelCKA(bandwidth=1.0))


def test_a_layer_in_one_piece_is_not_copied(tmp_path, rng):
    rows = rng.standard_normal((400, 8)).astype(np.float16)
    store = rs.write_store(tmp_path / "s", {"layer.0": rows}, plan={"model": {"id": "m"}})
    source = StoreSource(store, store, tokens="all")
    whole = source.gather(0, "layer.0", None)
    assert not whole.flags.owndata
    np.testing.assert_array_equal(whole, rows)
    np.testing.assert_array_equal(source.gather(1, "layer.0", np.array([3, 5, 399])), rows[[3, 5, 399]])
    assert rs.compare(store["layer.0"], store["layer.0"], rs.KernelCKA(), tokens="all").value == 1.0


def test_the_progress_bar_shows_the_expected_time(stores, capfd):
    rs.compare(*stores, rs.KernelCKA(), layers=["layer.0"], progress=True)
    assert "a sweep of 2,700 rows x 2 layers takes about" in capfd.readouterr().err
    rs.compare(*stores, rs.KernelCKA(), layers=["layer.0"], progress=False)
    assert capfd.readouterr().err == ""


def test_rows_that_do_not_fit_into_memory_are_refused_before_reading(stores, monkeypatch):
    monkeypatch.setattr(PairwiseEngine, "packed_bytes", lambda *_: 2**60)
    monkeypatch.setattr(StoreSource, "gather", lambda *_: pytest.fail("rows were read"))
    with pytest.raises(ShapeError, match="must fit into memory"):
        rs.compare(*stores, rs.KernelCKA())


def test_a_measure_of_rows_has_no_score_from_moments():
    moments = rs.PairedMoments(3, 3)
    moments.update(np.eye(3), np.eye(3))
    with pytest.raises(OptionError, match="reads the rows"):
        rs.KernelCKA().score(moments)

"""CKA and RSA of rows of different documents: against sums over rows, without bias, and with intervals that hold."""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import DegenerateError, NonFiniteError, OptionError, ShapeError
from tests.helpers import references_documents as ref

METRICS = ("cosine", "correlation", "dot")


def clustered(sizes, seed, d=5, related=True):
    """Rows that resemble each other within documents, in any order, and their documents."""
    rng = np.random.default_rng(seed)
    documents = rng.permutation(np.repeat(rng.permutation(len(sizes)) * 3 + 7, sizes))
    place, n = np.searchsorted(np.unique(documents), documents), len(documents)
    x, y = (rng.standard_normal((len(sizes), d))[place] + 0.7 * rng.standard_normal((n, d)) + 0.5 for _ in "xy")
    return x, (x[:, : d - 1] + y[:, : d - 1] if related else y[:, : d - 1]), documents


def of_one_latent(sizes, seed, d=3):
    """Clustered rows whose features are noisy copies of one variable, as products of different features need."""
    x, y, documents = clustered(sizes, seed, d)
    weights = np.linspace(1, 2, d)
    return 0.3 * x + x[:, :1] * weights, 0.3 * y + x[:, :1] * weights[1:], documents


@pytest.fixture(params=[[1, 4, 2, 2, 3, 1, 5], [3] * 6, [1] * 9, [9, 1, 1, 1, 2]], ids=str)
def data(request):
    return clustered(request.param, 1)


def test_cka_is_that_of_sums_over_rows(data):
    x, y, documents = data
    score = rs.compare(x, y, rs.DocumentCKA(), documents=documents)
    assert score.value == pytest.approx(ref.document_cka(x - x.mean(axis=0), y - y.mean(axis=0), documents), abs=1e-11)
    assert score.details["n_documents"] == len(np.unique(documents))


@pytest.mark.parametrize("sizes", [[1, 2, 2, 3, 1], [1] * 7], ids=str)
def test_cka_of_sampled_features_is_that_of_pairs_of_features(sizes):
    x, y, documents = of_one_latent(sizes, 3)
    score = rs.compare(x, y, rs.DocumentCKA(sampled_features=True), documents=documents)
    expected = ref.cka_of_sampled_features(x - x.mean(axis=0), y - y.mean(axis=0), documents)
    assert score.value == pytest.approx(expected, abs=1e-11)
    assert score.value != pytest.approx(rs.compare(x, y, rs.DocumentCKA(), documents=documents).value, abs=0.01)


def test_few_sampled_features_do_not_bias_cka():
    """Features are drawn from a population in which the two sides share half of the variance."""
    rng = np.random.default_rng(0)
    documents = np.repeat(np.arange(60), 5)
    latent = rng.standard_normal((60, 6))[documents] + rng.standard_normal((300, 6))
    # features of X see latents 0 to 3, those of Y 2 to 5, with noise of their own: infinitely many have CKA 2 / 4
    values = {False: [], True: []}
    for _ in range(60):
        sides = [latent[:, k : k + 4] @ rng.standard_normal((4, 15)) + rng.standard_normal((300, 15)) for k in (0, 2)]
        for option, found in values.items():
            found.append(rs.compare(*sides, rs.DocumentCKA(sampled_features=option), documents=documents).value)
    grams = [latent[:, k : k + 4] for k in (0, 2)]
    truth = rs.compare(*grams, rs.DocumentCKA(), documents=documents).value
    mean, error = np.mean(values[True]), np.std(values[True]) / np.sqrt(60)
    assert abs(mean - truth) < 3 * error + 0.01
    assert np.mean(values[False]) < truth - 0.08


def test_sampled_features_have_no_order_or_scale(rng):
    x, y, documents = of_one_latent([3, 1, 4, 2, 6], 2)
    measure = rs.DocumentCKA(sampled_features=True)
    expected = rs.compare(x, y, measure, documents=documents).value
    moved = 3e5 * x[:, ::-1] + 7
    assert rs.compare(moved, y, measure, documents=documents).value == pytest.approx(expected, abs=1e-11)
    rotated = x @ np.linalg.qr(rng.standard_normal((3, 3)))[0]
    assert rs.compare(rotated, y, measure, documents=documents).value != pytest.approx(expected, abs=1e-3)
    # the bias of a few features is removed from both sides, so that a side with itself is above 1
    assert rs.compare(x, x, measure, documents=documents).value > 1


def test_the_jackknife_of_sampled_features_leaves_out_documents():
    x, y, documents = of_one_latent([3] * 6, 5)  # of equal documents, whose means do not matter
    measure = rs.DocumentCKA(sampled_features=True)
    details = rs.compare(x, y, measure, documents=documents, interval="Jackknife").details["interval"]
    expected = [
        rs.compare(x[documents != name], y[documents != name], measure, documents=documents[documents != name]).value
        for name in dict.fromkeys(documents)
    ]
    assert sorted(details["without_block"]) == pytest.approx(sorted(expected), abs=1e-11)


def test_one_sampled_feature_has_no_pairs(rng):
    x, y = rng.standard_normal((20, 1)), rng.standard_normal((20, 3))
    with pytest.raises(DegenerateError, match="at least 2 features: got 1"):
        rs.compare(x, y, rs.DocumentCKA(sampled_features=True))


@pytest.mark.parametrize("metric", METRICS)
def test_rsa_is_that_of_sums_over_rows(data, metric):
    x, y, documents = data
    score = rs.compare(x, y, rs.DocumentRSA(metric=metric), documents=documents)
    assert score.value == pytest.approx(ref.document_rsa(x, y, documents, metric), abs=1e-11)


def test_rows_without_documents_are_documents(rng):
    x = rng.standard_normal((40, 6))
    y = x[:, :4] + rng.standard_normal((40, 4))
    expected = rs.compare(x, y, rs.LinearCKA(debiased=True)).value
    assert rs.compare(x, y, rs.DocumentCKA()).value == pytest.approx(expected, abs=1e-12)
    assert rs.compare(x, x, rs.DocumentCKA()).value == 1.0


def test_names_and_order_of_rows_and_documents_do_not_matter(rng):
    x, y, documents = clustered([3, 1, 4, 2, 6], 2)
    order = rng.permutation(len(x))
    for measure in (rs.DocumentCKA(), rs.DocumentRSA()):
        expected = rs.compare(x, y, measure, documents=documents).value
        named = np.array([f"document {name}" for name in documents])
        found = rs.compare(x[order], y[order], measure, documents=named[order]).value
        assert found == pytest.approx(expected, abs=1e-12)
        assert found != pytest.approx(rs.compare(x, y, measure).value, abs=1e-3)


@pytest.mark.parametrize("measure", [rs.DocumentCKA(), *(rs.DocumentRSA(metric=metric) for metric in METRICS)], ids=str)
def test_values_without_each_block(measure):
    x, y, documents = clustered([3, 1, 4, 2, 6, 2, 5, 3], 3)
    for blocks in (8, 3):
        score = rs.compare(x, y, measure, documents=documents, interval=rs.Jackknife(blocks=blocks))
        assert score.value == rs.compare(x, y, measure, documents=documents).value
        # the documents of a block are those of successive first rows
        block_of = rs.moments.row_blocks(len(x), blocks, documents).of_row
        centred = x - x.mean(axis=0), y - y.mean(axis=0)
        for block, value in enumerate(score.details["interval"]["without_block"]):
            kept = block_of != block
            if isinstance(measure, rs.DocumentCKA):  # around the mean of all rows
                expected = ref.document_cka(centred[0][kept], centred[1][kept], documents[kept])
            else:
                expected = ref.document_rsa(x[kept], y[kept], documents[kept], measure.metric)
            assert value == pytest.approx(expected, abs=1e-10)
        assert score.details["interval"]["kind"] == "jackknife"


def test_layers_of_stores_have_their_documents(tmp_path):
    x, y, documents = clustered([3, 1, 4, 2, 6, 2], 4)
    columns = {"doc_id": documents, "position": np.arange(len(x)), "token_id": np.zeros(len(x), int)}
    stores = [
        rs.write_store(tmp_path / name, {"a": first, "b": second}, columns=columns)
        for name, first, second in (("x", x, x[:, ::-1] ** 2), ("y", y, y**3))
    ]
    measures = [rs.DocumentCKA(), rs.DocumentRSA()]
    scores = rs.compare(*stores, measures, layers="all", interval="Jackknife")
    assert len(scores) == 8
    for score in scores:
        rows = [np.asarray(store[name]) for store, name in zip(stores, (score.layer_x, score.layer_y), strict=True)]
        alone = rs.compare(*rows, score.measure, documents=documents, interval="Jackknife")
        assert (score.value, score.interval) == (alone.value, alone.interval)
        assert score.details["interval"]["blocks"] == 6
    same = rs.compare(stores[0], stores[0], measures, layers="all")
    assert [score.value for score in same if score.layer_x == score.layer_y] == [1.0] * 4


def test_documents_do_not_bias_it():
    """Unrelated rows in 30 documents. The negative control: pairs of rows within documents look alike."""
    measures = [rs.DocumentCKA(), rs.DocumentRSA(), rs.LinearCKA(debiased=True), rs.RSA()]
    values = []
    for seed in range(150):
        sizes = np.random.default_rng(500 + seed).integers(3, 20, 30)
        x, y, documents = clustered(sizes, seed, related=False)
        values.append([score.value for score in rs.compare(x, y, measures, documents=documents)])
    mean = np.mean(values, axis=0)
    error = np.std(values, axis=0) / np.sqrt(150)
    assert (np.abs(mean[:2]) < 3 * error[:2]).all()
    assert (mean[2:] > 5 * error[2:]).all()


def test_intervals_contain_the_true_value():
    """Rows x = u + e and y = x R + v + w, with u and v for each document: CKA of independent rows is known."""
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    scale = np.geomspace(1, 0.3, 6)
    within_x, with_y = 2 * np.diag(scale**2), 2 * np.diag(scale**2) @ turn
    of_y = turn.T @ within_x @ turn + 2 * np.diag(scale**2)
    true = np.sum(with_y**2) / np.sqrt(np.sum(within_x**2) * np.sum(of_y**2))
    hits = []
    for _ in range(150):
        documents = np.repeat(np.arange(40), rng.integers(3, 9, 40))
        u, v = (scale * rng.standard_normal((40, 6))[documents] for _ in "uv")
        e, w = (scale * rng.standard_normal((len(documents), 6)) for _ in "ew")
        x = u + e
        score = rs.compare(x, x @ turn + v + w, rs.DocumentCKA(), documents=documents, interval="Jackknife(blocks=40)")
        hits.append(score.interval[0] <= true <= score.interval[1])
    assert np.mean(hits) > 0.95 - 3 * np.sqrt(0.95 * 0.05 / 150)
    assert np.mean(hits) < 1


def test_any_layout_type_and_size(rng):
    x, y, documents = clustered([3, 1, 4, 2, 6], 2)
    for measure in (rs.DocumentCKA(), rs.DocumentRSA(), rs.DocumentRSA("dot")):
        expected = rs.compare(x, y, measure, documents=documents).value
        for scale in (2.0**500, 2.0**-500):
            assert rs.compare(x * scale, y / scale, measure, documents=documents).value == expected
        strided = np.asfortranarray(np.repeat(x, 2, axis=0))[::2]
        assert rs.compare(strided, y, measure, documents=list(documents)).value == expected
        single = rs.compare(x.astype(np.float32), y.astype(np.float32), measure, documents=documents).value
        assert single == pytest.approx(expected, abs=1e-5)
        for threads in (1, 3):
            assert rs.compare(x, y, measure, documents=documents, n_threads=threads).value == expected


def test_an_interval_needs_five_documents(tmp_path):
    """Each of the values without a document has to be defined."""
    x, y, documents = clustered([3, 4, 2, 2], 2)
    columns = {"doc_id": documents, "position": np.arange(len(x)), "token_id": np.zeros(len(x), int)}
    stores = [rs.write_store(tmp_path / name, {"a": side}, columns=columns) for name, side in (("x", x), ("y", y))]
    for measure in (rs.DocumentCKA(), rs.DocumentRSA()):
        assert np.isfinite(rs.compare(x, y, measure, documents=documents).value)
        with pytest.raises(DegenerateError, match="needs rows of at least 4 documents: got 3"):
            rs.compare(*stores, measure, interval="Jackknife")


def test_documents_that_are_longer_than_rows_are_wide(rng):
    """Their products are then of features, and memory does not grow with the square of their rows."""
    sizes = [200, 3, 150, 2, 4, 180]
    x, y, documents = clustered(sizes, 5)
    tall = rs.compare(x, y, rs.DocumentCKA(), documents=documents).value
    wide = [np.hstack([rows, np.zeros((len(rows), 500))]) for rows in (x, y)]
    assert rs.compare(*wide, rs.DocumentCKA(), documents=documents).value == pytest.approx(tall, abs=1e-12)
    with pytest.raises(ShapeError, match="DocumentCKA: the rows of the layers in float64"):
        rs.compare(*wide, rs.DocumentCKA(), documents=documents, memory=4_000_000)


def test_names_of_pandas_are_read():
    pandas = pytest.importorskip("pandas")
    x, y, documents = clustered([3, 4, 2, 2, 5], 2)
    names = pandas.Series([f"document {name}" for name in documents], dtype=object)
    expected = rs.compare(x, y, rs.DocumentCKA(), documents=documents).value
    assert rs.compare(x, y, rs.DocumentCKA(), documents=names).value == pytest.approx(expected, abs=1e-12)


def test_what_is_refused(rng):
    x, y, documents = clustered([3, 4, 2], 2)
    measure = rs.DocumentCKA()
    with pytest.raises(DegenerateError, match="rows of at least 4 documents: got 3"):
        rs.compare(x, y, measure, documents=documents)
    x, y, documents = clustered([3, 4, 2, 2], 2)
    bad = x.copy()
    bad[3, 1] = np.nan
    with pytest.raises(NonFiniteError, match="got nan at row 3"):
        rs.compare(bad, y, measure, documents=documents)
    bad[3] = 0.0
    with pytest.raises(DegenerateError, match="row 3 of X is all zero"):
        rs.compare(bad, y, rs.DocumentRSA(), documents=documents)
    with pytest.raises(DegenerateError, match="one direction|only rounding"):
        rs.compare(np.outer(1 + rng.random(11), x[0]), y, rs.DocumentRSA(), documents=documents)
    few = np.repeat(np.arange(4), [1, 1, 2, 10])
    rows = np.random.default_rng(34)
    rows.integers(1, 12, 4)
    rows = rows.standard_normal((14, 2))
    with pytest.raises(DegenerateError, match="the self-similarity of Y is -3.34e-05, which is not positive"):
        rs.compare(rows, rows**3, measure, documents=few)
    with pytest.raises(ShapeError, match="each of the 11 rows"):
        rs.compare(x, y, measure, documents=documents[1:])
    with pytest.raises(OptionError, match="metric must be one of"):
        rs.DocumentRSA("euclidean")

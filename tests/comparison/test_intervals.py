"""Intervals, permutation tests and differences: recomputed by hand, and tested on planted changes."""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.comparison import compare, permutation_test
from pyrepsim.core.errors import DegenerateError, OptionError
from pyrepsim.inference import Bootstrap, Jackknife, differences, over_seeds
from pyrepsim.inference.resampling import bootstrap_weights, jackknife_standard_error, percentile_interval
from pyrepsim.moments import row_blocks
from pyrepsim.results import Score, Scores
from tests.helpers import references as ref
from tests.helpers.data import correlated_pair, rotation

LAYERS = ("layer.0", "layer.1", "layer.2")
DOCUMENTS, EACH, WIDTH = 40, 6, 4
PLAN = Bootstrap(n_resamples=40, blocks=8)


def store_of(folder, layers, *, shuffled=False):
    n = len(next(iter(layers.values())))
    names = np.arange(n) // EACH
    if shuffled:
        names = np.random.default_rng(0).permutation(names)
    rows = {"doc_id": names, "position": np.arange(n), "token_id": np.zeros(n, np.int64)}
    return rs.write_store(folder, {name: rows_.astype(np.float32) for name, rows_ in layers.items()}, columns=rows)


def text(seed, n=DOCUMENTS * EACH):
    """Rows that resemble the others of their document."""
    rng = np.random.default_rng(seed)
    return 0.7 * np.repeat(rng.standard_normal((n // EACH, WIDTH)), EACH, axis=0) + rng.standard_normal((n, WIDTH))


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """A model, and one whose layers 0, 1, 2 are the same, rotated, and noisy."""
    folder = tmp_path_factory.mktemp("planted")
    base = {name: text(depth) for depth, name in enumerate(LAYERS)}
    tuned = dict(base)
    tuned["layer.1"] = base["layer.1"] @ rotation(WIDTH)
    tuned["layer.2"] = base["layer.2"] + 0.5 * text(9)
    return store_of(folder / "base", base), store_of(folder / "tuned", tuned)


def test_a_changed_layer_differs_and_the_others_do_not(stores):
    measures = [rs.LinearCKA(), rs.LinearCKA(debiased=True), rs.RSA(), rs.RSA(metric="euclidean")]
    for score in rs.compare(*stores, measures, interval=Bootstrap(n_resamples=100, blocks=16)):
        low, high = score.interval
        details = score.details["interval"]
        assert low <= score.value <= high
        assert (details["blocks"], details["unit"]) == (16, "documents")
        assert details["kind"] == ("jackknife" if "debiased" in score.measure else "bca")
        if score.layer_x == "layer.0":
            assert (low, high) == (1.0, 1.0)
        elif score.layer_x == "layer.1":
            assert low == pytest.approx(1, abs=1e-5)
        else:
            assert high < 0.99


def test_values_are_those_without_intervals(stores):
    measures = [rs.LinearCKA(debiased=True), rs.CCA(), rs.RSA(metric="manhattan"), rs.RSA(sample=60, draws=2)]
    plain = rs.compare(*stores, measures, layers="all")
    for plan in (PLAN, Jackknife(blocks=8)):
        scores = rs.compare(*stores, measures, layers="all", interval=plan)
        for score, expected in zip(scores, plain, strict=True):
            key = (score.measure, score.layer_x, score.layer_y, score.n_samples)
            assert key == (expected.measure, expected.layer_x, expected.layer_y, expected.n_samples)
            assert score.value == pytest.approx(expected.value, abs=1e-6 if "manhattan" in score.measure else 1e-12)
            assert expected.interval is None
    assert set(score.provenance) >= {"backend", "precision", "version", "digest_x"}
    row = scores.to_records()[-1]
    assert (row["interval.kind"], row["interval.blocks"], row["interval.unit"]) == ("jackknife", 8, "documents")
    assert row["ci_low"] < row["value"] < row["ci_high"]


def test_an_interval_equals_that_of_the_resampled_rows():
    X, Y = correlated_pair(120, 4, 3, seed=1)
    blocks, plan = row_blocks(120, 8), Bootstrap(n_resamples=40, blocks=8, kind="percentile")
    of_block = [np.flatnonzero(blocks.of_row == s) for s in range(8)]
    drawn = [
        np.concatenate([np.tile(of_block[s], int(w)) for s, w in enumerate(weights)])
        for weights in bootstrap_weights(8, 40, 0)
    ]
    tiles = rs.RSA(metric="euclidean")
    cka, rsa = rs.compare(X, Y, [rs.LinearCKA(), tiles], interval=plan, precision="fp64")
    assert cka.interval == pytest.approx(percentile_interval([ref.linear_cka(X[r], Y[r]) for r in drawn]), abs=1e-12)

    def without_copies(rows):
        first, second = np.triu_indices(len(rows), 1)
        apart = rows[first] != rows[second]
        return np.corrcoef(*(rs.pdist(side[rows], "euclidean", precision="fp64")[apart] for side in (X, Y)))[0, 1]

    assert rsa.interval == pytest.approx(percentile_interval([without_copies(rows) for rows in drawn]), abs=1e-10)


@pytest.mark.parametrize(
    "measure",
    [
        rs.LinearCKA(debiased=True),
        rs.RSA(metric="sqmahalanobis"),
        rs.RSA(compare="spearman"),
        rs.KernelCKA(bandwidth=2.0),
        rs.RSA(metric="euclidean"),
    ],
    ids=str,
)
def test_the_jackknife_is_a_loop_over_blocks(measure):
    X, Y = correlated_pair(90, 4, 3, seed=1)
    score = rs.compare(X, Y, measure, interval=Jackknife(blocks=6), precision="fp64")
    blocks = row_blocks(90, 6)
    keep = [blocks.of_row != s for s in range(6)]
    without = [rs.compare(X[k], Y[k], measure, precision="fp64").value for k in keep]
    details = score.details["interval"]
    np.testing.assert_allclose(details["without_block"], without, rtol=0, atol=1e-10)
    assert details["standard_error"] == pytest.approx(jackknife_standard_error(np.array(without)), rel=1e-6)


def test_samples_without_a_block_keep_their_other_rows(stores):
    base, tuned = stores
    measure = rs.RSA(sample=60, draws=2)
    score = rs.compare(base["layer.2"], tuned["layer.2"], measure, interval=Jackknife(blocks=8))
    blocks = row_blocks(DOCUMENTS * EACH, 8, base.columns["doc_id"])
    x, y = (np.asarray(store["layer.2"]) for store in stores)
    chosen = [rows[blocks.of_row[rows] != 0] for rows in measure.chosen_rows(len(x), None)]
    expected = np.mean([rs.compare(x[rows], y[rows], rs.RSA()).value for rows in chosen])
    assert score.details["interval"]["without_block"][0] == pytest.approx(expected, abs=1e-12)


def test_documents_in_several_pieces_are_one_unit(tmp_path):
    x, y = text(0), text(0) + 0.5 * text(1)
    apart = [store_of(tmp_path / name, {"l": rows}, shuffled=True) for name, rows in (("x", x), ("y", y))]
    measures = [rs.LinearCKA(), rs.RSA(metric="euclidean")]
    # documents in order of first appearance, as blocks take them
    names = apart[0].columns["doc_id"]
    first = {name: place for place, name in enumerate(dict.fromkeys(names.tolist()))}
    order = np.argsort([first[name] for name in names.tolist()], kind="stable")
    together = [store_of(tmp_path / f"{name}2", {"l": rows[order]}) for name, rows in (("x", x), ("y", y))]
    for a, b in zip(
        rs.compare(*apart, measures, interval=PLAN), rs.compare(*together, measures, interval=PLAN), strict=True
    ):
        assert a.interval == pytest.approx(b.interval, abs=1e-5 if "RSA" in a.measure else 1e-12)


def test_one_seed_one_interval(stores):
    def result(**options):
        return [s.interval for s in rs.compare(*stores, [rs.LinearCKA(), rs.RSA(metric="euclidean")], **options)]

    once = result(interval=PLAN, n_threads=1)
    assert result(interval=PLAN, n_threads=2) == once
    assert result(interval=Bootstrap(n_resamples=40, blocks=8, seed=1))[-1] != once[-1]


def test_p_best_accounts_for_choosing_the_best_layer(tmp_path):
    """Only layer.2 is related between both sides."""
    shared = text(0)
    x = store_of(tmp_path / "x", {"layer.0": text(1), "layer.1": text(2), "layer.2": shared + text(3)})
    y = store_of(tmp_path / "y", {"layer.0": text(4), "layer.1": text(5), "layer.2": shared + text(6)})
    scores = permutation_test(x, y, [rs.LinearCKA(), rs.RSA(metric="euclidean")], n_resamples=39, layers="all")
    for score in scores:
        result = score.details["permutation"]
        assert result["unit"] == "documents"
        assert result["p_best"] >= result["p"] >= 1 / 40
        if (score.layer_x, score.layer_y) == ("layer.2", "layer.2"):
            assert result["p_best"] == 1 / 40
            assert score.value > result["null_95"] > result["null_mean"]
        else:
            assert result["p_best"] > 0.05
    assert scores[0].value == rs.compare(x, y, rs.LinearCKA(), layers="all")[0].value
    far = permutation_test(x["layer.2"], y["layer.2"], rs.GULP(), n_resamples=39, alternative="less")
    assert far[0].details["permutation"]["p"] == 1 / 40


def test_planted_differences_have_the_right_sign(tmp_path):
    """Layer 0 changes equally in both domains, layer 1 more in the second."""
    scores = []
    for domain, noise in (("in", 0.4), ("out", 1.2)):
        seed = 10 if domain == "in" else 20
        base = {name: text(seed + depth) for depth, name in enumerate(LAYERS[:2])}
        tuned = {
            "layer.0": base["layer.0"] + 0.4 * text(seed + 5),
            "layer.1": base["layer.1"] + noise * text(seed + 6),
        }
        pair = (store_of(tmp_path / f"{domain}-base", base), store_of(tmp_path / f"{domain}-tuned", tuned))
        scores.append(rs.compare(*pair, rs.LinearCKA(debiased=True), interval=Jackknife(blocks=20)))
    same, gap = differences(scores[1], scores[0], paired=False)
    assert same.interval[0] < 0 < same.interval[1]
    assert same.details["p_holm"] > 0.05
    assert gap.interval[1] < 0
    assert gap.details["p_holm"] < 0.01
    assert gap.value == scores[1][1].value - scores[0][1].value
    with pytest.raises(OptionError, match="share none"):
        differences(scores[0], Scores(), paired=False)


def test_paired_differences_leave_out_the_same_block(stores):
    scores = rs.compare(*stores, [rs.LinearCKA(), rs.RSA()], interval=Jackknife(blocks=10))
    for zero in differences(scores, scores, paired=True):
        assert (zero.value, zero.interval, zero.details["p"], zero.details["p_holm"]) == (0.0, (0.0, 0.0), 1.0, 1.0)
    last = scores.select(layer_x="layer.2")
    paired, apart = (
        differences(last, last, paired=paired_option)[0].details["standard_error"] for paired_option in (True, False)
    )
    assert paired == 0 < apart == pytest.approx(2**0.5 * last[0].details["interval"]["standard_error"])
    again = Scores.from_jsonl(scores.to_jsonl(stores[0].path.parent / "scores.jsonl"))
    assert differences(again, scores, paired=True)[0].value == 0
    others = rs.compare(*stores, [rs.LinearCKA(), rs.RSA()], interval=Jackknife(blocks=5))
    with pytest.raises(OptionError, match="same blocks of documents"):
        differences(scores, others, paired=True)
    with pytest.raises(OptionError, match="interval=rs.Jackknife"):
        differences(rs.compare(*stores, rs.LinearCKA()), others, paired=False)


def test_bands_over_seeds():
    def run(value, **details):
        return Scores([Score(value, "CCA", 10, layer_x="a", layer_y="a", provenance={"texts": "t", **details})])

    (score,) = over_seeds([run(0.8, seed=0), run(0.9, seed=1), run(0.7, seed=2)], band="range")
    assert (score.value, score.interval) == (pytest.approx(0.8), (0.7, 0.9))
    assert score.provenance == {"texts": "t", "interval": {"kind": "range of seeds", "runs": 3}}
    assert score.details["standard_deviation"] == pytest.approx(0.1)
    with pytest.raises(OptionError, match="at least two seeds"):
        over_seeds([run(0.8)])


def test_what_intervals_refuse(stores, tmp_path):
    with pytest.raises(OptionError, match="interval must be"):
        rs.compare(*stores, rs.LinearCKA(), interval=0.95)
    with pytest.raises(OptionError, match="Leave out one"):
        rs.compare(*stores, rs.LinearCKA(), interval=PLAN, checkpoint=tmp_path / "c")
    constant = np.ones((60, 2))
    constant[-3:] = np.random.default_rng(0).standard_normal((3, 2))
    with pytest.raises(DegenerateError, match="every resample"):
        rs.compare(constant, text(0, 60), rs.LinearCKA(), interval=Jackknife(blocks=4))


def test_values_outside_the_range_are_refused():
    measure = rs.LinearCKA()
    assert measure.scored((1 + 1e-7, {}), 10).value == 1 + 1e-7
    assert measure.scored((1 + 1e-4, {}), 10, epsilon=2.0**-24).value == 1 + 1e-4
    for value, epsilon in ((1 + 1e-4, 2.0**-53), (-0.01, 2.0**-24)):
        with pytest.raises(DegenerateError, match=r"values from 0 to 1: got .*rounding errors decide"):
            measure.scored((value, {}), 10, epsilon)


def test_values_that_rows_determine_are_named_once(caplog, rng):
    X, Y = rng.standard_normal((8, 10)), rng.standard_normal((8, 3))
    measures = [rs.CCA(), rs.PWCCA(), rs.SVCCA(variance=1.0), rs.LinearPredictivity(), rs.EigenspaceOverlap()]
    scores = compare(X, Y, [*measures, rs.LinearCKA(), rs.CCA(ridge=0.1)])
    assert [bool(score.details.get("determined")) for score in scores] == [True] * 5 + [False] * 2
    np.testing.assert_allclose([score.value for score in scores[:4]], 1.0, atol=1e-8)
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("CCA, PWCCA, SVCCA(variance=1.0), ")
    assert "5 of 7 values do not depend on the data" in message
    assert "LinearCKA, CCA(ridge=0.1): 2 of 7 values are of fewer rows than features" in message
    assert "Pass more rows" in message
    caplog.clear()
    assert "determined" not in compare(rng.standard_normal((12, 10)), rng.standard_normal((12, 3)), rs.CCA()).details
    permutation_test(X, Y, rs.CCA(), n_resamples=9)
    assert len(caplog.records) == 1


def test_differences_of_rounding_are_not_significant():
    """Both values are 1 whatever the data are, up to rounding; the same with the order of the blocks changed."""
    rng = np.random.default_rng(2)
    X = rng.standard_normal((40, 4))
    maps = [rng.standard_normal((4, 4)) for _ in range(2)]
    scores = [compare(X, X @ one, [rs.CCA()], interval=Jackknife(blocks=8)) for one in maps]
    (difference,) = differences(*scores, paired=True)
    assert abs(difference.value) < 1e-10
    assert difference.details["p"] == difference.details["p_holm"] == 1.0


def test_resamples_do_not_depend_on_the_number_of_threads(rng):
    X = rng.standard_normal((300, 12))
    Y = X + rng.standard_normal((300, 12))
    plan, measures = rs.Bootstrap(blocks=12, n_resamples=30), [rs.PWCCA(), rs.LinearCKA(), rs.SVCCA()]
    one, four = (rs.compare(X, Y, measures, interval=plan, n_threads=n) for n in (1, 4))
    assert [score.interval for score in one] == [score.interval for score in four]


def test_a_long_bootstrap_says_so(rng, caplog, monkeypatch):
    monkeypatch.setattr("pyrepsim.comparison.intervals._LONG_SECONDS", 0.0)
    X = rng.standard_normal((300, 12))
    with caplog.at_level("WARNING", "pyrepsim.comparison"):
        rs.compare(X, X[:, :6], "PWCCA", interval=rs.Bootstrap(blocks=12, n_resamples=30))
        assert "42 resamples; interval=Jackknife() takes about" in caplog.text
        caplog.clear()
        rs.compare(X, X[:, :6], "PWCCA", interval=rs.Jackknife(blocks=12))
    assert caplog.text == ""


def test_the_time_of_all_layers_is_announced_once(stores, caplog, capsys, monkeypatch):
    monkeypatch.setattr("pyrepsim.comparison.intervals._LONG_SECONDS", 0.0)
    monkeypatch.setattr("pyrepsim.core.progress._FIRST_LINE_SECONDS", 0.0)
    monkeypatch.setattr("pyrepsim.core.progress._MOST_SECONDS", 0.0)
    x, y = stores
    with caplog.at_level("WARNING", "pyrepsim.comparison"):
        rs.compare(x, y, "LinearCKA", interval=rs.Bootstrap(blocks=12, n_resamples=20))
    assert caplog.text.count("the bootstrap takes about") == 1
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("interval:")]
    total = 33 * len(x.layers)  # of each layer the value, 12 blocks left out, and 20 resamples
    assert lines[-1].startswith(f"interval: {total} of {total} resamples (100%)")


def test_each_value_without_a_block_is_that_of_the_other_rows(rng):
    """In the order of the blocks, also where values of the jackknife and the bootstrap are made together."""
    X = rng.standard_normal((130, 5))
    Y = X + rng.standard_normal((130, 5))
    (score,) = compare(X, Y, [rs.LinearCKA()], interval=Bootstrap(blocks=13, n_resamples=20))
    expected = [
        compare(np.delete(X, rows, 0), np.delete(Y, rows, 0), rs.LinearCKA()).value
        for rows in np.arange(130).reshape(13, 10)
    ]
    np.testing.assert_allclose(score.details["interval"]["without_block"], expected, rtol=1e-12)


def test_few_documents_are_warned_about(rng, caplog):
    x = rng.standard_normal((200, 4))
    y = x + rng.standard_normal((200, 4))
    for n_documents, warned in ((19, True), (20, False)):
        caplog.clear()
        documents = np.arange(200) % n_documents
        rs.compare(x, y, "LinearCKA", documents=documents, interval=rs.Jackknife(blocks=4))
        assert ("there are 19" in caplog.text) == warned
    caplog.clear()
    rs.compare(x, y, "LinearCKA", interval=rs.Jackknife(blocks=4))
    assert "documents" not in caplog.text


def test_intervals_of_correlation_like_measures_stay_below_one(rng):
    x = rng.standard_normal((60, 4))
    y = x + 0.1 * rng.standard_normal((60, 4)) * rng.exponential(3, (60, 1))
    documents = np.repeat(np.arange(20), 3)
    measures = ["LinearCKA", "RSA", "DocumentCKA", "DocumentRSA", "CCA"]
    for score in rs.compare(x, y, measures, documents=documents, interval="Jackknife"):
        low, high = score.interval
        assert low < score.value < high < 1
        assert high - score.value < score.value - low  # as Fisher's z has it
    (angle,) = rs.compare(x, y, ["ShapeMetric"], documents=documents, interval="Jackknife")
    assert angle.value == pytest.approx(np.mean(angle.interval))

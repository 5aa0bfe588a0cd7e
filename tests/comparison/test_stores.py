"""Comparing stores: the same as comparing the arrays they hold, for every choice of layers and rows."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import pyrepsim as rs
from pyrepsim.comparison.sources import StoreSource
from pyrepsim.core import blas
from pyrepsim.core.errors import LayerError, NonFiniteError, OptionError, RowMismatchError, ShapeError, StoreError
from pyrepsim.measures import MomentMeasure, all_measures
from pyrepsim.moments import MomentsSet

from .conftest import LAYERS

MEASURES = [
    rs.LinearCKA(debiased=True),
    rs.SVCCA(),
    rs.PWCCA(),
    rs.RSA(),
    rs.RSA(metric="correlation"),
    rs.Procrustes(),
]


def content(store, layer):
    return np.asarray(store[layer])[store.columns.mask("content")]


def test_same_layers_equal_arrays(stores):
    base, tuned = stores
    scores = rs.compare(base, tuned, MEASURES)
    assert [s.layer_x for s in scores] == [name for name in LAYERS for _ in MEASURES]
    for score in scores:
        expected = rs.compare(content(base, score.layer_x), content(tuned, score.layer_y), score.measure)
        assert score.value == expected.value
        assert score.n_samples == 2700
    assert {scores[0].provenance["model_x"], scores[0].provenance["model_y"]} == {"base", "tuned"}


def test_every_layer_with_every_layer_in_one_pass(stores):
    base, tuned = stores
    everything = rs.compare(base, tuned, MEASURES, layers="all")
    assert len(everything) == 9 * len(MEASURES)
    same = {(s.layer_x, s.layer_y, s.measure): s.value for s in rs.compare(base, tuned, MEASURES)}
    seen = {(s.layer_x, s.layer_y, s.measure): s.value for s in everything}
    assert all(seen[key] == value for key, value in same.items())
    cross = rs.compare(content(base, "layer.1"), content(tuned, "embeddings"), rs.Procrustes()).value
    assert seen["layer.1", "embeddings", "Procrustes"] == pytest.approx(cross, rel=1e-12)


OF_MOMENTS = [
    measure
    for kind in all_measures().values()
    if isinstance(measure := kind(), MomentMeasure) and not measure.needs_second_pass
] + [rs.PWCCA(weights="y"), rs.LinearCKA(debiased=True), rs.RSA(metric="sqeuclidean"), rs.CCA(ridge=0.1)]


@pytest.mark.parametrize(
    "layers", ["all", [("embeddings", "layer.0"), ("layer.1", "layer.0"), ("layer.1", "embeddings")]]
)
def test_a_store_with_itself_scores_as_two_copies_do(stores, tmp_path, layers):
    base = stores[0]
    copy = rs.open_store(shutil.copytree(base.path, tmp_path / "copy"))
    itself, copies = (rs.compare(base, other, OF_MOMENTS, layers=layers) for other in (base, copy))
    for one, other in zip(itself, copies, strict=True):
        where = (one.layer_x, one.layer_y, one.measure)
        assert where == (other.layer_x, other.layer_y, other.measure)
        # between 1 and itself distances and angles keep half the digits
        same = one.layer_x == one.layer_y
        assert one.value == pytest.approx(other.value, rel=1e-9, abs=1e-6 if same else 1e-12), where
        assert one.details.keys() == other.details.keys()
        if not same:
            for name, detail in one.details.items():
                if np.issubdtype(np.asarray(detail).dtype, np.number):
                    np.testing.assert_allclose(
                        detail, other.details[name], rtol=1e-7, atol=1e-9, err_msg=f"{where} {name}"
                    )
                else:
                    assert detail == other.details[name], (where, name)


def test_measures_of_rows_read_each_layer_of_a_store_with_itself_once(stores, tmp_path, monkeypatch):
    base = stores[0]
    copy = rs.open_store(shutil.copytree(base.path, tmp_path / "copy"))
    measures = [
        rs.RSA(metric="euclidean"),
        rs.RSA(metric="manhattan", compare="spearman"),
        rs.KernelCKA(),
        rs.MutualKNN(k=3),
        rs.Magnitude(),
    ]
    copies = rs.compare(base, copy, measures, layers="all")
    gathered, gather = [], StoreSource.gather

    def counted(source, *place_and_rows):
        gathered.append(place_and_rows[:2])
        return gather(source, *place_and_rows)

    monkeypatch.setattr(StoreSource, "gather", counted)
    itself = rs.compare(base, base, measures, layers="all")
    assert sorted(gathered) == sorted((0, name) for name in base.layers)
    for one, other in zip(itself, copies, strict=True):
        assert (one.layer_x, one.layer_y, one.value) == (other.layer_x, other.layer_y, other.value)


def test_moments_between_two_sides_in_either_order():
    rng = np.random.default_rng(0)
    moments = MomentsSet((3, 2, 4), [(0, 1)])
    moments.update([rng.standard_normal((50, width)) for width in (3, 2, 4)])
    forth, back = moments.between(0, 1), moments.between(1, 0)
    np.testing.assert_array_equal(back.cross, forth.cross.T)
    assert (back.x.n_features, back.y.n_features) == (2, 3)
    np.testing.assert_array_equal(back.weighted_x, forth.weighted_y)
    np.testing.assert_array_equal(back.weighted_y, forth.weighted_x)
    np.testing.assert_array_equal(moments.between(2, 2).cross, moments.side(2).scatter)
    with pytest.raises(OptionError, match="pairs must hold"):
        moments.between(0, 2)


def test_details_of_each_side_belong_to_that_side(tmp_path):
    rng = np.random.default_rng(0)
    wide = rng.standard_normal((500, 9)).astype(np.float32)
    layers = {"wide": wide, "narrow": wide[:, :4] + rng.standard_normal((500, 4)).astype(np.float32)}
    rows = {"doc_id": np.arange(500), "position": np.zeros(500, int), "token_id": np.zeros(500, int)}
    store = rs.write_store(tmp_path / "store", layers, columns=rows)
    for measure in (rs.CCA(), rs.PWCCA()):
        for score in rs.compare(store, store, measure, layers="all"):
            ranks = {"wide": 9, "narrow": 4}
            assert score.details["rank_x"] == ranks[score.layer_x]
            assert score.details["rank_y"] == ranks[score.layer_y]


@pytest.mark.parametrize("other", [0, 1], ids=["itself", "another"])
def test_scores_have_the_same_bits_for_any_number_of_threads(stores, other):
    runs = [
        [s.value.hex() for s in rs.compare(stores[0], stores[other], MEASURES, layers="all", n_threads=n)]
        for n in (1, 2, 7)
    ]
    assert runs[0] == runs[1] == runs[2]


def test_chosen_pairs_keep_their_order(stores):
    base, tuned = stores
    pairs = [("layer.1", "embeddings"), ("embeddings", "layer.0"), ("layer.1", "layer.0")]
    scores = rs.compare(base, tuned, rs.LinearCKA(), layers=pairs)
    assert [(s.layer_x, s.layer_y) for s in scores] == pairs
    by_place = rs.compare(base, tuned, rs.LinearCKA(), layers=[(-1, 0), (0, 1), (2, 1)])
    assert [s.value for s in by_place] == [s.value for s in scores]


def test_one_layer_of_each(stores):
    base, tuned = stores
    score = rs.compare(base["layer.1"], tuned["embeddings"], rs.LinearCKA())
    (expected,) = rs.compare(base, tuned, rs.LinearCKA(), layers=[("layer.1", "embeddings")])
    assert (score.value, score.n_samples, score.layer_x) == (expected.value, 2700, "layer.1")


def test_which_tokens(stores):
    base, tuned = stores
    counts = {t: rs.compare(base, tuned, rs.LinearCKA(), tokens=t)[0].n_samples for t in ("content", "all", "special")}
    assert counts == {"content": 2700, "all": 3000, "special": 300}


def test_a_second_pass_where_a_measure_needs_one(stores):
    base, tuned = stores
    measure = rs.RSA(metric="sqmahalanobis")
    score = rs.compare(base, tuned, measure)[1]
    assert score.value == pytest.approx(
        rs.compare(content(base, "layer.0"), content(tuned, "layer.0"), measure).value, rel=1e-12
    )


def test_a_stream_gives_the_same_scores(stores):
    base, tuned = stores
    widths = dict.fromkeys(LAYERS, 24)
    stream = rs.StreamingComparison(widths, widths, MEASURES, layers="all")
    x, y = ({name: content(store, name) for name in LAYERS} for store in stores)
    for start in range(0, 2700, 411):
        part = slice(start, start + 411)
        stream.update({k: v[part] for k, v in x.items()}, {k: v[part] for k, v in y.items()})
    assert stream.n_samples == 2700
    assert [s.value for s in stream.scores()] == [s.value for s in rs.compare(base, tuned, MEASURES, layers="all")]
    with pytest.raises(OptionError, match="second pass"):
        rs.StreamingComparison(widths, widths, rs.RSA(metric="sqmahalanobis"))


def test_a_refused_chunk_does_not_change_a_stream(stores):
    x, y = ({name: content(store, name)[:500] for name in LAYERS} for store in stores)
    widths = dict.fromkeys(LAYERS, 24)
    stream = rs.StreamingComparison(widths, widths, rs.LinearCKA())
    stream.update(x, y)
    expected = [s.value for s in stream.scores()]
    nan = {**x, "layer.1": np.where(np.arange(24) == 3, np.nan, x["layer.1"])}
    missing = {name: x[name] for name in LAYERS[:2]}
    longer = {**x, "layer.1": np.repeat(x["layer.1"], 2, axis=0)}
    longer_y = {**y, "layer.1": np.repeat(y["layer.1"], 2, axis=0)}
    for chunk_x, chunk_y, error in ((nan, y, NonFiniteError), (missing, y, LayerError), (longer, longer_y, ShapeError)):
        with pytest.raises(error):
            stream.update(chunk_x, chunk_y)
    assert stream.n_samples == 500
    assert [s.value for s in stream.scores()] == expected


def test_what_does_not_match_is_refused(stores, tmp_path):
    base, tuned = stores
    other = rs.write_store(tmp_path / "other", {"layer.0": np.ones((3000, 4), np.float32)})
    with pytest.raises(RowMismatchError, match="first differ in row"):
        rs.compare(base, other, rs.LinearCKA())
    with pytest.raises(LayerError, match=r"Did you mean 'layer\.1'"):
        rs.compare(base, tuned, rs.LinearCKA(), layers=["layer1"])
    with pytest.raises(OptionError, match="'same', 'all'"):
        rs.compare(base, tuned, rs.LinearCKA(), layers="diagonal")
    with pytest.raises(OptionError, match="got array and store"):
        rs.compare(base, np.ones((3000, 4)), rs.LinearCKA())
    with pytest.raises(OptionError, match="with parentheses"):
        rs.compare(base, tuned, rs.LinearCKA)
    with pytest.raises(OptionError, match="at least one measure"):
        rs.compare(base, tuned, [])
    for layers in ({"layer.0": "layer.1"}, None, 3, []):
        with pytest.raises(OptionError, match="list of"):
            rs.compare(base, tuned, rs.LinearCKA(), layers=layers)
    for options in ({"layers": "all"}, {"tokens": "all"}):
        with pytest.raises(OptionError, match="two arrays"):
            rs.compare(np.ones((9, 2)), np.ones((9, 2)), rs.LinearCKA(), **options)
    with pytest.raises(OptionError, match="two layers"):
        rs.compare(base["layer.0"], tuned["layer.0"], rs.LinearCKA(), layers="all")
    for measures in (None, 42, {"CCA": 1}):
        with pytest.raises(OptionError):
            rs.compare(base, tuned, measures)
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="needs a folder: .*file is a file"):
        rs.compare(base, tuned, rs.LinearCKA(), checkpoint=tmp_path / "file")
    with pytest.raises(OptionError, match="checkpoint is for stores"):
        rs.compare(np.ones((9, 2)), np.ones((9, 2)), rs.LinearCKA(), checkpoint=tmp_path / "c")


KILLED = """
import os, signal, sys
import pyrepsim as rs
from pyrepsim.comparison import checkpoint
checkpoint.SAVE_EVERY_SECONDS = 0.0
save, calls = checkpoint.save_state, 0
def save_then_die(*arguments):
    global calls
    save(*arguments)
    calls += 1
    if calls == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint.save_state = save_then_die
base, tuned = map(rs.open_store, sys.argv[1:3])
rs.compare(base, tuned, ["LinearCKA(debiased=True)", "RSA", "PWCCA"], checkpoint=sys.argv[3])
"""


@pytest.mark.parametrize("killed_at", [1, 3, 6])
def test_a_killed_comparison_resumes_to_the_same_bits(stores, tmp_path, killed_at):
    base, tuned = stores
    command = [
        sys.executable,
        "-c",
        KILLED,
        str(base.path),
        str(tuned.path),
        str(tmp_path / "c"),
        str(killed_at),
    ]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert any((tmp_path / "c").glob("group-*.npz"))
    measures = ["LinearCKA(debiased=True)", "RSA", "PWCCA"]
    resumed = rs.compare(base, tuned, measures, checkpoint=tmp_path / "c")
    assert [s.value for s in resumed] == [s.value for s in rs.compare(base, tuned, measures)]
    with pytest.raises(StoreError, match=r"started with: .* differs in precision \('fp64' before, 'fp32' now\)"):
        rs.compare(base, tuned, measures, checkpoint=tmp_path / "c", precision="fp32")


def test_sums_of_other_stores_are_refused(stores, tmp_path):
    base, tuned = stores
    folder, other = tmp_path / "one", tmp_path / "two"
    expected = rs.compare(base, tuned, ["LinearCKA"], checkpoint=folder)
    same = rs.compare(base, base, ["LinearCKA"], checkpoint=other)
    assert [s.value for s in same] != [s.value for s in expected]
    for name in ("group-00000.npz", "group-00001.npz"):  # of another comparison, and of other layers
        shutil.copy(other / name, folder / "group-00001.npz")
        with pytest.raises(StoreError, match=r"group-00001.npz differs in (digests|group)"):
            rs.compare(base, tuned, ["LinearCKA"], checkpoint=folder)
    shutil.copy(folder / "group-00000.npz", folder / "group-00001.npz")
    with pytest.raises(StoreError, match=r"group-00001.npz differs in group.index \(0 before, 1 now\)"):
        rs.compare(base, tuned, ["LinearCKA"], checkpoint=folder)
    (other / "comparison.json").unlink()
    with pytest.raises(StoreError, match="differs in digests"):
        rs.compare(base, tuned, ["LinearCKA"], checkpoint=other)
    assert not (other / "comparison.json").exists()
    assert rs.compare(base, base, ["LinearCKA"], checkpoint=other) == same


def test_damaged_sums_are_set_aside_and_summed_again(stores, tmp_path, caplog):
    base, tuned = stores
    expected = rs.compare(base, tuned, ["LinearCKA"], checkpoint=tmp_path)
    path = tmp_path / "group-00000.npz"
    content = path.read_bytes()
    path.write_bytes(content[:99] + bytes([content[99] ^ 1]) + content[100:])
    assert rs.compare(base, tuned, ["LinearCKA"], checkpoint=tmp_path) == expected
    assert "group-00000.npz.damaged-1" in caplog.text
    assert (tmp_path / "group-00000.npz.damaged-1").is_file()
    assert path.read_bytes() == content


def test_the_algebra_runs_on_one_blas_thread(stores, monkeypatch):
    runs = []
    numpy_blas = [pool["filepath"] for pool in blas._libraries().info() if pool["user_api"] == "blas"]
    evaluate = rs.SVCCA.evaluate

    def watched(self, pair):
        runs.extend(pool["num_threads"] for pool in threadpool_info() if pool["filepath"] in numpy_blas)
        return evaluate(self, pair)

    monkeypatch.setattr(rs.SVCCA, "evaluate", watched)
    with threadpool_limits(2, user_api="blas"):
        rs.compare(*stores, rs.SVCCA())
    assert runs
    assert set(runs) == {1}


def test_texts_of_a_store_belong_to_named_documents(tmp_path):
    rng = np.random.default_rng(0)
    text = np.repeat(np.arange(40), 5)  # the last text has no rows
    columns = {"doc_id": text, "position": np.tile(np.arange(5), 40), "token_id": np.arange(200)}
    rows = [rng.standard_normal((200, 6)).astype(np.float32) for _ in range(2)]
    plan = {"rows": {"documents": 41}}
    sides = [
        rs.write_store(tmp_path / name, {"a": x}, columns=columns, plan=plan, dtype="float32")
        for name, x in zip("xy", rows, strict=True)
    ]
    names = np.array([f"article {i % 8}" for i in range(41)])
    measures = [rs.DocumentRSA(), rs.RSA(), rs.LinearCKA(debiased=True)]
    named = rs.compare(*sides, measures, documents=names, interval=rs.Jackknife())
    expected = rs.compare(*rows, measures, documents=names[text], interval=rs.Jackknife())
    by_text = rs.compare(*sides, measures, interval=rs.Jackknife())
    for found, wanted, other in zip(named, expected, by_text, strict=True):
        assert found.value == pytest.approx(wanted.value, rel=1e-12)
        assert found.interval == pytest.approx(wanted.interval, rel=1e-9)
        assert found.details["interval"]["blocks"] == 8
        assert other.details["interval"]["blocks"] == 32
    one = rs.compare(sides[0]["a"], sides[1]["a"], rs.DocumentRSA(), documents=names)
    assert one.value == pytest.approx(expected[0].value, rel=1e-12)
    for wrong in (names[:40], np.arange(200)):
        with pytest.raises(ShapeError, match="document of each of the 41 texts"):
            rs.compare(*sides, measures, documents=wrong)

"""Results of edge probes: the layer with the signal, scoring rules, files, and resumed trainings."""

from __future__ import annotations

import csv
import dataclasses
import json
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pyrepsim.core.errors import LayerError, OptionError, StoreError
from pyrepsim.probing.edge import (
    EdgeProbeRecipe,
    EdgeResult,
    centre_of_gravity,
    divergence,
    expected_layer,
    f1_score,
    fit,
    fit_edge_probes,
    gain_divergence,
    relative_gains,
    rule_of,
)
from tests.helpers.probe_data import LAYERS, labelled, noise, sentences, signal, store_of
from tests.helpers.references_probes import f1_from_counts

LABELS = ("A", "B")
WIDTH = 8
RECIPE = EdgeProbeRecipe(
    projection=8, hidden=8, batch_size=16, learning_rate=1e-2, validate_every=20, max_validations=5, dropout=0.1
)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Labels are random, and written into layer.0 alone."""
    rng = np.random.default_rng(1)
    found = []
    for name, n in (("train", 60), ("dev", 25), ("test", 25)):
        texts = sentences(rng, n, prefix=name)
        records = labelled(texts, rng, LABELS)
        states = signal(records, noise(rng, WIDTH), 1, LABELS, WIDTH)
        found.append((store_of(tmp_path_factory.mktemp(name) / "store", texts, states), records))
    return found


@pytest.fixture(scope="module")
def result(corpus):
    (store, records), dev, test = corpus
    table = np.random.default_rng(5).normal(size=(12, WIDTH))
    return fit_edge_probes(
        store, records, dev=dev, test=test, task="pos", seeds=[0, 1], lex=table, recipe=RECIPE, progress=False
    )


def test_the_layer_with_the_signal_is_found(result):
    assert result.f1("layer.0") > 0.95
    assert max(result.f1(member) for member in ("embeddings", "layer.1", "lex", "mix.0")) < 0.75
    assert min(result.f1("mix.1"), result.f1("mix.2")) > 0.9
    assert result.cumulative()[0] == result.f1("mix.0")
    assert 0.8 < result.expected_layer() < 1.2
    mixes = [row for row in result.weights if row["member"] == "mix.2"]
    assert all(np.argmax(row["weights"]) == 1 and sum(row["weights"]) == pytest.approx(1) for row in mixes)


def test_norms_are_reported_with_the_weights(result, corpus):
    store, _ = corpus[1]
    inside = store.columns.mask("content")
    # Every word but the last is in some span; the last one of a sentence is not.
    assert result.norms["layer.0"] > result.norms["layer.1"]
    assert result.norms["layer.1"] == pytest.approx(
        np.linalg.norm(np.asarray(store["layer.1"])[inside], axis=1).mean(), rel=0.1
    )
    assert "compensate for the norms" in result.table()


def test_records_agree_with_the_counts_by_sentence(result):
    for split in ("dev", "test"):
        for m, row in enumerate(result.select(split=split)):
            true_positives, predicted, gold = result.sentence_counts[split][m].sum(0)
            assert (true_positives, predicted, gold) == (row["true_positives"], row["predicted"], row["gold"])
            assert row["f1"] == pytest.approx(2 * true_positives / (predicted + gold))


def test_f1_and_its_interval(rng):
    gold = rng.random((200, 7)) < 0.3
    said = np.where(rng.random(gold.shape) < 0.85, gold, ~gold)
    found = f1_score(int((gold & said).sum()), int(said.sum()), int(gold.sum()))
    f1, low, high = f1_from_counts(gold, said)
    assert (found.f1, found.low, found.high) == pytest.approx((f1, low, high), abs=1e-6)
    assert found.low < found.f1 < found.high
    assert f1_score(0, 0, 5) == (0, 0, 0, 0, 0)
    assert f1_score(5, 5, 5)[:3] == (1, 1, 1)


def test_scoring_rules():
    assert [label for label in ("0", "1") if rule_of("coref").keep(label)] == ["1"]
    srl = rule_of("SRL")
    labels = ["ARG0", "ARG5", "ARGA", "ARGM-TMP", "ARGM-LOC", "R-ARG0", "C-ARG1", "V"]
    assert [label for label in labels if srl.keep(label)] == ["ARG0", "ARG5", "ARGA", "ARGM-TMP", "ARGM-LOC", "V"]
    assert [label for label in labels if srl.parts["core"](label)] == ["ARG0", "ARG5", "ARGA"]
    assert [label for label in labels if srl.parts["non-core"](label)] == ["ARGM-TMP", "ARGM-LOC"]
    assert not rule_of("relations").keep("Other")
    assert rule_of("relations").keep("Cause-Effect(e1,e2)")
    assert rule_of("dpr").seeds == 5
    assert rule_of("pos").keep("anything")


@pytest.mark.parametrize(
    ("scores", "due"),
    [
        ((88.40, 93.48, 94.96, 95.42, 95.97, 96.44, 96.39, 96.42, 96.56, 96.48, 96.59, 96.40, 96.48), 1.76),
        ((85.20, 90.24, 91.30, 92.56, 93.66, 94.10, 94.65, 94.90, 95.17, 95.21, 95.10, 95.32, 95.22), 2.52),
        ((80.01, 82.52, 84.30, 85.19, 86.94, 87.58, 88.28, 88.89, 90.27, 90.38, 90.57, 90.28, 90.16), 3.62),
    ],
)
def test_expected_layer_of_published_scores(scores, due):
    """BERT-base development scores of POS, dependencies and coreference (Tenney et al., 2019)."""
    assert expected_layer(scores) == pytest.approx(due, abs=0.005)


def test_formulas_of_localisation():
    assert centre_of_gravity([0.25] * 4) == 1.5
    assert divergence([1.0, 1.0, 1.0]) == pytest.approx(0)
    assert divergence([0.0, 1.0, 0.0, 0.0]) == 2
    assert gain_divergence([1, 2, 1.5, 3]) == pytest.approx(np.log2(3) + 0.4 * np.log2(0.4) + 0.6 * np.log2(0.6))
    assert relative_gains([1, 2, 3], 0) == pytest.approx([1 / 3, 1 / 3])
    assert np.isnan(expected_layer([1, 1]))


def test_files_and_figures(result, tmp_path):
    loaded = EdgeResult.load(result.save(tmp_path / "result.npz"))
    assert loaded.records == result.records
    assert loaded.members == result.members
    assert (loaded.sentence_counts["test"] == result.sentence_counts["test"]).all()
    assert (loaded.documents["test"] == result.documents["test"]).all()
    older = dataclasses.replace(result, documents={}).save(tmp_path / "older.npz")
    assert (EdgeResult.load(older).documents["test"] == result.record_index["test"]).all()
    assert loaded.table() == result.table()
    with open(result.to_csv(tmp_path / "rows.csv"), newline="") as file:
        assert len(list(csv.DictReader(file))) == len(result.records)
    lines = [json.loads(line) for line in result.to_jsonl(tmp_path / "rows.jsonl").read_text().splitlines()]
    assert len(lines) == len(result.records) + len(result.weights)
    assert result.scores(cumulative=True).layers_x == tuple(f"0..{layer}" for layer in LAYERS)
    for cumulative in (False, True):
        result.plot(tmp_path / "figure.svg", cumulative=cumulative)
    (tmp_path / "bad.npz").write_bytes(b"PK")
    with pytest.raises(StoreError, match="must be complete and as it was written"):
        EdgeResult.load(tmp_path / "bad.npz")
    with pytest.raises(OptionError, match="split must be one of dev, test"):
        result.select(split="train")
    with pytest.raises(LayerError, match="got 'layer.9'"):
        result.f1("layer.9")


def test_unseen_labels_lower_the_recall(corpus):
    (store, records), dev, (held, tested) = corpus
    other = [{**record, "targets": [{**t, "label": "new"} for t in record["targets"]]} for record in tested[:5]]
    options = {"dev": dev, "members": "layer.0", "recipe": RECIPE, "progress": False}
    one = fit_edge_probes(store, records, test=(held, other + tested[5:]), **options)
    (row,) = one.select()
    assert row["gold"] == sum(len(record["targets"]) for record in tested)
    assert row["recall"] < 0.95
    assert sum(found.reason.startswith("label not seen") for found in one.findings["test"]) == sum(
        len(record["targets"]) for record in other
    )


def test_a_training_is_resumed(corpus, tmp_path, monkeypatch, caplog):
    (store, records), dev, _ = corpus
    recipe = RECIPE.but(validate_every=4, max_validations=9, stop_after=3, halve_after=1, threshold=0.02)
    options = {"dev": dev, "recipe": recipe, "seeds": [0, 3], "progress": False}
    whole = fit_edge_probes(store, records, **options)
    assert len({len([r for r in whole.history if r["member"] == m]) for m in LAYERS}) > 1, "some should end early"
    save, calls = fit.save_state, []

    def interrupted(path, state, request):
        save(path, state, request)
        calls.append(state["step"])
        if len(calls) in (2, 5):
            raise KeyboardInterrupt

    monkeypatch.setattr(fit, "save_state", interrupted)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            fit_edge_probes(store, records, out=tmp_path, **options)
    resumed = fit_edge_probes(store, records, out=tmp_path, **options)
    assert resumed.records == whole.records
    assert resumed.history == whole.history
    assert resumed.weights == whole.weights
    with pytest.raises(StoreError, match=r"resumed only with .* differs in recipe\.clip \(5\.0 before, 1\.0 now\)"):
        fit_edge_probes(store, records, out=tmp_path, **(options | {"recipe": recipe.but(clip=1.0)}))
    (tmp_path / "training.pt").write_bytes(b"half")  # the state before it is used
    again = fit_edge_probes(store, records, out=tmp_path, **options)
    assert again.records == whole.records
    assert "training.pt.damaged-1" in caplog.text
    assert (tmp_path / "training.pt.damaged-1").read_bytes() == b"half"
    assert "from the beginning" not in caplog.text


def test_the_progress_bar_shows_all_losses(corpus, capsys):
    (store, records), dev, _ = corpus
    fit_edge_probes(
        store, records, dev=dev, members="layers", recipe=RECIPE.but(validate_every=1, max_validations=2), progress=True
    )
    (line, *_) = [line for line in capsys.readouterr().err.split("\r") if "losses" in line]
    assert len(line.partition("losses ")[2].strip().rstrip("]").split()) == len(LAYERS)


def test_recipes_are_checked():
    assert EdgeProbeRecipe.for_task("relations").validate_every == 100
    assert EdgeProbeRecipe.for_task("pos") == EdgeProbeRecipe()
    for bad in (
        {"family": "tree"},
        {"dropout": 1.0},
        {"batch_size": 0},
        {"clip": -1},
        {"threshold": -1},
        {"hidden": 2.5},
    ):
        with pytest.raises(OptionError, match=next(iter(bad))):
            EdgeProbeRecipe(**bad)


def test_a_score_below_the_baseline_or_cut_off_says_so(result):
    """The layers without the signal, and members that improved until their last validation."""
    rows = {line.split()[0]: line for line in result.table().splitlines() if "[" in line}
    baseline = result.f1("lex")
    for member in ("embeddings", "layer.0", "layer.1"):
        assert ("below the lexical baseline" in rows[member]) == (result.f1(member) < baseline)
    assert "below" not in rows["lex"]
    counts = Counter((entry["member"], entry["seed"]) for entry in result.history)
    most = max(counts.values())
    short = replace(result, request={**result.request, "recipe": {"max_validations": most}})
    cut = {name for (name, _), count in counts.items() if count == most}
    for line in short.table().splitlines():
        if "[" in line:
            assert ("not converged" in line) == (line.split()[0] in cut)

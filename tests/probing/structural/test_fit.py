"""Structural probes from store to scores: trees that a layer holds are recovered, wrong input is refused."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pyrepsim.core.errors import BackendError, LayerError, OptionError, RowMismatchError, StoreError, TextError
from pyrepsim.extraction import extract
from pyrepsim.inference.groups import group_numbers
from pyrepsim.probing.structural import StructuralProbeRecipe, StructuralProbeResult, fit_structural_probes
from pyrepsim.probing.structural.data import SentenceReader, find_sentences
from pyrepsim.store import ActivationStore
from tests.helpers import references_structural as reference
from tests.helpers.structural_data import TreeOfWords, embedded, random_sentences, store_of
from tests.helpers.tiny_models import tiny_bert

WIDTH = 64
FEW = {"recipe": StructuralProbeRecipe(epochs=2), "device": "cpu", "ranks": (4,)}


@pytest.fixture(scope="module")
def sentences() -> list[TreeOfWords]:
    return random_sentences(240, np.random.default_rng(0), longest=8, only_leaves=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, sentences: list[TreeOfWords]) -> ActivationStore:
    """A layer of noise; one of gold distances, in 64 dimensions that no axis gives away; one of both."""
    rng = np.random.default_rng(1)
    rotation, _ = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))
    trees = np.concatenate([embedded(sentence.heads, WIDTH) for sentence in sentences]) @ rotation
    noise = rng.standard_normal(trees.shape)
    layers = {"embeddings": noise, "layer.0": trees, "layer.1": trees + 0.15 * noise}
    return store_of(tmp_path_factory.mktemp("trees") / "store", sentences, layers)


@pytest.fixture(scope="module")
def result(store: ActivationStore, sentences: list[TreeOfWords]) -> StructuralProbeResult:
    recipe = StructuralProbeRecipe(learning_rate=0.01)
    options = {"test_sentences": sentences[200:], "ranks": (2, 16), "recipe": recipe, "device": "cpu"}
    return fit_structural_probes(store, sentences[:160], sentences[160:200], **options)


def test_gold_distances_are_recovered_from_trees_but_not_from_noise(result: StructuralProbeResult):
    noise, trees, both = (row for row in result.records if row.rank == 16)
    assert trees.uuas >= 0.99
    assert trees.dspr > 0.95
    assert trees.nspr > 0.9
    assert trees.root > 0.90
    assert noise.uuas < 0.50
    assert abs(noise.dspr) < 0.6
    assert noise.uuas + 0.10 < both.uuas < trees.uuas
    assert result.values("uuas", 2)[0, 1] < trees.uuas
    assert (result.best_layer, result.top_layer) == ("layer.0", "layer.1")


def test_scores_are_those_of_the_predictions(result: StructuralProbeResult, sentences: list[TreeOfWords]):
    found = [result.predict(i, layer="layer.1", rank=2) for i in range(40)]
    parts = [p.distances for p in found], [p.depths for p in found]
    scores = reference.scores(*parts, [s.heads for s in sentences[200:]], [s.xpos for s in sentences[200:]])
    (row,) = [row for row in result.records if (row.layer, row.rank) == ("layer.1", 2)]
    for name, value in scores.items():
        assert getattr(row, name) == pytest.approx(value, abs=0.005 if name in ("uuas", "root") else 1e-3)


def test_edges_are_counted_by_sentence(result: StructuralProbeResult, sentences: list[TreeOfWords]):
    for rank, layer in ((2, "layer.1"), (16, "embeddings")):
        counts = result.edge_counts(rank, layer)
        assert counts.shape == (1, 40, 3)
        (row,) = [row for row in result.records if (row.layer, row.rank) == (layer, rank)]
        correct, predicted, gold = counts[0].sum(axis=0)
        assert predicted == gold == sum(len(tree.edges) for tree in result.scored.trees)
        assert correct / gold == row.uuas
        for i in (0, 17):
            found = result.predict(i, layer=layer, rank=rank)
            shared = {tuple(edge) for edge in found.edges.tolist()} & {
                tuple(edge) for edge in found.gold.edges.tolist()
            }
            assert counts[0, i].tolist() == [len(shared), len(found.gold.edges), len(found.gold.edges)]
    assert result.scored.documents.tolist() == group_numbers(" ".join(one.words) for one in sentences[200:]).tolist()


def test_a_prediction_is_a_tree_of_the_sentence(result: StructuralProbeResult, sentences: list[TreeOfWords]):
    by_index, by_itself = result.predict(3), result.predict(sentences[203])
    assert by_index.sentence is sentences[203]
    assert (by_index.distances == by_itself.distances).all()
    expected = reference.kruskal(by_index.distances, sentences[203].xpos)
    assert {tuple(edge) for edge in by_index.edges.tolist()} == expected
    for options, error in (({"layer": "layer.9"}, LayerError), ({"rank": 3}, OptionError), ({"seed": 1}, OptionError)):
        with pytest.raises(error, match="probed"):
            result.predict(0, **options)
    with pytest.raises(OptionError, match="index 40"):
        result.predict(40)
    with pytest.raises(OptionError, match=r"toy\.conllu:1 is not"):
        result.predict(sentences[0])


def test_tables_and_figures(result: StructuralProbeResult, tmp_path: Path):
    lines = result.table().splitlines()
    assert lines[1].split() == [
        "layer",
        "rank",
        "uuas",
        "(%)",
        "root",
        "(%)",
        "dspr",
        "nspr",
        "distance",
        "loss",
        "depth",
        "loss",
    ]
    assert [line.split()[:2] for line in lines[3:]] == [[row.layer, str(row.rank)] for row in result.records]
    assert [line.split()[-1] for line in lines[-2:]] == ["best", "top"]
    with result.to_csv(tmp_path / "rows.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["uuas"]) for row in rows] == [row.uuas for row in result.records]
    figure = result.plot(tmp_path / "layers.png")
    assert [len(ax.lines) for ax in figure.axes] == [2] * 4
    drawn = result.plot_tree(1, tmp_path / "tree.svg", layer="layer.1", rank=2)
    predicted = result.predict(1, layer="layer.1", rank=2)
    (ax,) = drawn.axes
    assert len(ax.patches) == len(predicted.edges) + len(predicted.gold.edges)
    assert (tmp_path / "layers.png").stat().st_size > 10_000
    assert predicted.sentence.words[0] in (tmp_path / "tree.svg").read_text(encoding="utf-8")


def test_several_seeds_have_a_spread(store: ActivationStore, sentences: list[TreeOfWords]):
    result = fit_structural_probes(store, sentences[:40], sentences[40:60], seeds=(0, 1, 2), layers=[-1], **FEW)
    values = 100 * result.values("uuas", 4)[:, 0]
    assert f"{values.mean():.1f} ± {values.std(ddof=1):.1f}" in result.table()
    assert "3 seeds" in result.table()


def test_sentences_of_a_real_extraction_are_found_and_read(tmp_path: Path):
    """From text to rows: a store of a real extraction, in float16 and in another order than the sentences."""
    texts = [["the", "keys"], ["unplayable", "games", "are", "here", "."], ["don't", "run"], ["the", "keys"]]
    store = extract(tiny_bert(tmp_path / "model"), texts, tmp_path / "store", words="mean", progress=False)
    sentences = [TreeOfWords(tuple(w), tuple(range(len(w))), ("NN",) * len(w), "here:1") for w in reversed(texts)]
    found = find_sentences(store, sentences)
    assert found.starts.tolist() == [0, 7, 2, 0]  # equal sentences have equal rows: the first is taken
    with SentenceReader(found, ["layer.1"]) as reader:
        rows = reader.read([1, 2])
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows[0], np.concatenate([store["layer.1"].read(7, 9), store["layer.1"].read(2, 7)]))
    result = fit_structural_probes(store, sentences, sentences, **FEW)
    assert [row.layer for row in result.records] == ["embeddings", "layer.0", "layer.1"]
    tokens = extract(tiny_bert(tmp_path / "model"), texts, tmp_path / "tokens", progress=False)
    with pytest.raises(StoreError, match="one per token"):
        fit_structural_probes(tokens, sentences, sentences, **FEW)


def test_sentences_that_the_store_lacks_are_named_and_counted(store: ActivationStore, sentences: list[TreeOfWords]):
    odd = list(sentences[:6])
    odd[1] = replace(odd[1], words=("other", *odd[1].words[1:]))
    odd[4] = TreeOfWords((*odd[4].words, "more"), (*odd[4].heads, 1), (*odd[4].xpos, "NN"), "toy.conllu:5")
    with pytest.raises(RowMismatchError, match="2 of 6") as caught:
        fit_structural_probes(store, odd, sentences, **FEW)
    message = str(caught.value)
    assert "toy.conllu:2 ('other " in message
    assert "document 1 has other words" in message
    assert f"{len(odd[4].words)} words), where document 4 has {len(odd[4].words) - 1} rows" in message
    unknown = [replace(sentence, words=tuple("?" * len(sentence.words))) for sentence in sentences]
    with pytest.raises(RowMismatchError, match=r"240 of 240 .*; \.\.\.\. Extract"):
        fit_structural_probes(store, sentences, unknown, **FEW)


def test_sentences_without_xpos_are_refused(store: ActivationStore, sentences: list[TreeOfWords]):
    bare = [replace(sentence, xpos=("_",) * len(sentence.words)) for sentence in sentences]
    with pytest.raises(TextError, match="UPOS is PUNCT"):
        fit_structural_probes(store, bare, sentences, **FEW)


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ({"ranks": (65,)}, OptionError, "at most 64"),
        ({"ranks": ()}, OptionError, "ranks must be"),
        ({"seeds": (1, 1)}, OptionError, "seeds must be different"),
        ({"seeds": (-1,)}, OptionError, "at least 0"),
        ({"recipe": StructuralProbeRecipe(epochs=0)}, OptionError, "epochs=0"),
        ({"layers": []}, OptionError, "at least one layer"),
        ({"layers": ["layer.7"]}, LayerError, r"layer\.7"),
        ({"device": "abacus"}, BackendError, "abacus"),
        ({"test_sentences": []}, OptionError, "got none"),
    ],
)
def test_options_out_of_range_are_refused(
    store: ActivationStore, sentences: list[TreeOfWords], options: dict, error: type[Exception], words: str
):
    with pytest.raises(error, match=words):
        fit_structural_probes(store, sentences, sentences, **(FEW | options))


def test_layers_of_two_widths_are_refused(tmp_path: Path, sentences: list[TreeOfWords]):
    few = sentences[:3]
    n_words = sum(len(sentence.words) for sentence in few)
    store = store_of(tmp_path / "store", few, {"a": np.zeros((n_words, 4)), "b": np.ones((n_words, 8))})
    with pytest.raises(LayerError, match="a of .* has 4, b of .* has 8"):
        fit_structural_probes(store, few, few, **FEW)


def test_few_files_are_open_at_once(store: ActivationStore, sentences: list[TreeOfWords]):
    found = find_sentences(store, sentences)
    with SentenceReader(found, list(store)) as reader:
        cache = reader._rows._cache
        cache._max_files = 2
        for i in range(len(found)):
            reader.read([i])
            assert len(cache._files) <= 2
        assert not np.array_equal(reader.read([0])[0], reader.read([0])[1])
    assert not cache._files

"""UUAS, DSpr, NSpr and root accuracy against a slow implementation, and special cases."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from pyrepsim.core.errors import NonFiniteError, ShapeError, TextError
from pyrepsim.data.conllu import read_conllu
from pyrepsim.probing.structural import evaluate
from pyrepsim.probing.structural.scores import TreeScores
from pyrepsim.probing.structural.trees import GoldTree, spanning_trees
from tests.helpers import references_structural as reference
from tests.helpers.structural_data import random_sentences


def squared_distances(x: np.ndarray) -> np.ndarray:
    return ((x[:, None] - x[None]) ** 2).sum(axis=-1)


def predictions(heads: list, rng: np.random.Generator, noise: float) -> tuple[list, list]:
    """Gold distances and depths with some noise, rounded so that there are ties."""
    distances, depths = [], []
    for tree in heads:
        d, h = (np.array(part, dtype=float) for part in reference.gold(tree))
        wrong = np.round(rng.normal(0, noise, d.shape), 1)
        distances.append(np.abs(d + wrong + wrong.T) * (1 - np.eye(len(d))))
        depths.append(np.round(h + rng.normal(0, noise, h.shape), 1))
    return distances, depths


@pytest.mark.parametrize("noise", [0.0, 0.7, 10.0])
def test_scores_follow_the_definition(rng: np.random.Generator, noise: float):
    sentences = random_sentences(30, rng, longest=16)
    heads, xpos = [s.heads for s in sentences], [s.xpos for s in sentences]
    found = predictions(heads, rng, noise)
    scores = evaluate(*found, heads, xpos)
    assert scores == pytest.approx(reference.scores(*found, heads, xpos), abs=1e-10)
    if noise == 0:
        assert (scores["uuas"], scores["dspr"]) == (1, pytest.approx(1))
    else:
        assert 0.05 < scores["uuas"] < 0.95


def test_scores_follow_the_definition_on_a_treebank(shared_data: Path, rng: np.random.Generator):
    read = read_conllu(shared_data / "ud_ewt" / "en_ewt-ud-dev.conllu")[:200]
    heads, xpos = [sentence.heads for sentence in read], [sentence.xpos for sentence in read]
    assert {tag for tags in xpos for tag in tags} > {",", ".", "-LRB-", "HYPH"}
    vectors = [rng.standard_normal((len(tree), 8)) for tree in heads]
    random = [squared_distances(x) for x in vectors], [(x * x).sum(axis=1) for x in vectors]
    for found in (random, predictions(heads, rng, 0.8)):
        assert evaluate(*found, heads, xpos) == pytest.approx(reference.scores(*found, heads, xpos), abs=1e-10)


def test_several_probes_are_scored_as_if_alone(rng: np.random.Generator):
    sentences = random_sentences(20, rng)
    heads, xpos = [s.heads for s in sentences], [s.xpos for s in sentences]
    parts = [predictions(heads, rng, noise) for noise in (0.2, 1.0, 3.0)]
    together = TreeScores(len(parts))
    for i in range(len(sentences)):
        distances, depths = (np.stack([part[which][i] for part in parts]) for which in (0, 1))
        together.add(distances, depths, GoldTree.of(heads[i], xpos[i], "here"))
    for probe, part in enumerate(parts):
        alone = evaluate(*part, heads, xpos)
        assert {name: values[probe] for name, values in together.result().items()} == pytest.approx(alone, abs=1e-12)


def test_a_sentence_by_hand():
    """The cat sat . : the root is word 3; words 1-2 and 2-3 are joined."""
    heads, xpos = [2, 3, 0, 3], ["DT", "NN", "VBD", "."]
    distances = np.array([[0, 5, 1, 9], [5, 0, 2, 9], [1, 2, 0, 0.1], [9, 9, 0.1, 0]])
    scores = evaluate([distances], [[3, 2, 1, 0]], [heads], [xpos])
    assert scores["uuas"] == 0.5  # 1-3 and 2-3 are found; the full stop is in neither tree
    assert scores["root"] == 1  # the full stop is shallower, but no candidate
    assert math.isnan(scores["dspr"])  # no sentence of 5 to 50 words
    assert math.isnan(scores["nspr"])


def test_punctuation_inside_a_tree_is_skipped():
    """Words 1 and 3 hang on the comma between them: the gold tree over words joins them with each other."""
    tree = GoldTree.of([2, 4, 2, 0], ["NN", ",", "NN", "VB"], "here")
    assert tree.distances[0].tolist() == [0, 1, 2, 2]
    assert tree.edges.tolist() == [[0, 2], [0, 3]]  # all at distance 2: in reading order


def test_only_the_listed_tags_are_punctuation():
    heads, distances = [0, 1, 1], [[0, 1, 1], [1, 0, 9], [1, 9, 0]]
    for tag, uuas in (("HYPH", 1), ("NFP", 1), ("``", math.nan)):
        assert evaluate([distances], [[0, 1, 1]], [heads], [["NN", tag, tag]])["uuas"] == pytest.approx(
            uuas, nan_ok=True
        )


def test_a_sentence_of_punctuation_has_a_root_and_no_edges():
    scores = evaluate([np.zeros((1, 1))], [[0.5]], [[0]], [["."]])
    assert scores["root"] == 1
    assert math.isnan(scores["uuas"])


def test_constant_predictions_have_correlation_zero():
    heads = [2, 3, 0, 3, 3]
    scores = evaluate([np.ones((5, 5))], [np.ones(5)], [heads], [["NN"] * 5])
    assert (scores["dspr"], scores["nspr"]) == (0, 0)


def test_equal_edges_are_taken_in_reading_order(rng: np.random.Generator):
    for n in (2, 3, 7, 12):
        matrices = rng.integers(1, 4, (5, n, n)).astype(float)
        matrices[:3] += matrices[:3].transpose(0, 2, 1)  # the others differ by direction: the smaller entry counts
        for matrix, edges in zip(matrices, spanning_trees(matrices), strict=True):
            assert {tuple(edge) for edge in edges.tolist()} == reference.kruskal(matrix, ["NN"] * n)


@pytest.mark.parametrize(
    ("heads", "error", "words"),
    [
        ([2, 1, 0], TextError, "cycle"),
        ([0, 1, 0], TextError, "has 2"),
        ([2, 3, 1], TextError, "has 0"),
        ([0, 1, 4], TextError, "1 to 3"),
        ([0, 1], ShapeError, "sentence 0"),
    ],
)
def test_heads_that_form_no_tree_are_refused(heads: list, error: type[Exception], words: str):
    with pytest.raises(error, match=words):
        evaluate([np.ones((3, 3))], [np.ones(3)], [heads], [["NN"] * 3])


def test_other_bad_input_is_refused():
    heads, xpos = [[0, 1]], [["NN", "NN"]]
    with pytest.raises(ShapeError, match=r"1, 2, 1, 1 entries"):
        evaluate([np.ones((2, 2))], [np.ones(2)] * 2, heads, xpos)
    with pytest.raises(ShapeError, match=r"\(2, 2\)"):
        evaluate([np.ones((2, 3))], [np.ones(2)], heads, xpos)
    with pytest.raises(NonFiniteError, match="sentence 0"):
        evaluate([np.ones((2, 2))], [[0, math.nan]], heads, xpos)

"""Decoding of a dependency parser: 10,000 sentences of 30 words, compared with networkx on a few of them."""

from __future__ import annotations

import os
import timeit

import numpy as np
import pytest

from benchmarks.harness import report
from pyrepsim.finetuning.tasks.dependency import decode

SENTENCES, WORDS, FEW = int(os.environ.get("BENCH_TREES_SENTENCES", "10000")), 30, 20


def arc_scores(kind: str) -> np.ndarray:
    """Random scores have many cycles and roots; those of a trained parser have one head far above the others."""
    rng = np.random.default_rng(0)
    scores = rng.standard_normal((SENTENCES, WORDS, WORDS + 1), dtype=np.float32)
    if kind == "trained":
        heads = decode(scores, np.full(SENTENCES, WORDS))
        np.put_along_axis(scores, heads[:, :, None], 6.0, axis=2)
    return scores


def networkx_tree(scores: np.ndarray) -> float:
    """Total score of the best tree with any number of roots, an easier problem than ours."""
    import networkx as nx

    graph = nx.DiGraph()
    for word in range(1, WORDS + 1):
        for head in range(WORDS + 1):
            if head != word:
                graph.add_edge(head, word, weight=float(scores[word - 1, head]))
    return nx.maximum_spanning_arborescence(graph).size(weight="weight")


@pytest.mark.parametrize("n_threads", [1, None])
@pytest.mark.parametrize("kind", ["random", "trained"])
def test_decode(benchmark, kind, n_threads):
    scores = arc_scores(kind)
    lengths = np.full(SENTENCES, WORDS)
    heads = benchmark.pedantic(lambda: decode(scores, lengths, n_threads=n_threads), rounds=15, warmup_rounds=1)
    seconds = benchmark.stats.stats.median
    few = min(FEW, SENTENCES)
    totals: list[float] = []
    theirs = timeit.timeit(lambda: totals.extend(map(networkx_tree, scores[:few])), number=1) / few * SENTENCES
    ours = np.take_along_axis(scores[:few], heads[:few, :, None], axis=2).sum(axis=(1, 2))
    report(
        benchmark, seconds=seconds, sentences_per_second=SENTENCES / seconds, networkx_ratio=theirs / seconds,
        excess_over_networkx=float(np.max(ours - totals)),
    )  # fmt: skip

"""Joint training: each member is the published probe, and equals the same member trained alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pyrepsim.probing.edge import EdgeProbeRecipe, fit_edge_probes
from pyrepsim.probing.edge.batches import Order
from tests.helpers.probe_data import LAYERS, labelled, noise, pieces, sentences, signal, store_of
from tests.helpers.references_probes import ReferenceProbe, train_reference

LABELS = ("A", "B", "C")
WIDTH = 8
RECIPE = EdgeProbeRecipe(
    halve_after=99,
    projection=6,
    hidden=5,
    batch_size=4,
    learning_rate=1e-2,
    validate_every=1,
    max_validations=12,
    stop_after=99,
    clip=0.4,
)


@pytest.fixture
def corpus(rng, tmp_path):
    """A signal in layer.0, two spans, the first of several words: (store, records) for train and dev."""
    found = []
    for name, n in (("train", 14), ("dev", 8)):
        texts = sentences(rng, n, prefix=name)
        records = labelled(texts, rng, LABELS, spans=2, longest=3)
        states = signal(records, noise(rng, WIDTH), 1, LABELS, WIDTH)
        found.append((store_of(tmp_path / name, texts, states, shard_rows=40 if n == 14 else None), records))
    return found


def probe(corpus, **options):
    (store, records), dev = corpus
    return fit_edge_probes(store, records, dev=dev, **({"recipe": RECIPE, "progress": False} | options))


def losses(result, member, seed=0):
    return [row["loss"] for row in result.history if (row["member"], row["seed"]) == (member, seed)]


def reference_batches(store, records):
    """The same targets as token positions inside each text, batched in the same order."""
    batches = []
    order = Order(len(records), RECIPE.batch_size, 0)
    states = np.stack([np.asarray(store[layer]) for layer in LAYERS])
    for step in range(RECIPE.max_validations):
        batch = []
        for index in order.sentences(step):
            words, rows = records[index]["text"].split(), np.flatnonzero(store.columns.doc_id == index)
            owner = [word for *_, word in pieces(words)]
            targets = []
            for target in records[index]["targets"]:
                spans = []
                for start, end in (target["span1"], target["span2"]):
                    inside = [place + 1 for place, word in enumerate(owner) if start <= word < end]  # 0 is [CLS]
                    spans.append((inside[0], inside[-1] + 1))
                targets.append((spans, [float(label == target["label"]) for label in LABELS]))
            batch.append((states[:, rows], targets))
        batches.append(batch)
    return batches


@pytest.mark.parametrize(("member", "layer", "mixed"), [("layer.0", 1, None), ("mix.1", 0, 2), ("mix.2", 0, 3)])
@pytest.mark.parametrize("seed", [0, 3])
def test_a_member_is_the_probe_of_the_paper(corpus, member, layer, mixed, seed):
    result = probe(corpus, seeds=[0, 3])
    alone = ReferenceProbe(
        WIDTH, 2, 3, projection=6, hidden=5, dropout=0.3, generator=torch.Generator().manual_seed(seed), n_mixed=mixed
    )
    due = train_reference(alone, reference_batches(*corpus[0]), layer, learning_rate=1e-2, clip=0.4)
    assert losses(result, member, seed) == pytest.approx(due, abs=1e-5)
    if mixed:
        (row,) = [r for r in result.weights if (r["member"], r["seed"]) == (member, seed)]
        if result.select(member=member)[0]["best_step"] == RECIPE.max_validations:
            assert row["weights"] == pytest.approx(torch.softmax(alone.scalars, 0).tolist(), abs=1e-5)


@pytest.mark.parametrize("family", ["mlp", "linear"])
def test_training_alone_is_training_together(corpus, family):
    recipe = RECIPE.but(
        family=family, stop_after=3, halve_after=2, threshold=0.02, max_validations=25, validate_every=2
    )
    together = probe(corpus, recipe=recipe, seeds=[0, 1], lex=np.random.default_rng(5).normal(size=(12, WIDTH)))
    lengths = set()
    for member in ("layer.1", "mix.2", "lex", "embeddings"):
        alone = probe(
            corpus, recipe=recipe, seeds=[1], members=[member], lex=np.random.default_rng(5).normal(size=(12, WIDTH))
        )
        ours = losses(together, member, 1)
        lengths.add(len(ours))
        assert ours == pytest.approx(losses(alone, member, 1), abs=1e-5)
        assert together.select(member=member)[1]["f1"] == pytest.approx(alone.f1(member))
    assert len(lengths) > 1, "members should have ended at different times, or nothing left the stack"


def test_seeds_give_different_losses(corpus):
    result = probe(corpus, seeds=[0, 1], members=["layers"])
    assert losses(result, "layer.0", 0) != losses(result, "layer.0", 1)

"""Structural probes of all layers at once, compared with a direct implementation of the paper in torch.

The direct implementation (Hewitt and Manning 2019) trains one probe at a time: a padded batch of sentences, squared
differences of all pairs of projected words (b, n, n, k), an L1 loss with autograd, and Adam. Distances and depths are
trained in separate loops, and layers one after the other. Trees are random and have up to 40 words. Times include only
the epochs. Both read the same activations, ours from a store.
"""

from __future__ import annotations

import time
from statistics import median

import numpy as np
import pytest

from benchmarks.harness import report

torch = pytest.importorskip("torch", reason="no torch: probes need the extra [torch]")

from pyrepsim.probing.structural import StructuralProbeRecipe, fit_structural_probes  # noqa: E402
from pyrepsim.probing.structural.trees import GoldTree  # noqa: E402
from tests.helpers.structural_data import embedded, random_sentences, store_of  # noqa: E402

LAYERS, WIDTH, RANK, BATCH, EPOCHS, TRAIN, DEV = 13, 384, 64, 20, 3, 400, 40
RATE = 1e-3
ROUNDS = 5


@pytest.fixture(scope="module")
def sentences():
    return random_sentences(TRAIN + DEV, np.random.default_rng(0), longest=40)


@pytest.fixture(scope="module")
def layers(sentences):
    """Activations with the gold distances in a random subspace; higher layers have more noise."""
    rng = np.random.default_rng(1)
    turn = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))[0].astype(np.float32)
    trees = np.concatenate([embedded(sentence.heads, WIDTH) for sentence in sentences]) @ turn
    noise = rng.standard_normal(trees.shape, dtype=np.float32)
    return {f"layer.{i}": trees + 0.02 * i * noise for i in range(LAYERS)}


def recipe(rows, sentences, kind):
    """Train one probe of one layer; return its matrix of shape (d, k)."""
    torch.manual_seed(0)
    probe = torch.nn.Parameter((torch.rand(WIDTH, RANK) - 0.5) / 10)
    adam = torch.optim.Adam([probe], RATE)
    ends = np.cumsum([len(sentence.words) for sentence in sentences])
    words = [torch.from_numpy(part) for part in np.split(rows, ends[:-1])]
    trees = [GoldTree.of(sentence.heads, sentence.xpos, sentence.where) for sentence in sentences]
    gold = [torch.from_numpy((t.distances if kind == "distance" else t.depths).astype(np.float32)) for t in trees]
    for _ in range(EPOCHS):
        for batch in torch.randperm(len(words)).split(BATCH):
            chosen = [int(i) for i in batch]
            x = torch.nn.utils.rnn.pad_sequence([words[i] for i in chosen], batch_first=True) @ probe
            n, lengths = x.shape[1], torch.tensor([len(words[i]) for i in chosen])
            mask = (torch.arange(n) < lengths[:, None]).float()
            if kind == "distance":
                predicted = (x.unsqueeze(2) - x.unsqueeze(1)).pow(2).sum(dim=-1)
                mask = mask[:, :, None] * mask[:, None, :]
                expected = torch.stack([torch.nn.functional.pad(gold[i], [0, n - len(gold[i])] * 2) for i in chosen])
                loss = ((predicted - expected).abs() * mask).sum(dim=(1, 2)) / lengths**2
            else:
                predicted = x.pow(2).sum(dim=-1)
                expected = torch.stack([torch.nn.functional.pad(gold[i], [0, n - len(gold[i])]) for i in chosen])
                loss = ((predicted - expected).abs() * mask).sum(dim=1) / lengths
            adam.zero_grad()
            loss.mean().backward()
            adam.step()
    return probe.detach()


def fit(probe, rows, sentences):
    """Mean correlation between squared distances under a probe and distances in the trees."""
    ends, correlations = np.cumsum([len(sentence.words) for sentence in sentences]), []
    for x, sentence in zip(np.split(rows @ probe, ends[:-1]), sentences, strict=True):
        gold, square = (
            GoldTree.of(sentence.heads, sentence.xpos, sentence.where).distances,
            ((x[:, None] - x[None]) ** 2).sum(axis=-1),
        )
        if len(x) > 4:
            above = np.triu_indices(len(x), 1)
            correlations.append(np.corrcoef(square[above], gold[above])[0, 1])
    return float(np.mean(correlations))


def test_structural_probes(benchmark, sentences, layers, tmp_path):
    store = store_of(tmp_path / "store", sentences, layers)
    n_train = sum(len(sentence.words) for sentence in sentences[:TRAIN])
    train, dev = sentences[:TRAIN], sentences[TRAIN:]
    rows = layers["layer.6"]
    taken, probes = [], []

    def fit_loop():
        start = time.perf_counter()
        probes[:] = [recipe(rows[:n_train], train, kind) for kind in ("distance", "depth")]
        taken.append(time.perf_counter() - start)

    settings = StructuralProbeRecipe(epochs=EPOCHS, batch_size=BATCH, learning_rate=RATE)
    options = {"ranks": (RANK,), "recipe": settings, "progress": False}

    def ours():
        return fit_structural_probes(store, train, dev, device="cpu", **options)

    result = benchmark.pedantic(ours, setup=fit_loop, rounds=ROUNDS, warmup_rounds=1)
    columns = next(block.columns for block in result.blocks if block.kind == "distance")
    weights = result.weights[0][6][:, columns].numpy()
    fits = [fit(probe, rows[n_train:], dev) for probe in (weights, probes[0].numpy())]
    assert abs(fits[0] - fits[1]) < 0.1, fits
    facts = {"one loop per probe ratio": LAYERS * median(taken[-ROUNDS:]) / benchmark.stats.stats.median}
    report(benchmark, layers=LAYERS, rank=RANK, epochs=EPOCHS, fit=fits[0], **{"loop fit": fits[1]}, **facts)

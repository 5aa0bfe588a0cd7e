"""Losses, steps and learning rates of joint training equal those of each probe trained alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from pyrepsim.core.errors import StoreError
from pyrepsim.probing.adam import adam_step
from pyrepsim.probing.structural import StructuralProbeRecipe, fit, fit_structural_probes
from pyrepsim.probing.structural.training import (
    GoldBatch,
    TrainingState,
    _finish_epoch,
    blocks_of,
    depth_loss,
    distance_loss,
)
from pyrepsim.probing.structural.trees import GoldTree
from pyrepsim.store import ActivationStore
from tests.helpers.structural_data import TreeOfWords, embedded, random_sentences, store_of

WIDTH = 12
CPU = torch.device("cpu")
RECIPE = StructuralProbeRecipe(epochs=4, batch_size=7, learning_rate=0.02)
FEW = {"recipe": RECIPE, "device": "cpu"}


@pytest.fixture
def sentences(rng: np.random.Generator) -> list[TreeOfWords]:
    return random_sentences(40, rng)


@pytest.fixture
def store(tmp_path: Path, rng: np.random.Generator, sentences: list[TreeOfWords]) -> ActivationStore:
    """Three layers: the trees, rotated; the trees in noise; noise. In three shards, cut inside sentences."""
    trees = np.concatenate([embedded(sentence.heads, WIDTH) for sentence in sentences])
    rotation, _ = np.linalg.qr(rng.standard_normal((WIDTH, WIDTH)))
    noise = rng.standard_normal(trees.shape)
    layers = {"embeddings": trees @ rotation, "layer.0": trees + 0.5 * noise, "layer.1": noise}
    return store_of(tmp_path / "store", sentences, layers, shard_rows=-(-len(trees) // 3))


def test_losses_and_gradients_are_those_of_the_definition(sentences: list[TreeOfWords]):
    trees = [GoldTree.of(s.heads, s.xpos, s.where) for s in sentences[:5]]
    gold = GoldBatch.of(trees, CPU)
    words = torch.randn(2, sum(map(len, trees)), 3)
    for loss_of, gold_of in ((distance_loss, "distances"), (depth_loss, "depths")):
        x = words.double().requires_grad_()
        expected = []
        for layer in x:
            total = torch.zeros((), dtype=torch.float64)
            for tree, h in zip(trees, layer.split(list(map(len, trees))), strict=True):
                due = torch.from_numpy(getattr(tree, gold_of)).double()
                found = ((h[:, None] - h[None]) ** 2).sum(-1) if due.ndim == 2 else (h**2).sum(-1)
                total = total + (found - due).abs().sum() / len(tree) ** due.ndim
            expected.append(total)
        torch.stack(expected).sum().backward()
        loss, gradient = loss_of(gold.pad(words), gold)
        torch.testing.assert_close(loss, torch.stack(expected).detach().float())
        torch.testing.assert_close(gold.unpad(gradient), x.grad.float(), rtol=1e-5, atol=1e-5)


def test_steps_are_those_of_adam():
    weights = torch.randn(1, 4, 2)
    theirs = [torch.nn.Parameter(weights[..., :1].clone()), torch.nn.Parameter(weights[..., 1:].clone())]
    optimizer = torch.optim.Adam([{"params": theirs[:1], "lr": 0.1}, {"params": theirs[1:], "lr": 0.003}])
    first, second, rates = torch.zeros_like(weights), torch.zeros_like(weights), torch.tensor([[[0.1, 0.003]]])
    for step in range(1, 6):
        gradient = torch.randn(1, 4, 2)
        theirs[0].grad, theirs[1].grad = gradient[..., :1].clone(), gradient[..., 1:].clone()
        optimizer.step()
        adam_step(weights, first, second, gradient, rates, step)
        torch.testing.assert_close(weights, torch.cat([p.detach() for p in theirs], dim=-1))


def test_rates_fall_and_training_ends_as_with_torch_and_the_authors_rule():
    dev = [5, 4, 4.1, 4.05, 3, 2.99995, 2.9999, 2.9998, 2.9999, 3, 3, 3, 3, 3]
    blocks, recipe = blocks_of((1,)), StructuralProbeRecipe(epochs=40)
    state = TrainingState.begin(2, 3, blocks, recipe, seed=0)
    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.Adam([weight], lr=recipe.learning_rate)
    plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, factor=0.1, patience=0)
    best, best_epoch, rates, ended = float("inf"), -1, [], None
    for epoch, loss in enumerate(dev):
        if ended is None:
            optimizer.step()
            plateau.step(loss)
            rates.append(optimizer.param_groups[0]["lr"])
            if loss < best - 1e-4:
                best, best_epoch = loss, epoch
            elif best_epoch < epoch - 4:
                ended = epoch
    assert ended is not None
    for epoch, loss in enumerate(dev):
        if not state.running[0, 0]:
            break
        state.weights[0, :, 0] = epoch
        falling = 10.0 - epoch  # the other probes improve all the time
        _finish_epoch(state, np.array([0, 1]), np.array([[loss, falling], [falling, falling]]), blocks, recipe)
        assert state.rate[0, 0] == pytest.approx(rates[epoch])
    assert state.n_epochs[0, 0] == ended + 1
    assert (state.loss[0, 0], state.best_epoch[0, 0]) == (best, best_epoch)
    assert state.best[0, 0, 0] == best_epoch
    assert state.running.tolist() == [[False, True], [True, True]]
    assert (state.rate[:, 1] == recipe.learning_rate).all()


def test_joint_training_equals_training_alone(store: ActivationStore, sentences: list[TreeOfWords]):
    train, dev = sentences[:30], sentences[30:]
    joint = fit_structural_probes(store, train, dev, ranks=(2, 5), seeds=(0, 3), **FEW)
    assert len(joint.records) == 3 * 2 * 2
    for row in joint.records:
        options = {"layers": row.layer, "ranks": (row.rank,), "seeds": (row.seed,)}
        (alone,) = fit_structural_probes(store, train, dev, **options, **FEW).records
        assert alone.distance_loss == pytest.approx(row.distance_loss, abs=1e-5)
        assert alone.depth_loss == pytest.approx(row.depth_loss, abs=1e-5)
        assert (alone.distance_epochs, alone.depth_epochs) == (row.distance_epochs, row.depth_epochs)
        assert alone.uuas == pytest.approx(row.uuas, abs=0.02)
    by_seed = [joint.values("distance_loss", 5)[i] for i in (0, 1)]
    assert (by_seed[0] != by_seed[1]).all()


def test_a_layer_that_ends_early_does_not_change_the_others(store: ActivationStore, sentences: list[TreeOfWords]):
    """Noise stops improving first; from then on it is not read, and the others go on as alone."""
    options = FEW | {"recipe": replace(RECIPE, epochs=30, learning_rate=0.05)}
    train, dev = sentences[:30], sentences[30:]
    joint = fit_structural_probes(store, train, dev, ranks=(6,), **options)
    epochs = [max(row.distance_epochs, row.depth_epochs) for row in joint.records]
    assert epochs[2] < max(epochs[:2])
    (alone,) = fit_structural_probes(store, train, dev, ranks=(6,), layers=["embeddings"], **options).records
    assert alone.distance_loss == pytest.approx(joint.records[0].distance_loss, abs=1e-5)


def test_a_resumed_training_gives_the_same_numbers(
    store: ActivationStore,
    sentences: list[TreeOfWords],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
):
    train, dev = sentences[:30], sentences[30:]
    whole = fit_structural_probes(store, train, dev, ranks=(2, 4), seeds=(0, 1), **FEW)
    save = fit.save_state
    saved = []

    def save_and_die(path: Path, state: dict, request: dict) -> None:
        save(path, state, request)
        saved.append((path.name, state["epoch"]))
        if saved[-1] == ("seed1.pt", 2):
            raise KeyboardInterrupt

    def save_and_count(path: Path, state: dict, request: dict) -> None:
        save(path, state, request)
        saved.append((path.name, state["epoch"]))

    options = FEW | {"ranks": (2, 4), "seeds": (0, 1), "out": tmp_path / "out"}
    monkeypatch.setattr(fit, "save_state", save_and_die)
    with pytest.raises(KeyboardInterrupt):
        fit_structural_probes(store, train, dev, **options)
    saved.clear()
    monkeypatch.setattr(fit, "save_state", save_and_count)
    assert fit_structural_probes(store, train, dev, **options).records == whole.records
    assert saved == [("seed1.pt", 3), ("seed1.pt", 4)]

    with pytest.raises(StoreError, match=r"seed0\.pt differs in ranks"):
        fit_structural_probes(store, train, dev, **(options | {"ranks": (3,)}))
    with pytest.raises(StoreError, match="differs in sentences"):
        fit_structural_probes(store, train[1:], dev, **options)
    path = tmp_path / "out" / "seed0.pt"
    for state in (path, path.with_name("seed0.pt.previous")):
        state.write_bytes(state.read_bytes()[:1000])
    assert fit_structural_probes(store, train, dev, **options).records == whole.records
    assert "seed0.pt.previous.damaged-1" in caplog.text
    assert "starts from the beginning" in caplog.text


def test_the_progress_bar_shows_all_layers(
    store: ActivationStore, sentences: list[TreeOfWords], capsys: pytest.CaptureFixture[str]
):
    result = fit_structural_probes(store, sentences[:30], sentences[30:], ranks=(2, 3), progress=True, **FEW)
    shown = capsys.readouterr().err
    losses = " ".join(f"{loss:.2f}" for loss in result.values("distance_loss", 3)[0])
    assert f"epoch 4, distance {losses}, depth " in shown

"""`fit_structural_probes`: from a store of words and trees to scores of all layers, ranks and seeds.

Hewitt and Manning (2019), "A Structural Probe for Finding Syntax in Word Representations", NAACL.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ...core.errors import LayerError, OptionError
from ...core.progress import progress_bar
from ...models.loading import resolve_device
from ...store import ActivationStore
from ...version import __version__
from ..checkpoint import load_state, save_state
from .data import SentenceReader, StoredSentences, TreeSentence, find_sentences
from .result import StructuralProbeResult, StructuralRecord, score_probes
from .training import Block, StructuralProbeRecipe, TrainingState, blocks_of, train

__all__ = ["fit_structural_probes"]


def fit_structural_probes(
    store: ActivationStore,
    sentences: Sequence[TreeSentence],
    dev_sentences: Sequence[TreeSentence],
    *,
    test_sentences: Sequence[TreeSentence] | None = None,
    dev_store: ActivationStore | None = None,
    test_store: ActivationStore | None = None,
    layers: str | Sequence[str | int] = "all",
    ranks: Sequence[int] = (128,),
    seeds: Sequence[int] = (0,),
    recipe: StructuralProbeRecipe | None = None,
    device: str = "auto",
    out: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> StructuralProbeResult:
    """Train distance and depth probes on all layers together, and score the trees that they predict.

    A probe is a matrix B (k x d). Distances between words are d(i, j) = |B(h_i - h_j)|^2 and depths are |B h_i|^2. The
    losses are the means over sentences of sum_ij |d(i, j) - d_gold(i, j)| / n^2, and of sum_i |depth - gold| / n,
    where the gold distances are path lengths in the dependency tree (Hewitt and Manning, 2019, section 3). The
    optimiser is Adam. The learning rate is divided by ten after each epoch that does not lower the dev loss by a
    fraction of 1e-4. The weights of the lowest dev loss are kept (if it is lower by more than 1e-4), and training ends
    five epochs after them. All layers and ranks are trained in one pass over the store per epoch, seeds one after the
    other; each probe becomes the same as if it were trained alone.

    Parameters
    ----------
    store : ActivationStore
        Made by ``extract(..., words="mean")`` from the same sentences: a row per word, a document per sentence.
    sentences, dev_sentences, test_sentences : sequences of sentences
        Sentences with `words`, `heads`, `xpos` and `where`, as `pyrepsim.data.conllu.read_conllu` returns. The test
        sentences are scored if there are any, otherwise the dev sentences. A sentence is found in its store by its
        words.
    dev_store, test_store : ActivationStore, optional
        The stores of dev and test sentences. Default: `store`.
    layers : str or sequence of str and int, default "all"
        Names and indices of layers.
    ranks : sequence of int, default (128,)
        Ranks k, each at most the width of the layers.
    seeds : sequence of int, default (0,)
        Seeds of the first B and the order of sentences.
    recipe : StructuralProbeRecipe, optional
        Epochs, batch size and learning rate. Default: those of the authors.
    device : str, default "auto"
        A torch device; "auto" is a GPU if there is one.
    out : path, optional
        Folder for ``seed<n>.pt``, written after each epoch. The same call continues from it and gives the same numbers.
    progress : bool, optional
        Show epochs and the dev losses of all layers at the largest rank. None: on a terminal and in a notebook; lines
        in a log.

    Returns
    -------
    StructuralProbeResult

    Raises
    ------
    RowMismatchError, StoreError
        If a store lacks sentences or is not a store of words, or `out` holds another training.
    LayerError, OptionError, TextError, ShapeError, BackendError
        If layers are missing or have different widths, an option is outside its domain, heads do not form a tree, or
        the device cannot be used.

    Examples
    --------
    The vector of a word is the sum of the directions of its arcs, so the layer holds the trees exactly:

    >>> import numpy as np, pyrepsim as rs
    >>> from types import SimpleNamespace
    >>> from pyrepsim.probing.structural import StructuralProbeRecipe, fit_structural_probes
    >>> from pyrepsim.store.columns import word_hashes
    >>> chain = SimpleNamespace(words="the old cat".split(), heads=[0, 1, 2], xpos=["NN"] * 3, where="toy:1")
    >>> star = SimpleNamespace(words="we saw you".split(), heads=[2, 0, 2], xpos=["NN"] * 3, where="toy:2")
    >>> vectors = [[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 1]]
    >>> store = rs.write_store("words", {"layer.0": np.array(vectors, "float32")}, columns={
    ...     "doc_id": np.repeat([0, 1], 3), "position": np.tile([0, 1, 2], 2),
    ...     "token_id": word_hashes([*chain.words, *star.words])})
    >>> recipe = StructuralProbeRecipe(epochs=40, batch_size=2, learning_rate=0.1)
    >>> trees = [chain, star]
    >>> result = fit_structural_probes(store, trees, trees, ranks=[3], recipe=recipe, device="cpu", progress=False)
    >>> result.records[0].uuas, result.records[0].root
    (1.0, 1.0)
    """
    torch_device = resolve_device(device)
    recipe = StructuralProbeRecipe() if recipe is None else recipe
    trained = find_sentences(store, sentences)
    dev = find_sentences(dev_store or store, dev_sentences)
    scored = dev if test_sentences is None else find_sentences(test_store or store, test_sentences)
    names, width = _choose_layers(layers, [trained, dev, scored])
    ranks, seeds = _check_options(ranks, seeds, width, recipe)
    blocks = blocks_of(ranks)
    states = {}
    with SentenceReader(trained, names) as reader, SentenceReader(dev, names) as dev_reader:
        for seed in seeds:
            states[seed] = _train_seed(seed, blocks, recipe, width, reader, dev_reader, torch_device, out, progress)
    weights = {seed: state.best for seed, state in states.items()}
    with SentenceReader(scored, names) as reader:
        scores, correct = score_probes(reader, weights, blocks, device=torch_device, progress=progress)
    records = [
        _record(
            states[seed], blocks, {name: values[r, i] for name, values in scores[seed].items()}, i, layer, rank, seed
        )
        for seed in seeds
        for r, rank in enumerate(ranks)
        for i, layer in enumerate(names)
    ]
    on_cpu = {seed: tensor.cpu() for seed, tensor in weights.items()}
    return StructuralProbeResult(tuple(records), names, ranks, seeds, scored, on_cpu, blocks, correct)


def _train_seed(
    seed: int,
    blocks: tuple[Block, ...],
    recipe: StructuralProbeRecipe,
    width: int,
    reader: SentenceReader,
    dev_reader: SentenceReader,
    device: torch.device,
    out: str | os.PathLike[str] | None,
    progress: bool | None,
) -> TrainingState:
    """Train the probes of one seed, or continue their training from `out`."""
    path = None if out is None else Path(out) / f"seed{seed}.pt"
    request: dict[str, Any] = {
        "seed": seed,
        "layers": list(reader.layers),
        "ranks": [block.rank for block in blocks],
        "sentences": reader.stored.fingerprint,
        "dev_sentences": dev_reader.stored.fingerprint,
        "recipe": asdict(recipe),
        "version": __version__,
    }
    saved = None if path is None else load_state(path, request)
    if saved is None:
        state = TrainingState.begin(len(reader.layers), width, blocks, recipe, seed)
    else:
        state = TrainingState.restored(saved)
    state.to(device)
    n_sentences = len(reader.stored)
    with progress_bar(recipe.epochs * n_sentences, progress, desc=f"seed {seed}", unit=" sentences") as bar:

        def after_epoch(state: TrainingState) -> None:
            if path is not None:
                save_state(path, state.record(), request)
            bar.set_postfix_str(_losses_text(state, blocks), refresh=False)
            bar.update(n_sentences)

        bar.update(state.epoch * n_sentences)
        train(state, blocks, recipe, seed, reader, dev_reader, device=device, after_epoch=after_epoch)
    return state


def _losses_text(state: TrainingState, blocks: Sequence[Block]) -> str:
    """Return the epoch and the lowest dev losses of all layers at the largest rank, for the progress bar."""
    largest = max(block.rank for block in blocks)
    parts = [f"epoch {state.epoch}"]
    for b, block in enumerate(blocks):
        if block.rank == largest:
            parts.append(f"{block.kind} {' '.join(f'{loss:.2f}' for loss in state.loss[:, b])}")
    return ", ".join(parts)


def _record(
    state: TrainingState,
    blocks: Sequence[Block],
    scores: dict[str, Any],
    index: int,
    layer: str,
    rank: int,
    seed: int,
) -> StructuralRecord:
    values: dict[str, Any] = {name: float(value) for name, value in scores.items()}
    for b, block in enumerate(blocks):
        if block.rank == rank:
            values[f"{block.kind}_loss"] = float(state.loss[index, b])
            values[f"{block.kind}_epochs"] = int(state.n_epochs[index, b])
    return StructuralRecord(layer=layer, rank=rank, seed=seed, **values)


def _choose_layers(layers: str | Sequence[str | int], splits: Sequence[StoredSentences]) -> tuple[tuple[str, ...], int]:
    """Return the names of the chosen layers, in the order of the first store, and their common width."""
    first = splits[0].store
    requested = first.layers if layers == "all" else [layers] if isinstance(layers, str) else layers
    chosen = {first[layer].name for layer in requested}
    names = tuple(name for name in first.layers if name in chosen)
    if not names:
        raise OptionError("layers must name at least one layer: got none. Use layers='all'.")
    width = first.widths[names[0]]
    for split in splits:
        for name in names:
            if split.store[name].shape[1] != width:
                raise LayerError(
                    f"Layers that are probed together have one width: {names[0]} of {first.path} has {width}, {name} "
                    f"of {split.store.path} has {split.store.widths[name]}. Choose others with layers=."
                )
    return names, width


def _check_options(
    ranks: Sequence[int], seeds: Sequence[int], width: int, recipe: StructuralProbeRecipe
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    for name, values, smallest, largest in (("ranks", ranks, 1, width), ("seeds", seeds, 0, None)):
        whole = all(isinstance(value, int) and not isinstance(value, bool) and value >= smallest for value in values)
        if not whole or not values or len(set(values)) < len(values) or (largest and max(values) > largest):
            raise OptionError(
                f"{name} must be different whole numbers of at least {smallest}"
                f"{f' and at most {largest}, the width' if largest else ''}: got {list(values)}."
            )
    if recipe.epochs < 1 or recipe.batch_size < 1 or not 0 < recipe.learning_rate < float("inf"):
        raise OptionError(f"epochs and batch_size must be at least 1, learning_rate positive: got {recipe}.")
    return tuple(ranks), tuple(seeds)

"""The structural probe: is the syntax tree of a sentence there, as distances between its words?

Hewitt and Manning (2019), A Structural Probe for Finding Syntax in Word Representations, NAACL.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import BackendError, LayerError, OptionError
from ...core.progress import progress_bar
from ...store import ActivationStore
from .scores import evaluate
from .trees import PUNCTUATION

if TYPE_CHECKING:
    import torch

    from .data import SentenceReader, StoredSentences, TreeSentence
    from .results import StructuralProbeResult, StructuralRow
    from .training import Block, Recipe, TrainingState

__all__ = ["PUNCTUATION", "evaluate", "structural_probe"]


def structural_probe(
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
    epochs: int = 40,
    batch_size: int = 20,
    learning_rate: float = 1e-3,
    device: str = "auto",
    out: str | os.PathLike[str] | None = None,
    progress: bool | None = None,
) -> StructuralProbeResult:
    """Train distance and depth probes on all layers at once, and score the trees that they predict.

    A probe is a matrix B (d x k). Distances between words are d(i, j) = |B(h_i - h_j)|^2 and depths |B h_i|^2; the
    losses are the means over sentences of sum_ij |d(i, j) - d_gold(i, j)| / n^2, and of sum_i |depth - gold| / n, with
    path lengths in the dependency tree as gold. Adam; the learning rate falls tenfold after each epoch that does not
    lower the dev loss by 1e-4 of it; the weights of the lowest dev loss are kept (if lower by more than 1e-4), and
    training ends five epochs after it. All layers and ranks are trained side by side from one reading of the store an
    epoch, seeds one after the other; each probe ends as it would if trained alone.

    Parameters
    ----------
    store : ActivationStore
        Made by ``extract(..., words="mean")`` from the same sentences: a row per word, a document per sentence.
    sentences, dev_sentences, test_sentences
        Sentences with `words`, `heads`, `xpos` and `where`, as `pyrepsim.data.conllu.read_conllu` gives. Scores are of
        the test sentences if there are any, else of the dev sentences. A sentence is found in its store by its words.
    dev_store, test_store : ActivationStore, optional
        Where dev and test sentences are; default, `store`.
    layers : "all" (default), or names and indices
    ranks : default (128,)
        Each k up to the layers' width.
    seeds : default (0,)
        They draw the first B and the order of sentences.
    epochs, batch_size, learning_rate
        Epochs at most, sentences a batch, and the rate to start with; defaults of the authors.
    device : default "auto", a GPU if there is one
    out : path, optional
        Folder for ``seed<n>.safetensors``, written after each epoch: the same call goes on from there, to the same
        numbers.
    progress : bool, optional
        Show epochs and all layers' dev losses at the largest rank; None shows them on a terminal only.

    Returns
    -------
    StructuralProbeResult

    Raises
    ------
    RowMismatchError, StoreError
        If a store lacks sentences or is not one of words, or `out` holds another run.
    LayerError, OptionError, TextError, ShapeError, BackendError
        For layers of different width or that a store lacks, other options out of range, heads that make no tree, and a
        device that is not there.
    """
    from .data import SentenceReader, find_sentences
    from .predictions import score_probes
    from .results import StructuralProbeResult
    from .training import Recipe, blocks_of

    target = _device(device)
    recipe = Recipe(epochs, batch_size, learning_rate)
    trained = find_sentences(store, sentences)
    dev = find_sentences(dev_store or store, dev_sentences)
    scored = dev if test_sentences is None else find_sentences(test_store or store, test_sentences)
    names, width = _layers(layers, [trained, dev, scored])
    ranks, seeds = _check_options(ranks, seeds, width, recipe)
    blocks = blocks_of(ranks)
    states = {}
    with SentenceReader(trained, names) as reader, SentenceReader(dev, names) as dev_reader:
        for seed in seeds:
            states[seed] = _train_seed(seed, blocks, recipe, width, reader, dev_reader, target, out, progress)
    weights = {seed: state.best for seed, state in states.items()}
    with SentenceReader(scored, names) as reader:
        scores = score_probes(reader, weights, blocks, device=target, progress=progress)
    rows = [
        _row(states[seed], blocks, {name: values[r, i] for name, values in scores[seed].items()}, i, layer, rank, seed)
        for seed in seeds
        for r, rank in enumerate(ranks)
        for i, layer in enumerate(names)
    ]
    on_cpu = {seed: tensor.cpu() for seed, tensor in weights.items()}
    return StructuralProbeResult(tuple(rows), names, ranks, seeds, scored, on_cpu, blocks)


def _train_seed(
    seed: int,
    blocks: tuple[Block, ...],
    recipe: Recipe,
    width: int,
    reader: SentenceReader,
    dev_reader: SentenceReader,
    device: torch.device,
    out: str | os.PathLike[str] | None,
    progress: bool | None,
) -> TrainingState:
    """Train the probes of one seed, or what of it `out` lacks."""
    from .state import load_state, save_state
    from .training import TrainingState, train

    path = None if out is None else Path(out) / f"seed{seed}.safetensors"
    run: dict[str, Any] = {
        "seed": seed,
        "layers": list(reader.layers),
        "ranks": [block.rank for block in blocks],
        "sentences": reader.stored.fingerprint,
        "dev sentences": dev_reader.stored.fingerprint,
        "options": asdict(recipe),
    }
    state = load_state(path, run) if path is not None else None
    if state is None:
        state = TrainingState.begin(len(reader.layers), width, blocks, recipe, seed)
    state.to(device)
    n_sentences = len(reader.stored)
    with progress_bar(recipe.epochs * n_sentences, progress, desc=f"seed {seed}", unit=" sentences") as bar:

        def after_epoch(state: TrainingState) -> None:
            if path is not None:
                save_state(path, state, run)
            bar.set_postfix_str(_losses_in_words(state, blocks), refresh=False)
            bar.update(n_sentences)

        bar.update(state.epoch * n_sentences)
        train(state, blocks, recipe, seed, reader, dev_reader, device=device, after_epoch=after_epoch)
    return state


def _losses_in_words(state: TrainingState, blocks: Sequence[Block]) -> str:
    """Epoch and the lowest dev losses of all layers, at the largest rank: what the progress bar ends with."""
    largest = max(block.rank for block in blocks)
    parts = [f"epoch {state.epoch}"]
    for b, block in enumerate(blocks):
        if block.rank == largest:
            parts.append(f"{block.kind} {' '.join(f'{loss:.2f}' for loss in state.loss[:, b])}")
    return ", ".join(parts)


def _row(
    state: TrainingState,
    blocks: Sequence[Block],
    scores: dict[str, Any],
    index: int,
    layer: str,
    rank: int,
    seed: int,
) -> StructuralRow:
    from .results import StructuralRow

    found: dict[str, Any] = {name: float(value) for name, value in scores.items()}
    for b, block in enumerate(blocks):
        if block.rank == rank:
            found[f"{block.kind}_loss"] = float(state.loss[index, b])
            found[f"{block.kind}_epochs"] = int(state.n_epochs[index, b])
    return StructuralRow(layer=layer, rank=rank, seed=seed, **found)


def _layers(layers: str | Sequence[str | int], parts: Sequence[StoredSentences]) -> tuple[tuple[str, ...], int]:
    """Names of the chosen layers, in the order of the first store, and their common width."""
    first = parts[0].store
    wanted = first.layers if layers == "all" else [layers] if isinstance(layers, str) else layers
    chosen = {first[layer].name for layer in wanted}
    names = tuple(name for name in first.layers if name in chosen)
    if not names:
        raise OptionError("layers must name at least one layer: got none. Use layers='all'.")
    width = first.widths[names[0]]
    for part in parts:
        for name in names:
            if part.store[name].shape[1] != width:
                raise LayerError(
                    f"Layers that are probed together have one width: {names[0]} of {first.path} has {width}, {name} "
                    f"of {part.store.path} has {part.store.widths[name]}. Choose others with layers=."
                )
    return names, width


def _check_options(
    ranks: Sequence[int], seeds: Sequence[int], width: int, recipe: Recipe
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    for name, values, least, most in (("ranks", ranks, 1, width), ("seeds", seeds, 0, None)):
        whole = all(isinstance(value, int) and not isinstance(value, bool) and value >= least for value in values)
        if not whole or not values or len(set(values)) < len(values) or (most and max(values) > most):
            raise OptionError(
                f"{name} must be different whole numbers of at least {least}"
                f"{f' and at most {most}, the width' if most else ''}: got {list(values)}."
            )
    if recipe.epochs < 1 or recipe.batch_size < 1 or not 0 < recipe.learning_rate < float("inf"):
        raise OptionError(f"epochs and batch_size are at least 1, learning_rate is positive: got {recipe}.")
    return tuple(ranks), tuple(seeds)


def _device(name: str) -> torch.device:
    import torch

    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).strip().splitlines()[0]
        raise BackendError(
            f"The device must be one that torch can use here: {name!r} is not ({reason}). Use device='cpu', or 'auto'."
        ) from error
    return device

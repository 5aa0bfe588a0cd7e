"""What trained probes say of sentences, and how right they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from ...core.progress import progress_bar
from .data import SentenceReader
from .scores import TreeScores
from .training import Block, project

__all__ = ["predictions", "score_probes"]

_AT_ONCE = 20  # sentences


def score_probes(
    reader: SentenceReader,
    weights: Mapping[int, torch.Tensor],
    blocks: Sequence[Block],
    *,
    device: torch.device,
    progress: bool | None,
) -> dict[int, dict[str, np.ndarray]]:
    """For each seed, whose probes are (layers, d, K), the scores of each probe: (ranks, layers).

    The sentences are read once. The names of scores are those of `evaluate`.
    """
    sentences = reader.stored
    n_layers = len(next(iter(weights.values())))
    n_ranks = len(blocks) // 2
    on_device = {seed: probes.to(device) for seed, probes in weights.items()}
    scores = {seed: TreeScores(n_ranks * n_layers) for seed in weights}
    with progress_bar(len(sentences), progress, desc="scoring", unit=" sentences", passing=True) as bar:
        for start in range(0, len(sentences), _AT_ONCE):
            chosen = np.arange(start, min(start + _AT_ONCE, len(sentences)))
            hidden = torch.from_numpy(reader.read(chosen)).to(device)
            lengths = [len(sentences.trees[i]) for i in chosen]
            for seed, probes in on_device.items():
                for i, words in zip(chosen, project(hidden, probes).split(lengths, dim=1), strict=True):
                    scores[seed].add(*predictions(words, blocks), sentences.trees[i])
            bar.update(len(chosen))
    return {
        seed: {name: values.reshape(n_ranks, n_layers) for name, values in found.result().items()}
        for seed, found in scores.items()
    }


def predictions(words: torch.Tensor, blocks: Sequence[Block]) -> tuple[np.ndarray, np.ndarray]:
    """Distances (p, n, n) and depths (p, n) of a sentence from its projected words (layers, n, K).

    p counts layers, then ranks: rank r of layer l is r n_layers + l. Distances are sums of squared differences, so
    that equal words are at distance 0, which the products of the training would miss by a rounding.
    """
    distances, depths = [], []
    for block in blocks:
        x = words[..., block.columns].contiguous()
        if block.kind == "distance":
            found = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
            distances.append(found.square_().cpu().numpy())
        else:
            depths.append((x * x).sum(dim=-1).cpu().numpy())
    return np.concatenate(distances), np.concatenate(depths)

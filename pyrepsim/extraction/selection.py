"""From hidden states to rows: gather on the device, pool subwords, refuse what is not finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from ..errors import LayerError, NonFiniteError, OptionError
from ..models import Encoder
from .documents import Corpus
from .layout import Batch


class Selector:
    """Runs batches through an encoder and keeps the planned rows of the chosen layers.

    Padding never leaves the device: each layer is gathered once, (sequences, tokens, width) -> (rows, width).
    """

    def __init__(self, encoder: Encoder, layers: Sequence[str], *, pooling: str | None) -> None:
        names = list(encoder.layers)
        self._encoder = encoder
        self._layers = {layer: names.index(layer) for layer in layers}
        self._pooling = pooling

    def rows(self, batch: Batch) -> dict[str, torch.Tensor]:
        """The batch's rows, (rows, width) per layer, in the order of ``batch.rows``, on the device."""
        device = self._encoder.device
        ids = torch.from_numpy(batch.ids).to(device)
        mask = ids >= 0
        states = self._encoder.hidden_states(ids.masked_fill(~mask, self._encoder.pad_id), mask.long())
        with torch.inference_mode():
            if self._pooling == "mean":
                pool = _MeanPool(batch, device)
            else:
                pool = _Pick(batch, device)
            return {layer: pool(states[index].flatten(0, 1)) for layer, index in self._layers.items()}


class _Pick:
    """The first token of each row."""

    def __init__(self, batch: Batch, device: torch.device) -> None:
        self._picks = torch.from_numpy(batch.picks).to(device)

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens.index_select(0, self._picks)


class _MeanPool:
    """The mean of each row's tokens, in float32, summed in reading order: the same bits on every run."""

    def __init__(self, batch: Batch, device: torch.device) -> None:
        self._counts = torch.from_numpy(batch.counts).to(device, torch.float32).unsqueeze(1)
        self._steps = []
        for step in range(int(batch.counts.max(initial=1))):
            rows = np.flatnonzero(batch.counts > step)
            self._steps.append(
                (torch.from_numpy(rows).to(device), torch.from_numpy(batch.picks[rows] + step).to(device))
            )

    def __call__(self, tokens: torch.Tensor) -> torch.Tensor:
        total = tokens.index_select(0, self._steps[0][1]).float()
        for rows, picks in self._steps[1:]:  # a row appears once per step, so the order of additions is fixed
            total.index_add_(0, rows, tokens.index_select(0, picks).float())
        return total.div_(self._counts)


def largest(rows: Mapping[str, torch.Tensor]) -> torch.Tensor:
    """The largest magnitude per layer, NaN if there is one; one transfer from the device for all layers."""
    extremes = [torch.stack(torch.aminmax(values)).float() for values in rows.values()]
    return torch.stack(extremes).abs().amax(dim=1).cpu()


def check_finite(
    rows: Mapping[str, torch.Tensor], magnitudes: torch.Tensor, doc_id: np.ndarray, corpus: Corpus, name: str
) -> None:
    """Raise NonFiniteError naming layer and document of the first NaN or infinity."""
    if bool(torch.isfinite(magnitudes).all()):
        return
    layer = list(rows)[int((~torch.isfinite(magnitudes)).nonzero()[0, 0])]
    bad = ~torch.isfinite(rows[layer].float()).all(dim=1).cpu().numpy()  # in float32, as the magnitudes
    document = corpus[int(doc_id[bad].min())]
    raise NonFiniteError(
        f"Activations must be finite: {name!r} gives NaN or infinity in layer {layer!r} for document "
        f"{document.key!r} ({document.text[:40]!r}). Check its weights, or leave that document out."
    )


def choose_layers(encoder: Encoder, layers: str | Sequence[str | int]) -> list[str]:
    """Names of the layers asked for, in the model's order; "all", names, or (negative) indices."""
    known = list(encoder.layers)
    if isinstance(layers, str):
        if layers == "all":
            return known
        layers = [layers]
    chosen = set()
    for layer in layers:
        if isinstance(layer, (int, np.integer)) and -len(known) <= layer < len(known):
            chosen.add(known[layer])
        elif layer in known:
            chosen.add(layer)
        else:
            raise LayerError(f"layers must be of {encoder.name!r}: it has {', '.join(known)}; got {layer!r}.")
    if not chosen:
        raise OptionError("layers must name at least one layer: got none. Use layers='all'.")
    return [layer for layer in known if layer in chosen]

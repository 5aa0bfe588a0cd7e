"""The result of structural probes: scores by layer, rank and seed, and predicted trees."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...core.errors import LayerError, OptionError
from ...core.progress import progress_bar
from ...core.text import printable
from ...results.tables import write_csv
from .data import SentenceReader, StoredSentences, TreeSentence
from .scores import TreeScores, predicted_roots
from .training import Block, project
from .trees import GoldTree, content_trees

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PredictedTree", "StructuralProbeResult", "StructuralRecord", "predictions", "score_probes"]

_BATCH = 20  # sentences that are scored together
_TITLES = {"uuas": "UUAS", "root": "root accuracy", "dspr": "DSpr", "nspr": "NSpr"}
_PERCENT = ("uuas", "root")
_DECIMALS = {"uuas": 1, "root": 1, "dspr": 3, "nspr": 3, "distance_loss": 3, "depth_loss": 3}


@dataclass(frozen=True)
class StructuralRecord:
    """The probes of one layer, rank and seed.

    Attributes
    ----------
    layer, rank, seed : the probes.
    distance_loss, depth_loss : dev losses of the weights that were kept.
    uuas, root : in [0, 1]; dspr, nspr : in [-1, 1]; on the scored sentences, as `evaluate` defines them.
    distance_epochs, depth_epochs : number of epochs that the probes were trained.
    """

    layer: str
    rank: int
    seed: int
    distance_loss: float
    depth_loss: float
    uuas: float
    dspr: float
    nspr: float
    root: float
    distance_epochs: int
    depth_epochs: int


@dataclass(frozen=True, eq=False)
class PredictedTree:
    """The prediction of one probe for a sentence of n words.

    Attributes
    ----------
    sentence : the sentence.
    distances : (n, n) squared distances between words.
    depths : (n,) squared norms of words.
    edges : (m - 1, 2) words i < j of each edge of the spanning tree over the m words that are not punctuation.
    root : the word of the smallest depth among these.
    gold : the tree of the treebank.
    layer, rank, seed : the probe.
    """

    sentence: TreeSentence
    distances: np.ndarray
    depths: np.ndarray
    edges: np.ndarray
    root: int
    gold: GoldTree
    layer: str
    rank: int
    seed: int


@dataclass(frozen=True, eq=False, repr=False)
class StructuralProbeResult:
    """Scores of structural probes. Made by `fit_structural_probes`.

    Attributes
    ----------
    records : tuple of StructuralRecord
        In the order of seeds, then ranks, then layers.
    layers, ranks, seeds : tuple
        What was probed; layers in the order of the store.
    scored : StoredSentences
        The sentences that were scored.
    weights : dict from int to tensor of shape (n_layers, width, n_columns)
        For each seed, the matrices B of all probes; see `blocks`.
    blocks : tuple of Block
        The columns of each probe.
    correct_edges : ndarray of shape (n_seeds, n_ranks, n_layers, n_sentences)
        The number of edges of each scored sentence's gold tree that are predicted.
    """

    records: tuple[StructuralRecord, ...]
    layers: tuple[str, ...]
    ranks: tuple[int, ...]
    seeds: tuple[int, ...]
    scored: StoredSentences
    weights: dict[int, torch.Tensor]
    blocks: tuple[Block, ...]
    correct_edges: np.ndarray

    @property
    def best_layer(self) -> str:
        """The layer with the highest UUAS at the largest rank, mean over seeds; the first of several.

        It is chosen on the sentences that were scored. Report it as such, or choose a layer on dev and score test.
        """
        values = self.values("uuas", max(self.ranks)).mean(axis=0)
        return self.layers[int(np.argmax(np.where(np.isnan(values), -math.inf, values)))]

    @property
    def top_layer(self) -> str:
        """The last layer that was probed."""
        return self.layers[-1]

    def values(self, score: str, rank: int) -> np.ndarray:
        """Return one field of `records` as an array of shape (n_seeds, n_layers)."""
        values = [getattr(record, score) for record in self.records if record.rank == rank]
        return np.array(values, dtype=np.float64).reshape(len(self.seeds), len(self.layers))

    def edge_counts(self, rank: int, layer: str) -> np.ndarray:
        """Return correct, predicted and gold edges of each scored sentence, (n_seeds, n_sentences, 3).

        These are the counts of `pyrepsim.probing.documents.jackknifed_f1`, whose F1 is UUAS.
        """
        correct = self.correct_edges[:, self.ranks.index(rank), self.layers.index(layer)]
        edges = np.broadcast_to([len(tree.edges) for tree in self.scored.trees], correct.shape)
        return np.stack([correct, edges, edges], axis=-1)

    def table(self) -> str:
        """Return the scores as text: UUAS and root accuracy in percent, several seeds as mean and standard deviation.

        The note marks the best layer and the last one.
        """
        names = {name: f"{name} (%)" if name in _PERCENT else name.replace("_", " ") for name in _DECIMALS}
        lines = [("layer", "rank", *names.values(), "")]
        for rank in self.ranks:
            columns = {name: self.values(name, rank) * (100 if name in _PERCENT else 1) for name in _DECIMALS}
            for i, layer in enumerate(self.layers):
                cells = (_cell_text(values[:, i], _DECIMALS[name]) for name, values in columns.items())
                lines.append((layer, str(rank), *cells, self._note(layer, rank)))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        lines.insert(1, (*("-" * width for width in widths[:-1]), ""))

        def aligned(cells: Sequence[str]) -> str:
            padded = [cells[0].ljust(widths[0]), *map(str.rjust, cells[1:-1], widths[1:-1]), cells[-1]]
            return "  ".join(padded).rstrip()

        seeds = f", mean ± standard deviation of {len(self.seeds)} seeds" if len(self.seeds) > 1 else ""
        caption = f"structural probes on {self.scored.store.path}, {len(self.scored):,} sentences{seeds}"
        return "\n".join(map(printable, [caption, *map(aligned, lines)]))

    def _note(self, layer: str, rank: int) -> str:
        notes = [name for name, marked in (("best", self.best_layer), ("top", self.top_layer)) if layer == marked]
        return ", ".join(notes) if rank == max(self.ranks) else ""

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write `records`, one per line."""
        return write_csv(path, [field.name for field in fields(StructuralRecord)], map(asdict, self.records))

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw the four scores over the layers, a line for each rank; write the figure to `path` if one is given.

        With several seeds, bands are one standard deviation wide on each side.
        """
        from ...results.figures import save
        from ...results.lines import MAX_TICKS, Line, draw_lines
        from ...results.style import new_figure, styled

        with styled():
            figure = new_figure(max(7.4, 0.9 * min(len(self.layers), MAX_TICKS)), 5.6)
            for ax, (score, title) in zip(figure.subplots(2, 2, sharex=True).flat, _TITLES.items(), strict=True):
                lines = []
                for rank in self.ranks:
                    values = self.values(score, rank)
                    mean, spread = values.mean(axis=0), values.std(axis=0, ddof=1) if len(values) > 1 else None
                    band = {} if spread is None else {"low": list(mean - spread), "high": list(mean + spread)}
                    lines.append(Line(f"rank {rank}", range(len(self.layers)), list(mean), **band))
                percent = score in _PERCENT
                draw_lines(ax, lines, ticks=self.layers, percent=percent, title=f"{title} (%)" if percent else title)
            if len(self.ranks) > 1:
                handles = figure.axes[0].get_legend_handles_labels()
                columns = min(len(self.ranks), 6)
                figure.legend(*handles, loc="outside upper right", ncols=columns, frameon=False, fontsize=8.5)
        if path is not None:
            save(figure, path)
        return figure

    def predict(
        self,
        sentence: int | TreeSentence,
        *,
        layer: str | None = None,
        rank: int | None = None,
        seed: int | None = None,
    ) -> PredictedTree:
        """Return the predicted tree of one of the scored sentences, given by itself or by its index.

        Default: the best layer, the largest rank, the first seed.
        """
        layer = self.best_layer if layer is None else layer
        rank = max(self.ranks) if rank is None else rank
        seed = self.seeds[0] if seed is None else seed
        if layer not in self.layers:
            raise LayerError(f"layer must be one of those probed, {', '.join(self.layers)}: got {layer!r}.")
        for name, value, known in (("rank", rank, self.ranks), ("seed", seed, self.seeds)):
            if value not in known:
                raise OptionError(f"{name} must be one of those probed, {', '.join(map(str, known))}: got {value!r}.")
        index = self._index(sentence)
        with SentenceReader(self.scored, [layer]) as reader:
            hidden = torch.from_numpy(reader.read([index]))
        blocks = [block for block in self.blocks if block.rank == rank]
        place = self.layers.index(layer)
        distances, depths = predictions(project(hidden, self.weights[seed][place : place + 1]), blocks)
        tree = self.scored.trees[index]
        return PredictedTree(
            self.scored.sentences[index],
            distances[0],
            depths[0],
            content_trees(distances, tree.content)[0],
            int(predicted_roots(depths, tree.content)[0]),
            tree,
            layer,
            rank,
            seed,
        )

    def plot_tree(
        self,
        sentence: int | TreeSentence,
        path: str | os.PathLike[str] | None = None,
        *,
        layer: str | None = None,
        rank: int | None = None,
        seed: int | None = None,
    ) -> Figure:
        """Draw a sentence with its gold tree above and its predicted tree below; options as in `predict`.

        Punctuation is grey and in neither tree. Edges that are in only one of the trees have another colour. An arrow
        from outside points at the root of each tree.
        """
        from ...results.figures import save
        from .figures import draw_trees

        figure = draw_trees(self.predict(sentence, layer=layer, rank=rank, seed=seed))
        if path is not None:
            save(figure, path)
        return figure

    def _index(self, sentence: int | TreeSentence) -> int:
        known = self.scored.sentences
        if isinstance(sentence, int | np.integer):
            if not -len(known) <= sentence < len(known):
                raise OptionError(f"There are {len(known)} scored sentences: got index {sentence}.")
            return int(sentence) % len(known)
        for i, other in enumerate(known):
            if other is sentence or (tuple(other.words), other.where) == (tuple(sentence.words), sentence.where):
                return i
        raise OptionError(f"The sentence must be one of the {len(known)} scored: {sentence.where} is not.")

    def __repr__(self) -> str:
        means = 100 * self.values("uuas", max(self.ranks)).mean(axis=0)
        best, top = (means[self.layers.index(name)] for name in (self.best_layer, self.top_layer))
        return (
            f"StructuralProbeResult({len(self.layers)} layers, ranks {', '.join(map(str, self.ranks))}, "
            f"{len(self.seeds)} seeds; UUAS {best:.1f} % at {self.best_layer}, {top:.1f} % at the top)"
        )


def _cell_text(values: np.ndarray, decimals: int) -> str:
    mean = f"{values.mean():.{decimals}f}"
    return mean if len(values) == 1 else f"{mean} ± {values.std(ddof=1):.{decimals}f}"


def score_probes(
    reader: SentenceReader,
    weights: Mapping[int, torch.Tensor],
    blocks: Sequence[Block],
    *,
    device: torch.device,
    progress: bool | None,
) -> tuple[dict[int, dict[str, np.ndarray]], np.ndarray]:
    """Return, for each seed, the scores of `evaluate` of each probe, (ranks, layers), and all counts of correct edges.

    These have shape (seeds, ranks, layers, sentences). `weights` are the probes of each seed, (layers, d, K). The
    sentences are read once.
    """
    sentences = reader.stored
    n_layers = len(next(iter(weights.values())))
    n_ranks = len(blocks) // 2
    on_device = {seed: probes.to(device) for seed, probes in weights.items()}
    scores = {seed: TreeScores(n_ranks * n_layers) for seed in weights}
    with progress_bar(len(sentences), progress, desc="scoring", unit=" sentences", transient=True) as bar:
        for start in range(0, len(sentences), _BATCH):
            chosen = np.arange(start, min(start + _BATCH, len(sentences)))
            hidden = torch.from_numpy(reader.read(chosen)).to(device)
            lengths = [len(sentences.trees[i]) for i in chosen]
            for seed, probes in on_device.items():
                for i, words in zip(chosen, project(hidden, probes).split(lengths, dim=1), strict=True):
                    scores[seed].add(*predictions(words, blocks), sentences.trees[i])
            bar.update(len(chosen))
    by_seed = {
        seed: {name: values.reshape(n_ranks, n_layers) for name, values in own.result().items()}
        for seed, own in scores.items()
    }
    correct = np.stack([own.correct_edges() for own in scores.values()])
    return by_seed, correct.reshape(len(scores), n_ranks, n_layers, len(sentences))


def predictions(words: torch.Tensor, blocks: Sequence[Block]) -> tuple[np.ndarray, np.ndarray]:
    """Return distances (p, n, n) and depths (p, n) of a sentence from its projected words (layers, n, K).

    The p probes are ordered by rank, then layer. Distances are sums of squared differences: the distance of equal
    words is exactly 0, which the products of the training would miss by rounding.
    """
    distances, depths = [], []
    for block in blocks:
        x = words[..., block.columns].contiguous()
        if block.kind == "distance":
            distance = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist")
            distances.append(distance.square_().cpu().numpy())
        else:
            depths.append((x * x).sum(dim=-1).cpu().numpy())
    return np.concatenate(distances), np.concatenate(depths)

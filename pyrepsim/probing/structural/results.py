"""What structural probes found: a row for each layer, rank and seed."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from ...core.errors import LayerError, OptionError
from ...core.outputs import replacing
from .data import SentenceReader, StoredSentences, TreeSentence
from .predictions import predictions
from .scores import predicted_roots
from .training import Block, project
from .trees import GoldTree, content_trees

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["PredictedTree", "StructuralProbeResult", "StructuralRow"]

SCORES = ("uuas", "dspr", "nspr", "root")
_DECIMALS = {"uuas": 1, "root": 1, "dspr": 3, "nspr": 3, "distance_loss": 3, "depth_loss": 3}


@dataclass(frozen=True)
class StructuralRow:
    """The probes of one layer, rank and seed.

    Attributes
    ----------
    distance_loss, depth_loss : on the dev sentences, of the weights that were kept.
    uuas, root : per cent; dspr, nspr : in [-1, 1]; as `evaluate` defines them, on the scored sentences.
    distance_epochs, depth_epochs : how long the probes were trained.
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
    """What one probe says of a sentence of n words.

    Attributes
    ----------
    distances : (n, n) squared distances; depths : (n,) squared norms.
    edges : (m - 1, 2) words i < j of each edge of the spanning tree over the m words that are no punctuation.
    root : the shallowest of these words.
    gold : the tree of the treebank.
    layer, rank, seed : whose prediction it is.
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
    """Made by `structural_probe`.

    Attributes
    ----------
    rows : by seed, then rank, then layer.
    layers, ranks, seeds : what was probed; layers in the store's order.
    scored : the sentences that the scores are of.
    weights : for each seed the matrices B of all probes, (layers, d, columns); see `blocks`.
    blocks : which columns are whose.
    """

    rows: tuple[StructuralRow, ...]
    layers: tuple[str, ...]
    ranks: tuple[int, ...]
    seeds: tuple[int, ...]
    scored: StoredSentences
    weights: dict[int, torch.Tensor]
    blocks: tuple[Block, ...]

    @property
    def best_layer(self) -> str:
        """The layer of the highest UUAS, at the largest rank, in the mean over seeds; the first of several.

        It is chosen on the sentences that were scored: report it as such, or choose on dev and score test.
        """
        values = self.values("uuas", max(self.ranks)).mean(axis=0)
        return self.layers[int(np.argmax(np.where(np.isnan(values), -math.inf, values)))]

    @property
    def top_layer(self) -> str:
        """The last layer of those probed."""
        return self.layers[-1]

    def values(self, score: str, rank: int) -> np.ndarray:
        """One column of `rows` as an array (seeds, layers)."""
        found = [getattr(row, score) for row in self.rows if row.rank == rank]
        return np.array(found, dtype=np.float64).reshape(len(self.seeds), len(self.layers))

    def table(self) -> str:
        """The rows as text; several seeds as mean and standard deviation."""
        header = ("layer", "rank", *(name.replace("_", " ") for name in _DECIMALS), "")
        lines = [header]
        for rank in self.ranks:
            columns = {name: self.values(name, rank) for name in _DECIMALS}
            for i, layer in enumerate(self.layers):
                cells = (_cell(values[:, i], _DECIMALS[name]) for name, values in columns.items())
                lines.append((layer, str(rank), *cells, self._note(layer, rank)))
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        lines.insert(1, (*("-" * width for width in widths[:-1]), ""))

        def aligned(cells: Sequence[str]) -> str:
            padded = [cells[0].ljust(widths[0]), *map(str.rjust, cells[1:-1], widths[1:-1]), cells[-1]]
            return "  ".join(padded).rstrip()

        return "\n".join([self._caption(), *map(aligned, lines)])

    def _note(self, layer: str, rank: int) -> str:
        notes = [name for name, which in (("best", self.best_layer), ("top", self.top_layer)) if layer == which]
        return ", ".join(notes) if rank == max(self.ranks) else ""

    def _caption(self) -> str:
        seeds = f", mean ± standard deviation of {len(self.seeds)} seeds" if len(self.seeds) > 1 else ""
        return f"structural probes on {self.scored.store.path}, {len(self.scored):,} sentences{seeds}"

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write all rows, one a line."""
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, [field.name for field in fields(StructuralRow)])
            writer.writeheader()
            writer.writerows(map(asdict, self.rows))
        return Path(path)

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw the four scores over the layers, a line for each rank; write them to `path` if given."""
        from .figures import layer_curves, save

        figure = layer_curves(self)
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
        """The tree of one of the scored sentences, given as it is or by index.

        layer : default, the best; rank : default, the largest; seed : default, the first.
        """
        layer = self.best_layer if layer is None else layer
        rank = max(self.ranks) if rank is None else rank
        seed = self.seeds[0] if seed is None else seed
        if layer not in self.layers:
            raise LayerError(f"The layers probed are {', '.join(self.layers)}: got {layer!r}.")
        for name, value, known in (("rank", rank, self.ranks), ("seed", seed, self.seeds)):
            if value not in known:
                raise OptionError(f"{name} must be one of those probed, {', '.join(map(str, known))}: got {value!r}.")
        index = self._index(sentence)
        with SentenceReader(self.scored, [layer]) as reader:
            hidden = torch.from_numpy(reader.read([index]))
        blocks = [block for block in self.blocks if block.rank == rank]
        which = self.layers.index(layer)
        distances, depths = predictions(project(hidden, self.weights[seed][which : which + 1]), blocks)
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
        """Draw a sentence with the gold tree above it and the predicted one below; options as in `predict`.

        Punctuation, in grey, is in neither tree. Edges of the one that are not in the other have another colour; an
        arrow from outside points at each tree's root.
        """
        from .figures import save, tree

        figure = tree(self.predict(sentence, layer=layer, rank=rank, seed=seed))
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
        best = self.values("uuas", max(self.ranks)).mean(axis=0)
        at = [best[self.layers.index(name)] for name in (self.best_layer, self.top_layer)]
        return (
            f"StructuralProbeResult({len(self.layers)} layers, ranks {', '.join(map(str, self.ranks))}, "
            f"{len(self.seeds)} seeds; UUAS {at[0]:.1f} at {self.best_layer}, {at[1]:.1f} at the top)"
        )


def _cell(values: np.ndarray, decimals: int) -> str:
    mean = f"{values.mean():.{decimals}f}"
    return mean if len(values) == 1 else f"{mean} ± {values.std(ddof=1):.{decimals}f}"

"""`probe_structural`: is the dependency tree there, layer by layer, as distances between words?"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Unpack

from ...core.errors import OptionError
from ...extraction.options import with_keywords_of
from ..structural.api import structural_probe
from .corpora import STRUCTURAL, read_parts
from .outcome import Probing, draw, write_text
from .workspace import ProbingOptions, open_workspace

if TYPE_CHECKING:
    from ..structural.results import StructuralProbeResult

__all__ = ["probe_structural"]


@with_keywords_of(open_workspace)
def probe_structural(
    model: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str],
    train: str | os.PathLike[str] | None = None,
    dev: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    layers: str | Sequence[str | int] = "all",
    ranks: Sequence[int] = (128,),
    seeds: Sequence[int] = (0,),
    epochs: int = 40,
    batch_size: int = 20,
    learning_rate: float = 1e-3,
    trees: int = 0,
    **options: Unpack[ProbingOptions],
) -> Probing[StructuralProbeResult]:
    """Extract the words of a treebank from every layer of a model, and train distance and depth probes on all of them.

    `out` gets ``scores.csv``, ``summary.txt``, the figures ``layers`` and ``tree-0``, ``tree-1``, ..., and
    ``probing.json``. After a stop the same call goes on, to the same numbers; a finished probing is scored again,
    without training.

    Parameters
    ----------
    model, out
        As in `probe_edge`.
    train, dev, test, data
        CoNLL-U files, folders of them, or `data`, a folder with all parts (``*-ud-train.conllu``, ...). Scores are of
        test if there is one, else of dev.
    layers, ranks, seeds, epochs, batch_size, learning_rate
        See `structural_probe`.
    trees
        So many of the scored sentences are drawn, with the tree that the best layer predicts.
    **options
        See `open_workspace`. Without stores (``keep_stores=False``) the result predicts no further trees.
    """
    if isinstance(trees, bool) or not isinstance(trees, int) or trees < 0:
        raise OptionError(f"trees is how many sentences are drawn, 0 or more: got {trees!r}.")
    parts = read_parts(STRUCTURAL, train=train, dev=dev, test=test, data=data)
    space = open_workspace(model, out, **options)
    how = {"epochs": epochs, "batch_size": batch_size, "learning_rate": learning_rate}
    chosen = layers if isinstance(layers, str) else list(layers)
    space.begin(STRUCTURAL, parts, layers=chosen, ranks=list(ranks), seeds=list(seeds), **how)
    stores = space.extract(parts, words="mean")
    result = structural_probe(
        stores["train"],
        parts["train"].items,
        parts["dev"].items,
        test_sentences=parts["test"].items if "test" in parts else None,
        dev_store=stores["dev"],
        test_store=stores.get("test"),
        layers=chosen,
        ranks=ranks,
        seeds=seeds,
        device=space.device,
        out=space.training,
        progress=space.progress,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
    )
    files = [result.to_csv(space.folder / "scores.csv")]
    if len(result.layers) > 1:
        files += draw(result.plot, space.folder / "layers", space.figures)
    for index in range(min(trees, len(result.scored))):
        stem = space.folder / f"tree-{index}"
        files += draw(lambda file, i=index: result.plot_tree(i, file), stem, space.figures)
    files.append(write_text(space.folder / "summary.txt", result.table()))
    n_bytes = space.finish()
    return Probing(space.folder, result, tuple(files), stores=space.kept, n_bytes=n_bytes)

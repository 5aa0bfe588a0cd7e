"""`probe_structural`: structural probes over all layers of a model, from CoNLL-U files to scores and figures."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

from ...core.ownership import owning
from ...core.paths import as_path
from ...extraction.options import with_keywords_of
from ...models import ModelLike
from ..annotations import STRUCTURAL, read_splits
from ..options import StructuralProbingOptions
from ..outputs import draw, write_text
from ..workspace import Probing, open_workspace
from .fit import fit_structural_probes
from .result import StructuralProbeResult
from .training import StructuralProbeRecipe

__all__ = ["probe_structural"]


@with_keywords_of(StructuralProbingOptions)
def probe_structural(
    model: ModelLike, *, out: str | os.PathLike[str], **options: Any
) -> Probing[StructuralProbeResult]:
    r"""Extract the words of a treebank from every layer of a model, and train distance and depth probes on all layers.

    Run the same call again to resume, to the same numbers; a finished probing is scored again without training. The
    probes are described in `pyrepsim.probing.structural.fit_structural_probes`.

    Parameters
    ----------
    model : str or path
        As in `probe_edge`.
    out : path
        Output folder, one per probing. It gets ``scores.csv``, ``summary.txt``, the figures ``layers`` and ``tree-0``,
        ``tree-1``, ..., and ``probing.json`` with the request.
    **options
        The fields of `StructuralProbingOptions`. The most used:

        train, dev, test, data : CoNLL-U files or folders of them, or `data`, a folder with all splits
        (``*-ud-train.conllu``, ...). Scores are of test if there is one, otherwise of dev.

        layers, ranks, seeds, epochs, batch_size, learning_rate : see `fit_structural_probes`.

        trees : number of scored sentences to draw, each with the tree that the best layer predicts.

    Returns
    -------
    Probing
        `result` is a `StructuralProbeResult`. Without stores (``keep_stores=False``) it cannot predict more trees.

    Raises
    ------
    ModelError, TextError, OptionError
        If the model, the data or an option cannot be used.
    StoreError
        If the folder holds another probing, or the disk is full.
    LockedError
        If another process writes to the folder.

    Examples
    --------
    >>> import pyrepsim as rs
    >>> lines = ["1 The _ _ DT _ 2 det _ _", "2 cat _ _ NN _ 3 nsubj _ _", "3 sat _ _ VBD _ 0 root _ _"]
    >>> with open("train.conllu", "w") as file:
    ...     print("\n".join(lines).replace(" ", "\t") + "\n", file=file)
    >>> probing = rs.probe_structural(
    ...     "bert-base-uncased", out="probes/trees", train="train.conllu", dev="train.conllu", layers=[-1], ranks=[2],
    ...     epochs=1, figures="", progress=False)
    >>> [file.name for file in probing.files]
    ['scores.csv', 'summary.txt']
    """
    chosen = StructuralProbingOptions(**options)
    splits = read_splits(STRUCTURAL, train=chosen.train, dev=chosen.dev, test=chosen.test, data=chosen.data)
    with owning(as_path(out, "out"), wait=chosen.wait):
        workspace = open_workspace(model, out, chosen)
        recipe = StructuralProbeRecipe(chosen.epochs, chosen.batch_size, chosen.learning_rate)
        fitting: dict[str, Any] = {
            "layers": chosen.layers if isinstance(chosen.layers, str) else list(chosen.layers),
            "ranks": list(chosen.ranks),
            "seeds": [0] if chosen.seeds is None else list(chosen.seeds),
        }
        workspace.begin(STRUCTURAL, splits, **fitting, **asdict(recipe))
        stores = workspace.extract(splits, words="mean")
        result = fit_structural_probes(
            stores["train"],
            splits["train"].items,
            splits["dev"].items,
            test_sentences=splits["test"].items if "test" in splits else None,
            dev_store=stores["dev"],
            test_store=stores.get("test"),
            recipe=recipe,
            device=workspace.device,
            out=workspace.training_folder,
            progress=chosen.progress,
            **fitting,
        )
        folder = workspace.folder
        files = [result.to_csv(folder / "scores.csv")]
        if len(result.layers) > 1:
            files += draw(result.plot, folder / "layers", chosen.figure_formats)
        for index in range(min(chosen.trees, len(result.scored))):
            files += draw(
                lambda file, i=index: result.plot_tree(i, file), folder / f"tree-{index}", chosen.figure_formats
            )
        files.append(write_text(folder / "summary.txt", result.table()))
        return workspace.finish(result, files)

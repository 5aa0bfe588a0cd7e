"""`probe_mdl`: how short the labels of a task get, given each layer of a model."""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from ...core.errors import StoreError
from ...core.outputs import replacing
from ...extraction.options import with_keywords_of
from ...results import Score, Scores
from ..edge import Recipe, rule_of
from ..mdl import CODE_RECIPE, FRACTIONS, CodeLength, CodeLengths, description_lengths
from .corpora import Part, read_parts
from .edges import changed, members_wanted
from .outcome import Probing, draw, write_text
from .workspace import ProbingOptions, open_workspace

__all__ = ["probe_mdl"]

_RESULT = "codes.json"


@with_keywords_of(open_workspace)
def probe_mdl(
    model: str | os.PathLike[str],
    task: str,
    *,
    out: str | os.PathLike[str],
    train: str | os.PathLike[str] | None = None,
    dev: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    reading: Mapping[str, Any] | None = None,
    members: str | Sequence[str] | None = None,
    seeds: Iterable[int] | None = None,
    recipe: Recipe | Mapping[str, Any] | None = None,
    lexical: bool = True,
    fractions: Sequence[float] = FRACTIONS,
    **options: Unpack[ProbingOptions],
) -> Probing[CodeLengths]:
    """Extract every layer of a model over annotated texts, and code the training labels with each.

    See `description_lengths`.

    `out` gets ``codes.csv``, ``codes.json`` (with the bits of each block), ``summary.txt``, the figure ``layers`` and
    ``probing.json``. Extraction goes on after a stop, coding begins anew; once finished the same call reads.

    Parameters as in `probe_edge`, but all layers are the default members; `dev` stops the training early. The recipe
    begins from `CODE_RECIPE`; where targets have several labels or none (spr), its loss is "sigmoid". `fractions` are
    the ends of the blocks.
    """
    parts = read_parts(task, train=train, dev=dev, data=data, reading=reading)
    parts = {name: parts[name] for name in ("train", "dev")}
    chosen = changed(CODE_RECIPE.but(loss="softmax" if _one_label(parts) else "sigmoid"), recipe)
    how: dict[str, Any] = {"members": members_wanted("layers" if members is None else members, lexical)}
    how |= {"seeds": list(range(rule_of(task).seeds) if seeds is None else seeds), "fractions": list(fractions)}
    space = open_workspace(model, out, **options)
    if space.begin("mdl", parts, task=task, **how, recipe=vars(chosen), lexical=lexical):
        codes = _load(space.folder / _RESULT)
    else:
        stores = space.extract(parts)
        train_part, dev_part = parts["train"], parts["dev"]
        codes = description_lengths(
            stores["train"],
            train_part.items,
            dev=(stores["dev"], dev_part.items, dev_part.texts),
            texts=train_part.texts,
            task=task,
            lex=space.encoder if lexical else None,
            recipe=chosen,
            device=space.device,
            progress=space.progress,
            **how,
        )
        _save(codes, space.folder / _RESULT)
    files = [codes.to_csv(space.folder / "codes.csv"), space.folder / _RESULT]
    curve = _curve(codes)
    if len(curve) > 1:
        files += draw(curve.plot, space.folder / "layers", space.figures)
    files.append(write_text(space.folder / "summary.txt", codes.table()))
    n_bytes = space.finish()
    return Probing(space.folder, codes, tuple(files), stores=space.kept, n_bytes=n_bytes)


def _one_label(parts: Mapping[str, Part]) -> bool:
    """Whether every target has one label."""
    labels = (target["label"] for part in parts.values() for record in part.items for target in record["targets"])
    return all(isinstance(label, str) or len(label) == 1 for label in labels)


def _curve(codes: CodeLengths) -> Scores:
    """Compression by layer, as `Scores`."""
    coded = {row.member for row in codes.rows}
    n_targets = codes.rows[0].n_targets
    return Scores(
        Score(codes.compression(layer), f"{codes.task} compression", n_targets, layer_x=layer, layer_y=layer)
        for layer in codes.layers
        if layer in coded
    )


def _save(codes: CodeLengths, path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(dataclasses.asdict(codes), allow_nan=False) + "\n", encoding="utf-8")


def _load(path: Path) -> CodeLengths:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        rows = tuple(CodeLength(**(row | {"blocks": tuple(row["blocks"])})) for row in found["rows"])
        return CodeLengths(found["task"], tuple(found["layers"]), rows)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"A finished probing has its result: {path} can't be read ({error}). Use overwrite."
        ) from error

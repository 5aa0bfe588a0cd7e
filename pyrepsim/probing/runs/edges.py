"""`probe_edge`: edge probes over all layers of a model, from annotated files to scores, figures and verdicts."""

from __future__ import annotations

import dataclasses
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Unpack

from ...core.errors import OptionError, StoreError
from ...extraction.options import with_keywords_of
from ...store import ActivationStore
from ..controls import Selectivity, control_records, selectivity
from ..edge import EdgeResult, Recipe, edge_probe, rule_of
from ..verdict import Verdicts, verdicts
from .corpora import Part, read_parts
from .outcome import Probing, draw, tables, write_rows, write_text
from .workspace import ProbingOptions, Workspace, open_workspace

__all__ = ["changed", "members_wanted", "probe_edge"]

_RESULT, _CONTROL = "edge.npz", "control.npz"
_FINDINGS = ("split", "reason", "where", "kept")


@with_keywords_of(open_workspace)
def probe_edge(
    model: str | os.PathLike[str],
    task: str,
    *,
    out: str | os.PathLike[str],
    train: str | os.PathLike[str] | None = None,
    dev: str | os.PathLike[str] | None = None,
    test: str | os.PathLike[str] | None = None,
    data: str | os.PathLike[str] | None = None,
    reading: Mapping[str, Any] | None = None,
    members: str | Sequence[str] | None = None,
    seeds: Iterable[int] | None = None,
    recipe: Recipe | Mapping[str, Any] | None = None,
    lexical: bool = True,
    control: bool = False,
    before: str | os.PathLike[str] | Probing[EdgeResult] | EdgeResult | None = None,
    **options: Unpack[ProbingOptions],
) -> Probing[EdgeResult]:
    """Extract every layer of a model over annotated texts, train edge probes on all of them at once, and score them.

    `out` gets ``scores.csv``, ``edge.jsonl`` (with mixing weights), ``edge.npz`` (what `EdgeResult.load` and `before`
    read), ``findings.csv`` (targets left out, or odd), ``summary.txt``, the figures ``layers`` and ``cumulative``, and
    ``probing.json``, which says how they came about. After a stop the same call goes on; once finished it reads.

    Parameters
    ----------
    model
        Folder (a run of `finetune` too), hub id, or ``id@revision``.
    task
        One of `pyrepsim.probing.corpora.TASKS`: pos, constituents, dependencies, entities, srl, coref, spr, relations,
        dpr.
    out
        Folder of the probing; one probing a folder.
    train, dev, test, data, reading
        Files in a format that `pyrepsim.probing.corpora.read` knows, or `data`, a corpus folder with all parts;
        `reading` has options of that reader, such as ``{"tags": "upos"}``. Scores are of test, and of dev.
    members, seeds
        Which layers and mixes are probed, and with which seeds: see `edge_probe`. Default: all layers and mixes, seed
        0 (dpr: 0 to 4).
    recipe
        Changes of the published recipe of the task, such as ``{"batch": 64}``, or a whole `Recipe`.
    lexical
        Train the baseline too that sees the table of word pieces alone.
    control
        Train all probes on the control task too (Hewitt and Liang, 2019): ``selectivity.csv``.
    before
        Folder (or result) of the probing to compare with, such as that of the model before fine-tuning, on the same
        data: ``verdicts.csv`` says of each probe what it gained or lost, by a paired bootstrap over sentences, and how
        much that is of what context adds to the lexical baseline.
    **options
        See `open_workspace`: ``random_init`` (all weights drawn anew, as a control), ``device``, ``dtype`` and
        ``keep_stores`` of the stores, ``figures``, ``overwrite``, ...

    Raises
    ------
    ModelError, TextError, OptionError
        If the model, the data or an option do not serve.
    StoreError
        If the folder holds another probing, or the disk no room.
    RowMismatchError
        If `before` was scored on other data.
    """
    earlier = None if before is None else _result_of(before)
    parts = read_parts(task, train=train, dev=dev, test=test, data=data, reading=reading)
    chosen = changed(Recipe.for_task(task), recipe)
    how: dict[str, Any] = {"members": members_wanted(members, lexical)}
    how["seeds"] = list(range(rule_of(task).seeds) if seeds is None else seeds)
    space = open_workspace(model, out, **options)
    settings = {"task": task, **how, "recipe": vars(chosen), "lexical": lexical, "control": control}
    found: dict[str, EdgeResult] = {}
    if space.begin("edge", parts, **settings):
        for name in (_RESULT, *([_CONTROL] if control else [])):
            found[name] = EdgeResult.load(space.folder / name)
    else:
        stores = space.extract(parts)
        how |= {"recipe": chosen, "lex": space.encoder if lexical else None, "task": task}
        records = {name: part.items for name, part in parts.items()}
        found[_RESULT] = _train(space, stores, records, parts, out=space.training, **how)
        if control:
            drawn = dict(zip(records, control_records(*records.values()), strict=True))
            found[_CONTROL] = _train(space, stores, drawn, parts, out=space.training / "control", **how)
        for name, result in found.items():
            result.save(space.folder / name)
    result = found[_RESULT]
    told = tuple(selectivity(result, found[_CONTROL])) if control else ()
    changes = None if earlier is None else verdicts(earlier, result)
    files = _write(space, result, told, changes)
    n_bytes = space.finish()
    shutil.rmtree(space.training, ignore_errors=True)  # weights and moments of all probes, of no more use
    return Probing(space.folder, result, files, changes, told, space.kept, n_bytes)


def changed(recipe: Recipe, changes: Recipe | Mapping[str, Any] | None) -> Recipe:
    """The recipe with these changes. OptionError for a setting that it does not have."""
    if isinstance(changes, Recipe):
        return changes
    known = [field.name for field in dataclasses.fields(Recipe)]
    for name in changes or {}:
        if name not in known:
            raise OptionError(f"A setting of the recipe is one of {', '.join(known)}: got {name!r}.")
    return recipe.but(**(changes or {}))


def members_wanted(members: str | Sequence[str] | None, lexical: bool) -> list[str] | None:
    """The members as a list, the lexical baseline among them if it is wanted."""
    if members is None:
        return None
    names = [members] if isinstance(members, str) else list(members)
    return [*names, "lex"] if lexical and "lex" not in names else names


def _result_of(before: str | os.PathLike[str] | Probing[EdgeResult] | EdgeResult) -> EdgeResult:
    if isinstance(before, EdgeResult):
        return before
    if isinstance(before, Probing):
        return before.result
    path = Path(before) / _RESULT
    if not path.is_file():
        raise StoreError(f"before is the folder of a finished probe_edge: {os.fspath(before)!r} has no {_RESULT}.")
    return EdgeResult.load(path)


def _train(
    space: Workspace,
    stores: Mapping[str, ActivationStore],
    records: Mapping[str, Sequence[Any]],
    parts: Mapping[str, Part],
    **how: Any,
) -> EdgeResult:
    given = {name: (stores[name], records[name], parts[name].texts) for name in records}
    train, *rest = given.pop("train")
    return edge_probe(train, rest[0], texts=rest[1], **given, device=space.device, progress=space.progress, **how)


def _write(
    space: Workspace, result: EdgeResult, told: Sequence[Selectivity], changes: Verdicts | None
) -> tuple[Path, ...]:
    folder, stem = space.folder, space.folder
    files = [result.to_csv(folder / "scores.csv"), result.to_jsonl(folder / "edge.jsonl"), folder / _RESULT]
    rows = [{"split": split, **vars(one)} for split, found in result.findings.items() for one in found]
    files.append(write_rows(folder / "findings.csv", _FINDINGS, rows))
    for name, cumulative in (("layers", False), ("cumulative", True)):
        if len(result.scores(cumulative=cumulative)) > 1:
            files += draw(lambda file, c=cumulative: result.plot(file, cumulative=c), stem / name, space.figures)
    if told:
        columns = ("member", "task", "control", "selectivity")
        rows = [{name: getattr(row, name) for name in columns} for row in told]
        files.append(write_rows(folder / "selectivity.csv", columns, rows))
    if changes is not None:
        files.append(changes.to_csv(folder / "verdicts.csv"))
    files.append(write_text(folder / "summary.txt", tables(result, told, changes)))
    return tuple(files)

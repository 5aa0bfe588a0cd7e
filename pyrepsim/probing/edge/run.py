"""`probe_edge`: edge probes over all layers of a model, from annotated files to scores, figures and a comparison."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ...core.errors import StoreError
from ...core.ownership import owning
from ...core.paths import as_path
from ...core.states import load_state, remove_states, write_sealed
from ...extraction.options import with_keywords_of
from ...models import ModelLike
from ...results.tables import write_csv
from ...store import ActivationStore
from ..annotations import AnnotatedSplit, read_splits, read_text_lines
from ..comparison import ProbeComparison, compare_probes
from ..controls import Selectivity, control_records, selectivity
from ..options import EdgeProbingOptions, split_names
from ..outputs import draw, write_text
from ..workspace import Probing, Workspace, open_workspace, summary
from .evaluation import rule_of
from .fit import fit_edge_probes
from .recipe import LEXICAL, EdgeProbeRecipe, change_recipe
from .result import EdgeResult

__all__ = ["extract_texts", "probe_edge", "requested_members"]

_RESULT, _CONTROL = "edge.npz", "control.npz"


@with_keywords_of(EdgeProbingOptions)
def probe_edge(model: ModelLike, task: str, *, out: str | os.PathLike[str], **options: Any) -> Probing[EdgeResult]:
    """Extract every layer of a model over annotated texts, train edge probes on all of them together, and score them.

    Run the same call again to resume; a finished probing is read from its folder.

    Parameters
    ----------
    model : str or path
        Folder (also of a `finetune` run), hub id, or ``id@revision``.
    task : str
        One of `pyrepsim.probing.corpora.TASKS`: pos, constituents, dependencies, entities, srl, coref, spr,
        relations, dpr.
    out : path
        Output folder, one per probing. It gets ``scores.csv``, ``edge.jsonl`` (with mixing weights), ``edge.npz``
        (for `EdgeResult.load` and `base`), ``findings.csv`` (targets that were left out, or are odd),
        ``summary.txt``, the figures ``layers`` and ``cumulative``, and ``probing.json`` with the request.
    **options
        The fields of `EdgeProbingOptions`. The most used:

        train, dev, test, data : annotated files in a format that `pyrepsim.probing.corpora.read` knows, or `data`, a
        corpus folder with all splits. Scores are of test, and of dev.

        members, seeds : the layers and mixes to probe, and the seeds to train with: see `fit_edge_probes`.

        recipe : changes of the published recipe of the task, such as ``{"batch_size": 64}``, or a whole
        `EdgeProbeRecipe`.

        control : train all probes on the control task too (Hewitt and Liang, 2019) and write ``selectivity.csv``.

        base : folder or result of the probing to compare with, on the same data, such as that of the model before
        fine-tuning. ``comparison.csv`` gets the change of each probe with an interval (`compare_probes`).

        random_init : probe the same architecture with random weights, as a control.

    Returns
    -------
    Probing
        `result` is an `EdgeResult`.

    Raises
    ------
    ModelError, TextError, OptionError
        If the model, the data or an option cannot be used.
    StoreError
        If the folder holds another probing, or the disk is full.
    LockedError
        If another process writes to the folder.
    RowMismatchError
        If `base` was scored on other data.

    Examples
    --------
    >>> import json, pyrepsim as rs
    >>> targets = [{"span1": [0, 1], "label": "DET"}, {"span1": [1, 2], "label": "NOUN"}]
    >>> with open("pos.jsonl", "w") as file:
    ...     print(json.dumps({"text": "The cat sat", "targets": targets}), file=file)
    >>> probing = rs.probe_edge(
    ...     "bert-base-uncased", "pos", out="probes/pos", train="pos.jsonl", dev="pos.jsonl", members="top",
    ...     recipe={"validate_every": 1, "max_validations": 1}, figures="", progress=False)
    >>> [file.name for file in probing.files]
    ['scores.csv', 'edge.jsonl', 'edge.npz', 'findings.csv', 'summary.txt']
    """
    chosen = EdgeProbingOptions(**options)
    base = None if chosen.base is None else _base_result(chosen.base)
    splits = read_splits(
        task, train=chosen.train, dev=chosen.dev, test=chosen.test, data=chosen.data, reading=chosen.reading,
        texts=chosen.texts,
    )  # fmt: skip
    recipe = change_recipe(EdgeProbeRecipe.for_task(task), chosen.recipe)
    members = requested_members(chosen.members, chosen.lexical)
    seeds = list(range(rule_of(task).seeds) if chosen.seeds is None else chosen.seeds)
    with owning(as_path(out, "out"), wait=chosen.wait):
        workspace = open_workspace(model, out, chosen)
        settings = {"task": task, "members": members, "seeds": seeds, "recipe": vars(recipe)}
        names = [_RESULT, *([_CONTROL] if chosen.control else [])]
        results: dict[str, EdgeResult] = {}
        if workspace.begin("edge", splits, **settings, lexical=chosen.lexical, control=chosen.control):
            found = {name: load_state(workspace.folder / name, workspace.request, EdgeResult.read) for name in names}
            results = {name: result for name, result in found.items() if result is not None}
        if len(results) < len(names):  # a damaged result was set aside
            stores = workspace.extract(splits)
            lex = workspace.encoder if chosen.lexical else None
            fitting = {"task": task, "members": members, "seeds": seeds, "recipe": recipe, "lex": lex}
            records = {name: split.items for name, split in splits.items()}
            folder = workspace.training_folder
            results[_RESULT] = _fit(workspace, stores, splits, records, out=folder, **fitting)
            if chosen.control:
                control = dict(zip(records, control_records(*records.values()), strict=True))
                results[_CONTROL] = _fit(workspace, stores, splits, control, out=folder / "control", **fitting)
            for name, result in results.items():
                write_sealed(workspace.folder / name, result.write, workspace.request)
                EdgeResult.load(workspace.folder / name)
        result = results[_RESULT]
        selectivities = tuple(selectivity(result, results[_CONTROL])) if chosen.control else ()
        comparison = None if base is None else compare_probes(base, result)
        files = _write(workspace, result, selectivities, comparison)
        probing = workspace.finish(result, files, comparison, selectivities)
        remove_states(workspace.training_folder)  # weights and moments of all probes
        return probing


def extract_texts(
    model: ModelLike, texts: str | os.PathLike[str], *, stores: str | os.PathLike[str], **options: Any
) -> None:
    """Extract the store that `probe_edge` reads with the same `texts`, `stores` and options, unless it exists."""
    chosen = EdgeProbingOptions(texts=as_path(texts, "texts"), stores=as_path(stores, "stores"), **options)
    split = AnnotatedSplit([], read_text_lines(texts), 0, {}, "")
    open_workspace(model, stores, chosen).extract({"texts": split})


def requested_members(members: str | Sequence[str] | None, lexical: bool) -> list[str] | None:
    """Return the members as a list, with the lexical baseline if it is requested; None for the default members."""
    if members is None:
        return None
    names = split_names(members)
    return [*names, LEXICAL] if lexical and LEXICAL not in names else names


def _base_result(base: str | os.PathLike[str] | Probing[EdgeResult] | EdgeResult) -> EdgeResult:
    if isinstance(base, EdgeResult):
        return base
    if isinstance(base, Probing):
        return base.result
    path = Path(base) / _RESULT
    if not path.is_file():
        raise StoreError(f"base must be the folder of a finished probe_edge: {os.fspath(base)!r} has no {_RESULT}.")
    return EdgeResult.load(path)


def _fit(
    workspace: Workspace,
    stores: Mapping[str, ActivationStore],
    splits: Mapping[str, AnnotatedSplit],
    records: Mapping[str, Sequence[Any]],
    **options: Any,
) -> EdgeResult:
    given = {name: (stores[name], records[name], splits[name].texts) for name in records}
    store, train_records, texts = given.pop("train")
    progress = workspace.options.progress
    return fit_edge_probes(
        store, train_records, texts=texts, **given, device=workspace.device, progress=progress, **options
    )


def _write(
    workspace: Workspace,
    result: EdgeResult,
    selectivities: Sequence[Selectivity],
    comparison: ProbeComparison | None,
) -> tuple[Path, ...]:
    folder, formats = workspace.folder, workspace.options.figure_formats
    files = [result.to_csv(folder / "scores.csv"), result.to_jsonl(folder / "edge.jsonl"), folder / _RESULT]
    findings = [{"split": split, **vars(one)} for split, listed in result.findings.items() for one in listed]
    files.append(write_csv(folder / "findings.csv", ("split", "reason", "where", "kept"), findings))
    for name, cumulative in (("layers", False), ("cumulative", True)):
        if len(result.scores(cumulative=cumulative)) > 1:
            files += draw(lambda file, c=cumulative: result.plot(file, cumulative=c), folder / name, formats)
    if selectivities:
        columns = ("member", "task", "control", "selectivity")
        records = [{name: getattr(record, name) for name in columns} for record in selectivities]
        files.append(write_csv(folder / "selectivity.csv", columns, records))
    if comparison is not None:
        files.append(comparison.to_csv(folder / "comparison.csv"))
    files.append(write_text(folder / "summary.txt", summary(result, selectivities, comparison)))
    return tuple(files)

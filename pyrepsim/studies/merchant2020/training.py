"""Fine-tuning on each task with each seed, and the ablations: freezing, truncation and early exit."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...core.errors import ModelError
from ...core.resume import read_record
from ...finetuning.recipes import Ablation
from ..runner import Cell, read_rows
from .aggregates import aggregate, aggregate_cell
from .claims.exits import EXIT_DEPTH, depth_over_groups
from .claims.rows import FACT, GAIN, LAST_EPOCH, LONGER
from .costs import CostEstimator
from .plan import Plan, StudyModel, run_cell, tuned_models
from .scales import Sweep

__all__ = ["difference_rows", "exit_cells", "exit_depth_rows", "finetuning_cells", "freezing_cells", "truncation_cells"]

_FORMAT, _ABLATION_FORMAT, _EXIT_FORMAT = 2, 3, 4

_ROUNDING = 1e-6  # of numbers of epochs

_SHARED = ("experiment", "model", "variant", "task", "seed", "corpus", "domain", "k")

_Runs = Mapping[tuple[int, int], str]
"""The cells with the runs of a curve, by k and seed."""


@dataclass(frozen=True)
class _Kind:
    """An ablation with k from `least`; k = `full` changes nothing."""

    experiment: str
    ablation: Callable[[int], Ablation]
    least: int
    full: int

    def share_of_work(self, k: int, depth: int) -> float:
        """Cost relative to full fine-tuning: k blocks have no backward pass (freezing), or only k are left."""
        return k / depth if self.experiment == "truncation" else 1 - 2 / 3 * k / depth


def finetuning_cells(plan: Plan, costs: CostEstimator) -> list[Cell]:
    """Fine-tuning and the scores on dev (section 3 of the paper).

    One run for each task and seed, in ``run`` of its cell's folder, and the means over seeds.
    """
    cells = []
    for task in plan.scale.tasks:
        models = tuned_models(plan, task)
        cells += [_finetuning_cell(plan, costs, model) for model in models]
        cells.append(aggregate_cell("finetuning", task, [run_cell(task, model.seed) for model in models]))
    return cells


def freezing_cells(plan: Plan, costs: CostEstimator) -> list[Cell]:
    """Freezing (section 5 of the paper): score on dev against k, the number of frozen blocks.

    The embeddings and the bottom k blocks keep their weights, the rest is trained. k = 0 is full fine-tuning. The
    experiment "longer" is the same with more updates.
    """
    freezing, longer = (_Kind(name, lambda k: Ablation(freeze=k), 0, 0) for name in ("freezing", "longer"))
    cells = _sweep_cells(plan, costs, freezing, plan.scale.freezing)
    return cells + _sweep_cells(plan, costs, longer, plan.scale.longer, shorter={cell.id for cell in cells})


def truncation_cells(plan: Plan, costs: CostEstimator) -> list[Cell]:
    """Truncation: score on dev against k, the number of blocks that are kept, from the bottom.

    The kept blocks are trained with a head on top. The largest k is full fine-tuning.
    """
    kind = _Kind("truncation", lambda k: Ablation(layers=k), least=1, full=plan.depth)
    return _sweep_cells(plan, costs, kind, plan.scale.truncation)


def exit_cells(plan: Plan, costs: CostEstimator) -> list[Cell]:
    """Early exit (Phang et al. 2021): score on dev against the block that the head of a tuned model reads.

    Nothing is trained again.
    """
    cells = []
    for sweep in plan.scale.exit:
        values = plan.sweep_values(sweep, least=1)
        for task, seeds in plan.sweep_runs(sweep):
            own = [_exit_cell(plan, costs, task, seed, values) for seed in seeds]
            cells += [*own, aggregate_cell("exit", task, [cell.id for cell in own])]
    return cells


def _finetuning_cell(plan: Plan, costs: CostEstimator, model: StudyModel) -> Cell:
    task, seed = str(model.task), int(model.seed or 0)

    def run(folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        return _run_rows(plan, _train(plan, task, seed, folder, needed), **model.columns())

    return Cell(
        experiment="finetuning",
        name=model.label,
        request={**plan.training_request(task), "recipe": plan.recipe(task, seed).record()},
        run=run,
        needs=plan.data_needs,
        format=_FORMAT,
        cost=lambda: costs.training(task),
    )


def _exit_cell(plan: Plan, costs: CostEstimator, task: str, seed: int, values: list[int]) -> Cell:
    def run(folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        import pyrepsim as rs

        tuned, out = needed[run_cell(task, seed)] / "run", folder / "sweep"
        sweep = rs.ablate(
            "exit", tuned, plan.scale.tasks[task].task, out=out, values=values, device=plan.device,
            dev=plan.training_data(task, needed)["dev"],
        )  # fmt: skip
        if sweep.failures:
            raise RuntimeError(sweep.failures[0]["error"])
        rows = []
        for row in sweep:
            columns = {"variant": "tuned", "task": task, "seed": seed, "k": row["value"]}
            rows += _score_rows(plan, {row["metric"]: row["score"]}, **columns)
            rows += _fact_rows(plan, read_record(out / row["folder"] / "scores.json") or {}, **columns)
            if row["value"] != plan.depth:
                rows += difference_rows([(tuned, out / row["folder"])], **plan.row(**_of_dev(columns)))
        folders = {row["value"]: out / row["folder"] for row in sweep}
        columns = _of_dev({"variant": "tuned", "task": task, "seed": seed})
        return rows + exit_depth_rows(folders, sweep[0]["metric"], **plan.row(**columns))

    needs = (*plan.data_needs, run_cell(task, seed))
    return Cell(
        experiment="exit", name=f"{task}-seed{seed}", request={"values": values}, run=run, needs=needs,
        format=_EXIT_FORMAT, cost=lambda: costs.scoring(task, len(values)),
    )  # fmt: skip


def _sweep_cells(
    plan: Plan, costs: CostEstimator, kind: _Kind, sweeps: Sequence[Sweep], *, shorter: Container[str] = ()
) -> list[Cell]:
    """A cell for each task, k and seed, and one for each task with the curve, its differences and its means.

    Full fine-tuning is not run again: its rows are those of the experiment "finetuning". `shorter` has the cells of
    freezing, whose scores the experiment "longer" compares its own with.
    """
    cells = []
    for sweep in sweeps:
        for task, seeds in plan.sweep_runs(sweep):
            changes = sweep.recipe.get(task, {})
            runs: dict[tuple[int, int], str] = {}
            for k in plan.sweep_values(sweep, least=kind.least):
                for seed in seeds:
                    if k != kind.full or changes:  # with another recipe, full fine-tuning is another run too
                        cells.append(_ablation_cell(plan, costs, kind, task, seed, k, changes))
                        runs[k, seed] = cells[-1].id
            full = {(kind.full, seed): run_cell(task, seed) for seed in seeds if seed in plan.seeds(task)}
            before: _Runs = {}
            if shorter:
                frozen = {(k, seed): f"freezing/{task}-k{k}-seed{seed}" for k, seed in runs}
                before = full | {run: cell for run, cell in frozen.items() if cell in shorter}
            cells.append(_curve_cell(kind, task, runs if changes else full | runs, before))
    return cells


def _ablation_cell(
    plan: Plan, costs: CostEstimator, kind: _Kind, task: str, seed: int, k: int, changes: Mapping[str, Any]
) -> Cell:
    def run(folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        tuned = _train(plan, task, seed, folder, needed, changes=changes, ablation=kind.ablation(k))
        return _run_rows(plan, tuned, variant="tuned", task=task, seed=seed, k=k)

    recipe = plan.recipe(task, seed, changes)
    longer = recipe.epochs / plan.recipe(task, seed).epochs
    return Cell(
        experiment=kind.experiment,
        name=f"{task}-k{k}-seed{seed}",
        request={**plan.training_request(task), "recipe": recipe.record(), kind.experiment: k},
        run=run,
        needs=plan.data_needs,
        scratch=("run/*.safetensors",),  # only the scores are needed
        format=_ABLATION_FORMAT,
        cost=lambda: costs.training(task, longer * kind.share_of_work(k, plan.depth)),
    )


def _curve_cell(kind: _Kind, task: str, runs: _Runs, before: _Runs) -> Cell:
    """Rows of full fine-tuning, of what each ablation loses and what more updates gain, and means over seeds.

    `before` has the runs with fewer updates.
    """

    def run(_folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        copied, others, differences = [], [], []
        folders = {run: needed[cell] / "run" for run, cell in runs.items()}
        for (k, seed), cell in runs.items():
            rows = [{**row, "k": k, "experiment": kind.experiment} for row in read_rows(needed[cell])]
            (copied if cell.startswith("finetuning/") else others).extend(rows)
            first = next((row for row in rows if row["kind"] == "value"), {})
            columns = {name: first.get(name) for name in _SHARED}
            seeds = [other for number, other in runs if number == k and (kind.full, other) in runs]
            if k != kind.full and seed in seeds:
                pairs = [(folders[kind.full, other], folders[k, other]) for other in seeds]
                differences += difference_rows([pairs[seeds.index(seed)]], **columns)
                if len(seeds) > 1 and seed == seeds[-1]:
                    differences += difference_rows(pairs, **{**columns, "seed": None})
            if (k, seed) in before:
                gained = difference_rows([(folders[k, seed], needed[before[k, seed]] / "run")], **columns)
                differences += [{**row, "kind": GAIN, "member": LONGER} for row in gained]
        return copied + differences + aggregate(row for row in copied + others if row["kind"] == "value")

    needs = tuple(dict.fromkeys([*runs.values(), *before.values()]))
    return Cell(
        experiment=kind.experiment, name=task, request={"full": kind.full}, run=run, needs=needs,
        format=_ABLATION_FORMAT,
    )  # fmt: skip


def difference_rows(pairs: Sequence[tuple[Path, Path]], **columns: Any) -> list[dict[str, Any]]:
    """Score of the run in the first folder minus that in the second, paired by items, as a mean over pairs of folders.

    None if a run did not keep its items.
    """
    from ...finetuning import mean_items, paired_difference, read_items

    try:
        first, second = (mean_items([read_items(folder) for folder in side]) for side in zip(*pairs, strict=True))
    except ModelError:
        return []
    rows = []
    for metric in first.scores:
        found = paired_difference(first, second, metric)
        rows.append({
            **columns, "kind": "difference", "metric": metric, "value": found.value, "low": found.low,
            "high": found.high, "n": found.n_items,
            "band": None if found.low is None else "jackknife of paired items",
        })  # fmt: skip
    return rows


def exit_depth_rows(folders: Mapping[int, Path], metric: str, **columns: Any) -> list[dict[str, Any]]:
    """The depth at which a score arises, from the items of each exit; none if items were not kept."""
    from ...finetuning import read_items

    try:
        items = {k: read_items(folder) for k, folder in folders.items()}
    except ModelError:
        return []
    first = next(iter(items.values()))
    sums = {k: np.bincount(one.groups, one.of(metric)) for k, one in items.items()}
    found = depth_over_groups(sums, np.bincount(first.groups, first.sizes))
    if found is None:
        return []
    n = int(first.groups.max()) + 1
    ends = {"value": found.value, "low": found.low, "high": found.high, "n": n}
    return [{**columns, **ends, "metric": f"{EXIT_DEPTH}: {metric}", "band": f"jackknife of {n} groups of items"}]


def _train(
    plan: Plan, task: str, seed: int, folder: Path, needed: Mapping[str, Path], *, changes: Any = None, **options: Any
) -> Any:
    """Fine-tune into ``folder/run``, resuming an interrupted call; return the run."""
    import pyrepsim as rs

    recipe = plan.recipe(task, seed, changes)
    data = plan.training_data(task, needed)
    name = plan.scale.tasks[task].task
    return rs.finetune(
        plan.model, name, out=folder / "run", recipe=recipe, device=plan.device, progress=False, **data, **options
    )


def _run_rows(plan: Plan, run: Any, **columns: Any) -> list[dict[str, Any]]:
    """The scores of a run on dev, the main one first, and by how much the last epoch raised the main one."""
    scores = {run.metric: run.scores["dev"][run.metric], **run.scores["dev"]}
    try:
        n = int(run.items().sizes.sum())  # words of a treebank, otherwise examples
    except ModelError:
        n = run.record["inputs"]["data"]["dev"]["n_examples"]
    rows = _score_rows(plan, scores, n=n, **columns) + _fact_rows(plan, run.record, **columns)
    gain = _last_epoch(run)
    last = {"kind": GAIN, "member": LAST_EPOCH, "metric": run.metric, "value": gain}
    return rows if gain is None else [*rows, plan.row(**_of_dev(columns), **last)]


def _fact_rows(plan: Plan, record: Mapping[str, Any], **columns: Any) -> list[dict[str, Any]]:
    """What is wrong with a training: the sentence is in the column `member`."""
    shared = plan.row(**_of_dev(columns), kind=FACT)
    facts = record.get("facts", ())
    return [{**shared, "metric": one["name"], "value": one["value"], "member": one["text"]} for one in facts]


def _last_epoch(run: Any) -> float | None:
    """By how much the last epoch raised the main score on dev; None if there was only one."""
    name = f"eval_{run.metric}"
    scored = [entry for entry in run.history if name in entry]
    before = [entry[name] for entry in scored if entry["epoch"] <= scored[-1]["epoch"] - 1 + _ROUNDING]
    return scored[-1][name] - before[-1] if before else None


def _score_rows(plan: Plan, scores: Mapping[str, float], **columns: Any) -> list[dict[str, Any]]:
    """One row for each score on the dev data of the task, a fraction in [0, 1] (a correlation in [-1, 1])."""
    shared = plan.row(**_of_dev(columns))
    return [{**shared, "metric": metric, "value": value} for metric, value in scores.items()]


def _of_dev(columns: Mapping[str, Any]) -> dict[str, Any]:
    return {"corpus": f"{columns['task']}-dev", "domain": "in", **columns}

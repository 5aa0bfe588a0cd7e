"""Fine-tuning on each task with each seed, and the ablations: freezing, truncation and early exit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ...data.conllu import read_conllu
from ...finetuning.recipes import Ablation
from ..runner import Cell, read_rows
from .aggregates import aggregate, aggregate_cell
from .costs import CostEstimator
from .plan import Plan, StudyModel, run_cell, tuned_models
from .scales import Sweep

__all__ = ["exit_cells", "finetuning_cells", "freezing_cells", "truncation_cells"]

_FORMAT = 2

_Ablations = Callable[[int], Any]  # from k to the ablation


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

    The embeddings and the bottom k blocks keep their weights, the rest is trained. k = 0 is full fine-tuning.
    """
    return _sweep_cells(plan, costs, "freezing", plan.scale.freezing, lambda k: Ablation(freeze=k), least=0, full=0)


def truncation_cells(plan: Plan, costs: CostEstimator) -> list[Cell]:
    """Truncation: score on dev against k, the number of blocks that are kept, from the bottom.

    The kept blocks are trained with a head on top. The largest k is full fine-tuning.
    """
    sweep = plan.scale.truncation
    if sweep is None:
        return []
    return _sweep_cells(plan, costs, "truncation", sweep, lambda k: Ablation(layers=k), least=1, full=plan.depth)


def exit_cells(plan: Plan, costs: CostEstimator) -> list[Cell]:
    """Early exit (Phang et al. 2021): score on dev against the block that the head of a tuned model reads.

    Nothing is trained again.
    """
    sweep = plan.scale.exit
    if sweep is None:
        return []
    cells = []
    for task, seeds in plan.sweep_runs(sweep):
        values = plan.sweep_values(sweep, least=1)
        own = [_exit_cell(plan, costs, task, seed, values) for seed in seeds]
        cells += [*own, aggregate_cell("exit", task, [cell.id for cell in own])]
    return cells


def _finetuning_cell(plan: Plan, costs: CostEstimator, model: StudyModel) -> Cell:
    task, seed = str(model.task), int(model.seed or 0)

    def run(folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        scores, n = _train(plan, task, seed, folder, needed)
        return _score_rows(plan, scores, n=n, **model.columns())

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

        tuned = needed[run_cell(task, seed)] / "run"
        sweep = rs.ablate(
            "exit", tuned, plan.scale.tasks[task].task, out=folder / "sweep", values=values, device=plan.device,
            dev=plan.training_data(task, needed)["dev"],
        )  # fmt: skip
        if sweep.failures:
            raise RuntimeError(sweep.failures[0]["error"])
        rows = []
        for row in sweep:
            scores = {row["metric"]: row["score"]}
            rows += _score_rows(plan, scores, variant="tuned", task=task, seed=seed, k=row["value"])
        return rows

    needs = (*plan.data_needs, run_cell(task, seed))
    return Cell(
        experiment="exit", name=f"{task}-seed{seed}", request={"values": values}, run=run, needs=needs,
        format=_FORMAT, cost=lambda: costs.scoring(task, len(values)),
    )  # fmt: skip


def _sweep_cells(
    plan: Plan,
    costs: CostEstimator,
    experiment: str,
    sweep: Sweep | None,
    ablation: _Ablations,
    *,
    least: int,
    full: int,
) -> list[Cell]:
    """A cell for each task, k and seed, and one for each task with the curve and its means; k = `full` is no ablation.

    Full fine-tuning is not run again: its rows are those of the experiment "finetuning".
    """
    if sweep is None:
        return []
    cells = []
    for task, seeds in plan.sweep_runs(sweep):
        changes = sweep.recipe.get(task, {})
        shared = full if not changes else None  # with another recipe, full fine-tuning is another run too
        names = []
        for k in plan.sweep_values(sweep, least=least):
            for seed in seeds:
                if k != shared:
                    cells.append(_ablation_cell(plan, costs, experiment, task, seed, k, ablation, changes))
                    names.append(cells[-1].id)
        runs = [run_cell(task, seed) for seed in seeds if shared is not None and seed in plan.scale.seeds]
        cells.append(_curve_cell(experiment, task, names, runs, full))
    return cells


def _ablation_cell(
    plan: Plan, costs: CostEstimator, experiment: str, task: str, seed: int, k: int, ablation: _Ablations, changes: Any
) -> Cell:
    def run(folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        scores, n = _train(plan, task, seed, folder, needed, changes=changes, ablation=ablation(k))
        return _score_rows(plan, scores, n=n, variant="tuned", task=task, seed=seed, k=k)

    request = {**plan.training_request(task), "recipe": plan.recipe(task, seed, changes).record()}
    return Cell(
        experiment=experiment,
        name=f"{task}-k{k}-seed{seed}",
        request={**request, experiment: k},
        run=run,
        needs=plan.data_needs,
        scratch=("run/*.safetensors",),  # only the scores are needed
        format=_FORMAT,
        cost=lambda: costs.training(task, _share_of_work(experiment, k, plan.depth)),
    )


def _curve_cell(experiment: str, task: str, names: list[str], runs: list[str], full: int) -> Cell:
    def run(_folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        unablated = [{**row, "k": full, "experiment": experiment} for name in runs for row in read_rows(needed[name])]
        rows = unablated + [row for name in names for row in read_rows(needed[name])]
        return unablated + aggregate({**row, "experiment": experiment} for row in rows)

    return Cell(
        experiment=experiment, name=task, request={"full": full}, run=run, needs=(*names, *runs), format=_FORMAT
    )


def _share_of_work(experiment: str, k: int, depth: int) -> float:
    """Cost relative to full fine-tuning: k blocks have no backward pass (freezing), or only k are left (truncation)."""
    return 1 - 2 / 3 * k / depth if experiment == "freezing" else k / depth


def _train(
    plan: Plan, task: str, seed: int, folder: Path, needed: Mapping[str, Path], *, changes: Any = None, **options: Any
) -> tuple[Mapping[str, float], int]:
    """Fine-tune into ``folder/run``, resuming an interrupted call; return the scores on dev and the number of cases."""
    import pyrepsim as rs

    recipe = plan.recipe(task, seed, changes)
    data = plan.training_data(task, needed)
    name = plan.scale.tasks[task].task
    run = rs.finetune(
        plan.model, name, out=folder / "run", recipe=recipe, device=plan.device, progress=False, **data, **options
    )
    scores = {run.metric: run.scores["dev"][run.metric], **run.scores["dev"]}  # the main score first
    return scores, _n_cases(run)


def _n_cases(run: Any) -> int:
    """The number of cases that are scored right or wrong on dev: words of a treebank, otherwise examples."""
    trees = run.folder / "predictions-dev.conllu"
    if trees.is_file():
        return sum(len(sentence.words) for sentence in read_conllu(trees))
    return run.record["inputs"]["data"]["dev"]["n_examples"]


def _score_rows(plan: Plan, scores: Mapping[str, float], **columns: Any) -> list[dict[str, Any]]:
    """One row for each score on the dev data of the task, a fraction in [0, 1] (a correlation in [-1, 1])."""
    shared = plan.row(corpus=f"{columns['task']}-dev", domain="in", **columns)
    return [{**shared, "metric": metric, "value": value} for metric, value in scores.items()]

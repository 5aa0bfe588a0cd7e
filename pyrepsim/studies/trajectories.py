"""When does each layer change? Checkpoints of fine-tuning runs against the base and the final model (Hao et al. 2020).

Tasks, data, seeds and texts are those of a scale of `merchant2020`, and its cells train the models.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import StoreError
from ..core.resume import write_record
from ..core.states import load_record
from .merchant2020.aggregates import aggregate_cell
from .merchant2020.analysis import attention_columns
from .merchant2020.costs import CostEstimator
from .merchant2020.plan import Plan, StudyModel, run_cell, tuned_models
from .merchant2020.scales import Scale
from .merchant2020.stores import LONGEST
from .merchant2020.study import make_plan
from .merchant2020.texts import corpus_columns, data_cells, read_texts_of_cell, text_cell, text_cells
from .merchant2020.training import finetuning_cells
from .runner import Cell, Cost, Study

__all__ = ["MEASURES", "STEPS", "trajectories"]

STEPS = tuple(2**power for power in range(17))
"""Updates after which the encoder is saved. They double, because much of the change comes early. Steps after the end of
the training are ignored."""

MEASURES = ("LinearCKA(debiased=True)", "SVCCA")
_FORMAT = 1
_PASSES = 12  # cost of a checkpoint in forward passes of one model: two comparisons of two models, and attention


def trajectories(
    model: str | os.PathLike[str] | None = None,
    scale: str | os.PathLike[str] | Scale = "smoke",
    *,
    steps: Sequence[int] = STEPS,
    data_folder: str | os.PathLike[str] | None = None,
    device: str = "auto",
) -> Study:
    """A study of the checkpoints of every fine-tuning run of a scale, layer by layer, for `run_study`.

    Rows have the experiment "trajectories" and k = number of updates (0 is the base, the largest the final model).
    Metrics: similarity "to base" and "to final" by `MEASURES`, "SVCCA distance" = 1 - SVCCA, and "attention_js" in
    bits, with blocks numbered from 1.

    Parameters
    ----------
    model, scale, data_folder, device
        As in `merchant2020`. The texts are those on which the scale compares attention.
    steps : sequence of int
        Numbers of updates after which the encoder is compared. A copy of the encoder is kept for each until then.

    Returns
    -------
    Study

    Raises
    ------
    OptionError, ModelError, MissingExtraError
        As in `merchant2020`; OptionError also for negative steps.

    References
    ----------
    Hao, Dong, Wei & Xu (2020). Investigating Learning Dynamics of BERT Fine-Tuning. AACL.

    Examples
    --------
    >>> from pyrepsim.studies.trajectories import trajectories
    >>> study = trajectories("bert-base-uncased", "paper", steps=(1, 10, 100))
    >>> study.experiments
    ('finetuning', 'texts', 'trajectories')
    """
    plan = make_plan(model, scale, data_folder=data_folder, device=device)
    plan = replace(plan, scale=_with_checkpoints(plan.scale, steps))
    costs = CostEstimator(plan)
    # Checkpoints are as large as the models, so they are removed once they were compared.
    trained = [replace(cell, scratch=("run/checkpoints",)) for cell in finetuning_cells(plan, costs)]
    cells = [*data_cells(plan), *trained, *text_cells(plan)]
    for name in plan.scale.attention:
        for task in plan.scale.corpora[name].domain:
            own = [_cell(plan, costs, tuned, name, len(steps)) for tuned in tuned_models(plan, task)]
            cells += [*own, aggregate_cell("trajectories", f"{task}-{name}", [cell.id for cell in own])]
    settings = {"model": plan.name, "scale": plan.scale.name, "seeds": list(plan.scale.seeds), "layers": plan.depth}
    return Study(name="trajectories", cells=cells, settings={**settings, "steps": list(steps)})


def _with_checkpoints(scale: Scale, steps: Sequence[int]) -> Scale:
    """The scale, with training recipes that save the encoder after these steps."""
    tasks = {
        name: replace(task, recipe={**task.recipe, "checkpoints": tuple(steps)}) for name, task in scale.tasks.items()
    }
    return replace(scale, tasks=tasks)


def _cell(plan: Plan, costs: CostEstimator, model: StudyModel, name: str, n_steps: int) -> Cell:
    def run(folder: Path, needed: Mapping[str, Path]) -> Iterator[dict[str, Any]]:
        trained = needed[run_cell(str(model.task), model.seed)] / "run"
        texts = read_texts_of_cell(needed[text_cell(name)])
        shared = {**corpus_columns(plan, name, model.task), **model.columns()}
        for step, comparisons in _comparisons(plan.model, trained):
            saved = folder / f"step-{step}.json"  # kept, so that an interrupted cell resumes after this step
            request = {"cell": folder.name, "step": step}
            if (record := load_record(saved, request)) is None:
                record = {"rows": [row for one in comparisons for row in _compare(*one, texts, plan.device)]}
                write_record(saved, request, **record)
            for columns in record["rows"]:
                yield plan.row(**shared, k=step, **columns)

    return Cell(
        experiment="trajectories",
        name=f"{model.label}-{name}",
        request={"measures": MEASURES, "longest": LONGEST},
        run=run,
        needs=(*plan.data_needs, text_cell(name), *model.needs),
        format=_FORMAT,
        cost=lambda: Cost(n_steps * _PASSES * costs.extraction(name).seconds),
    )


def _comparisons(base: str, trained: Path) -> Iterator[tuple[int, list[tuple[str, str, str]]]]:
    """For each step the pairs of models to compare: (reference, its name, model)."""
    import pyrepsim as rs

    final = str(trained)
    last = int(rs.open_run(trained).history[-1]["step"])
    checkpoints = {int(path.name.removeprefix("step-")): str(path) for path in trained.glob("checkpoints/step-*")}
    if not checkpoints:
        raise StoreError(
            f"A trajectory needs the checkpoints of its run: {trained} has none. Remove that cell's folder."
        )
    yield 0, [(final, "final", base)]
    for step, path in sorted(checkpoints.items()):
        if 0 < step < last:
            yield step, [(base, "base", path), (final, "final", path)]
    yield last, [(base, "base", final)]


def _compare(reference: str, name: str, model: str, texts: Any, device: str) -> Iterator[dict[str, Any]]:
    """Rows of all layers of a model against a reference."""
    import pyrepsim as rs

    from ..analysis.attention import attention_divergence
    from ..models import load_encoder

    model_x, model_y = (load_encoder(one, device=device) for one in (reference, model))
    max_length = min(LONGEST, model_x.max_length or LONGEST)
    options: dict[str, Any] = {"long": "truncate", "max_length": max_length, "progress": False}
    scores = rs.compare_models(model_x, model_y, texts, list(MEASURES), **options)
    layers = list(scores.layers_x)
    for score in scores:
        columns = {"layer": layers.index(score.layer_x), "layer_name": score.layer_x, "n": score.n_samples}
        yield {**columns, "metric": f"{score.measure} to {name}", "value": score.value}
        if score.measure.startswith("SVCCA"):
            yield {**columns, "metric": f"SVCCA distance to {name}", "value": 1 - score.value}
    for columns in attention_columns(attention_divergence(model_x, model_y, texts, **options)):
        if "member" not in columns:
            yield {**columns, "metric": f"attention_js to {name}"}

"""When does each layer move? Checkpoints of fine-tunings against the base and the final model (Hao et al. 2020).

Tasks, data, seeds and texts are those of a scale of `merchant2020`, whose cells train here too: what is new in this
study is this file.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..core.errors import StoreError
from .merchant2020 import attention, data, finetuning, texts
from .merchant2020.aggregates import aggregate_cell
from .merchant2020.costs import Clock
from .merchant2020.plan import Plan
from .merchant2020.scales import Scale
from .merchant2020.study import make_plan
from .merchant2020.subjects import Subject, run_cell, tuned
from .runner import Cell, Cost, Study
from .runner.rows import write_json

__all__ = ["MEASURES", "STEPS", "trajectories"]

STEPS = tuple(2**power for power in range(17))
"""Updates after which the encoder is kept: much of the change comes early, so that they double. Those beyond the end of
the training are none."""

MEASURES = ("LinearCKA(debiased=True)", "SVCCA")
_FORMAT = 1
_LONGEST = 256
_PASSES = 12  # forward passes of one model for a checkpoint: two comparisons of two, and attention


def trajectories(
    model: str | os.PathLike[str] | None = None,
    scale: str | os.PathLike[str] | Scale = "smoke",
    *,
    steps: Sequence[int] = STEPS,
    data_folder: str | os.PathLike[str] | None = None,
    device: str = "auto",
) -> Study:
    """Checkpoints on the way of every fine-tuning of a scale, layer by layer, for `run_study`.

    Rows: experiment "trajectories", k = updates (0 is the base, the last the final model), by metric: similarity "to
    base" and "to final" by `MEASURES`, "SVCCA distance" = 1 - SVCCA, and "attention_js" in bits, blocks from 1.

    Parameters
    ----------
    model, scale, data_folder, device
        As in `merchant2020`. Texts are those on which the scale compares attention.
    steps
        After how many updates to look; each keeps a copy of the encoder until it was looked at.

    Raises
    ------
    OptionError, ModelError, MissingExtraError
        As `merchant2020`, and OptionError for steps below 0.

    Reference: Hao, Dong, Wei & Xu (2020), Investigating Learning Dynamics of BERT Fine-Tuning, AACL.
    """
    plan = make_plan(model, scale, data_folder=data_folder, device=device)
    plan = replace(plan, scale=_with_checkpoints(plan.scale, steps))
    clock = Clock(plan)
    # The copies go once they were looked at: they are as large as the models.
    trained = [replace(cell, scratch=("run/checkpoints",)) for cell in finetuning.cells(plan, clock)]
    drawn = [cell for cell in texts.cells(plan, clock) if cell.experiment == "texts"]
    cells = [*data.cells(plan), *trained, *drawn]
    for name in plan.scale.attention:
        for task in plan.scale.corpora[name].domain:
            own = [_cell(plan, clock, subject, name, len(steps)) for subject in tuned(plan, task)]
            cells += [*own, aggregate_cell("trajectories", f"{task}-{name}", [cell.id for cell in own])]
    settings = {"model": plan.name, "scale": plan.scale.name, "seeds": list(plan.scale.seeds), "layers": plan.depth}
    return Study(name="trajectories", cells=cells, settings={**settings, "steps": list(steps)})


def _with_checkpoints(scale: Scale, steps: Sequence[int]) -> Scale:
    """The scale with only what this study compares, and trainings that keep the encoder on the way."""
    tasks = {
        name: replace(task, recipe={**task.recipe, "checkpoints": tuple(steps)}) for name, task in scale.tasks.items()
    }
    return replace(scale, tasks=tasks)


def _cell(plan: Plan, clock: Clock, subject: Subject, name: str, n_steps: int) -> Cell:
    def run(folder: Path, needed: Mapping[str, Path]) -> Iterator[dict[str, Any]]:
        trained = needed[run_cell(str(subject.task), subject.seed)] / "run"
        chosen = texts.read_chosen(needed[texts.text_cell(name)])
        shared = {**texts.corpus_columns(plan, name, subject.task), **subject.columns()}
        for step, models in _pairs(plan.model, trained):
            kept = folder / f"step-{step}.json"  # what a killed call finished is not done again
            if not kept.exists():
                write_json(kept, {"rows": [row for pair in models for row in _compared(*pair, chosen, plan.device)]})
            for columns in json.loads(kept.read_text(encoding="utf-8"))["rows"]:
                yield plan.row(**shared, k=step, **columns)

    return Cell(
        experiment="trajectories",
        name=f"{subject.label}-{name}",
        request={"measures": MEASURES, "longest": _LONGEST},
        run=run,
        needs=(*plan.data_needs, texts.text_cell(name), *subject.needs),
        format=_FORMAT,
        cost=lambda: Cost(n_steps * _PASSES * clock.extraction(name).seconds),
    )


def _pairs(base: str, trained: Path) -> Iterator[tuple[int, list[tuple[str, str, str]]]]:
    """By step what is compared with what: (reference, its name, model)."""
    import pyrepsim as rs

    final = str(trained)
    last = int(rs.open_run(trained).history[-1]["step"])
    found = {int(path.name.removeprefix("step-")): str(path) for path in trained.glob("checkpoints/step-*")}
    steps = {step: path for step, path in sorted(found.items()) if 0 < step < last}
    if not found:
        raise StoreError(
            f"A trajectory needs the checkpoints of its run: {trained} has none. Remove that cell's folder."
        )
    yield 0, [(final, "final", base)]
    for step, path in steps.items():
        yield step, [(base, "base", path), (final, "final", path)]
    yield last, [(base, "base", final)]


def _compared(reference: str, named: str, model: str, chosen: Any, device: str) -> Iterator[dict[str, Any]]:
    """Rows of all layers of a model against a reference."""
    import pyrepsim as rs

    from ..analysis.attention import attention_divergence
    from ..models import load_encoder

    before, after = (load_encoder(one, device=device) for one in (reference, model))
    how: dict[str, Any] = {
        "long": "truncate",
        "max_length": min(_LONGEST, before.max_length or _LONGEST),
        "progress": False,
    }
    scores = rs.compare_models(before, after, chosen, list(MEASURES), **how)
    layers = list(scores.layers_x)
    for score in scores:
        columns = {"layer": layers.index(score.layer_x), "layer_name": score.layer_x, "n": score.n_samples}
        yield {**columns, "metric": f"{score.measure} to {named}", "value": score.value}
        if score.measure.startswith("SVCCA"):
            yield {**columns, "metric": f"SVCCA distance to {named}", "value": 1 - score.value}
    for columns in attention.attention_columns(attention_divergence(before, after, chosen, **how)):
        if "member" not in columns:
            yield {**columns, "metric": f"attention_js to {named}"}

"""The study as data: every cell of every experiment, for one encoder at one scale."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...errors import OptionError
from ..running import Study
from . import (
    data,
    domains,
    edge,
    exiting,
    finetuning,
    freezing,
    profiles,
    similarity,
    structural,
    texts,
    truncation,
    weights,
)
from .claims import judge
from .costs import Clock
from .plan import Plan
from .scales import Scale, load_scale

__all__ = ["merchant2020"]


def merchant2020(
    model: str | os.PathLike[str] | None = None,
    scale: str | os.PathLike[str] | Scale = "smoke",
    *,
    data_folder: str | os.PathLike[str] | None = None,
    device: str = "auto",
) -> Study:
    """The whole paper on one encoder, for `run_study`, `plan_study` and `study_status`.

    Parameters
    ----------
    model : folder or hub id, optional
        The encoder; by default the scale's.
    scale
        ``"smoke"`` (minutes, generated data), ``"small"`` (hours, on `data_folder`), ``"paper"`` (hub data, a GPU), a
        YAML file, or a `Scale`.
    data_folder
        Where the files that the scale names are.
    device
        "auto", "cpu", "cuda:0". Under torchrun each process takes the device of its own.

    Raises
    ------
    OptionError
        For an unknown scale, or one whose files are not in the folder.
    ModelError, MissingExtraError
        If the encoder is not there.
    """
    chosen = load_scale(scale)
    if model is None and chosen.model is None:
        raise OptionError(f"The scale {chosen.name!r} names no encoder: give one as model, or --model.")
    ours = _located(chosen.model if model is None else os.fspath(model), 0)
    # The scale's unrelated encoder has the tokenizer of the scale's own.
    unrelated = chosen.unrelated if model is None or model == chosen.model else None
    plan = Plan(
        scale=chosen,
        model=str(ours),
        unrelated=None if unrelated is None else _located(unrelated, 1),
        data=None if data_folder is None else Path(data_folder),
        device=_own_device(device),
    )
    clock = Clock(plan)
    cells = [
        *data.cells(plan),
        *finetuning.cells(plan, clock),
        *weights.cells(plan),
        *freezing.cells(plan, clock),
        *truncation.cells(plan, clock),
        *exiting.cells(plan, clock),
        *texts.cells(plan, clock),
        *similarity.cells(plan, clock),
        *domains.cells(plan),
        *profiles.cells(plan),
        *edge.cells(plan, clock),
        *structural.cells(plan, clock),
    ]
    return Study(name="merchant2020", cells=cells, settings=_settings(plan), judge=judge)


def _located(model: str | None, place: int) -> str:
    """``demo`` is a model that pip brings."""
    if model != "demo":
        return str(model)
    from ...models.demo import demo_models

    return str(demo_models()[place])


def _own_device(device: str) -> str:
    """Under torchrun the processes of a machine share its GPUs out."""
    rank = os.environ.get("LOCAL_RANK")
    if device != "auto" or rank is None:
        return device
    import torch

    return f"cuda:{int(rank) % torch.cuda.device_count()}" if torch.cuda.is_available() else device


def _settings(plan: Plan) -> dict[str, Any]:
    scale = plan.scale
    sources = {corpus.source for corpus in scale.corpora.values()}
    sources |= {source for one in scale.tasks.values() for source in (one.train, one.dev) if source is not None}
    digests = {name: digest for name, digest in plan.sources(sorted(sources)).items() if digest is not None}
    if plan.identity["digest"] is not None:
        digests[plan.name] = plan.identity["digest"]
    return {
        "model": plan.name,
        "scale": scale.name,
        "seeds": list(scale.seeds),
        "layers": plan.depth,
        "arguments": {"unrelated": plan.other.get("name"), "device": plan.device},
        "digests": digests,
        "plan": asdict(scale),
    }

"""The study as data: every cell of every experiment, for one encoder at one scale."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...core.errors import OptionError
from ..runner import Study
from . import (
    attention,
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

__all__ = ["make_plan", "merchant2020"]

log = logging.getLogger("pyrepsim.studies")


def merchant2020(
    model: str | os.PathLike[str] | None = None,
    scale: str | os.PathLike[str] | Scale = "smoke",
    *,
    data_folder: str | os.PathLike[str] | None = None,
    unrelated: str | os.PathLike[str] | None = None,
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
        Where the files that the scale names are. Probes of a scale that also reads the hub are left out without it.
    unrelated : folder or hub id, optional
        Another encoder with the same tokenizer: what similarity is between models that share no more than that. By
        default the scale's, where it goes with the scale's own encoder.
    device
        "auto", "cpu", "cuda:0". Under torchrun each process takes the device of its own.

    Raises
    ------
    OptionError
        For an unknown scale, or one whose files are not in the folder.
    ModelError, MissingExtraError
        If the encoder is not there.
    """
    plan = make_plan(model, scale, data_folder=data_folder, unrelated=unrelated, device=device)
    if left_out := _left_out(plan):
        log.warning("without a data folder these probes are left out: %s", ", ".join(left_out))
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
        *attention.cells(plan, clock),
        *edge.cells(plan, clock),
        *structural.cells(plan, clock),
    ]
    return Study(name="merchant2020", cells=cells, settings=_settings(plan), judge=judge)


def make_plan(
    model: str | os.PathLike[str] | None = None,
    scale: str | os.PathLike[str] | Scale = "smoke",
    *,
    data_folder: str | os.PathLike[str] | None = None,
    unrelated: str | os.PathLike[str] | None = None,
    device: str = "auto",
) -> Plan:
    """What the cells of a study share, from the arguments of `merchant2020`; other studies begin with it too."""
    chosen = load_scale(scale)
    if model is None and chosen.model is None:
        raise OptionError(f"The scale {chosen.name!r} names no encoder: give one as model, or --model.")
    ours = _located(chosen.model if model is None else os.fspath(model), 0)
    # The scale's unrelated encoder has the tokenizer of the scale's own.
    if unrelated is None and (model is None or model == chosen.model):
        unrelated = chosen.unrelated
    return Plan(
        scale=chosen,
        model=str(ours),
        unrelated=None if unrelated is None else _located(os.fspath(unrelated), 1),
        data=None if data_folder is None else Path(data_folder),
        device=_own_device(device),
    )


def _located(model: str | None, place: int) -> str:
    """``demo`` is a model that pip brings."""
    if model != "demo":
        return str(model)
    from ...models import demo_models

    return str(demo_models()[place])


def _own_device(device: str) -> str:
    """Under torchrun the processes of a machine share its GPUs out."""
    rank = os.environ.get("LOCAL_RANK")
    if device != "auto" or rank is None:
        return device
    import torch

    return f"cuda:{int(rank) % torch.cuda.device_count()}" if torch.cuda.is_available() else device


def _left_out(plan: Plan) -> list[str]:
    probes = {f"edge {name}": list(probe.files.values()) for name, probe in plan.scale.edge.probes.items()}
    if plan.scale.structural is not None:
        probes["structural"] = list(plan.scale.structural.files.values())
    return [name for name, files in probes.items() if not plan.has(files)]


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
        "left_out": _left_out(plan),
        "plan": asdict(scale),
    }

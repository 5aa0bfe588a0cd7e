"""From splits of targets to a result: train, go on where a run stopped, score. Shared by all probes of spans."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...core.errors import BackendError, OptionError
from ...version import __version__
from .checkpoint import Checkpoint
from .evaluation import evaluate, rule_of
from .members import Member
from .recipe import Recipe
from .result import EdgeResult, collect
from .targets import Targets
from .training import JointTraining, Split


def run_probes(
    splits: Mapping[str, Split],
    members: Sequence[Member],
    recipe: Recipe,
    *,
    task: str,
    layers: Sequence[str],
    about: Mapping[str, Any],
    out: str | os.PathLike[str] | None,
    device: torch.device,
    progress: bool | None,
) -> EdgeResult:
    """Train on "train", validate on "dev", score all splits but "train".

    `about` (JSON) says what the run is about: a state in `out` is gone on from only if it was about the same.
    """
    check_loss(recipe, {name: split.targets for name, split in splits.items()})
    rule = rule_of(task)
    training = JointTraining(members, splits["train"], splits["dev"], recipe, device=device)
    settings = {"task": task, "members": [list(member.key) for member in members], "recipe": dict(vars(recipe))}
    about = {**settings, **about, "version": __version__}
    save: Callable[[], None] | None = None
    if out is not None:
        checkpoint = Checkpoint(Path(out), about)
        checkpoint.resume(training)
        save = partial(checkpoint.save, training)
    training.run(progress=progress, desc=f"{task}: {len(members)} probes", saved=save)
    network, parameters = training.final()
    scored = {
        name: evaluate(network, parameters, split.targets, split.source, recipe, device=device, keep=rule.keep)
        for name, split in splits.items()
        if name != "train"
    }
    return collect(
        training,
        {name: split.targets for name, split in splits.items()},
        scored,
        task=task,
        weights=network.mixing_weights(parameters).detach().cpu().numpy(),
        gammas=parameters["mix.gamma"].detach().cpu().numpy(),
        layers=layers,
        about=about,
    )


def check_loss(recipe: Recipe, targets: Mapping[str, Targets]) -> None:
    """Raise OptionError where targets have several labels and the loss is made for one."""
    for name, split in targets.items():
        if recipe.loss == "softmax" and int(np.diff(split.label_ptr).max()) > 1:
            raise OptionError(
                f"loss='softmax' is for one label a target: {name} has targets with several. Use loss='sigmoid'."
            )


def find_device(name: str) -> torch.device:
    """The torch device of this name; BackendError if it can't be used here."""
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise BackendError(f"The device must be one that torch can use here: {name!r} is not. Use 'cpu'.") from error
    return device

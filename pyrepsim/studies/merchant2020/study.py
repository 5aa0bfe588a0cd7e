"""The study as data: the cells of all experiments, for one encoder at one scale."""

from __future__ import annotations

import logging
import os
from dataclasses import asdict
from typing import Any

from ...core.errors import OptionError
from ...core.paths import as_path
from ..runner import Study
from .analysis import attention_cells, profile_cells, weight_cells
from .claims import judge
from .contrasts import contrast_cells, domain_cells
from .costs import CostEstimator
from .equal_updates import equal_cells
from .plan import Plan
from .probing import edge_cells
from .scales import Scale, load_scale
from .similarity import similarity_cells
from .stores import store_cells
from .structural import structural_cells
from .texts import data_cells, text_cells
from .training import exit_cells, finetuning_cells, freezing_cells, truncation_cells

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
    """The study of Merchant et al. (2020) on one encoder, as a `Study` for `run_study` and `plan_study`.

    Nothing is trained or downloaded here, except the configuration of an encoder on the hub.

    Parameters
    ----------
    model : str or path, optional
        The encoder, a folder or hub id. Default: the scale's.
    scale : str, path or Scale, default "smoke"
        ``"smoke"`` (minutes, generated data), ``"small"`` (hours, files in `data_folder`), ``"paper"`` (data from the
        hub, a GPU), a YAML file, or a `Scale`.
    data_folder : str or path, optional
        The folder with the files that the scale names. Without it, a scale that reads the hub leaves out its probes,
        which need files.
    unrelated : str or path, optional
        Another encoder with the same tokenizer, as the lower baseline of similarity. Default: the scale's, if the
        model is the scale's too.
    device : str, default "auto"
        ``"auto"``, ``"cpu"``, ``"cuda:0"``. With "auto" under torchrun, each process takes its own GPU.

    Returns
    -------
    Study

    Raises
    ------
    OptionError
        If there is no such scale, or its files are not in the folder.
    ModelError, MissingExtraError
        If the encoder cannot be found.

    References
    ----------
    Merchant, Rahimtoroghi, Pavlick & Tenney (2020). What Happens To BERT Embeddings During Fine-tuning? BlackboxNLP.

    Examples
    --------
    >>> from pyrepsim.studies.merchant2020 import merchant2020
    >>> study = merchant2020("bert-base-uncased", "paper")
    >>> study.experiments[:4]
    ('finetuning', 'equal_updates', 'weights', 'freezing')
    """
    plan = make_plan(model, scale, data_folder=data_folder, unrelated=unrelated, device=device)
    if left_out := _probes_left_out(plan):
        log.warning("these probes are left out, because no data folder is given: %s", ", ".join(left_out))
    costs = CostEstimator(plan)
    cells = [
        *data_cells(plan),
        *finetuning_cells(plan, costs),
        *equal_cells(plan, costs),
        *weight_cells(plan),
        *freezing_cells(plan, costs),
        *truncation_cells(plan, costs),
        *exit_cells(plan, costs),
        *text_cells(plan),
        *store_cells(plan, costs),
        *similarity_cells(plan, costs),
        *contrast_cells(plan),
        *domain_cells(plan),
        *profile_cells(plan),
        *attention_cells(plan, costs),
        *edge_cells(plan, costs),
        *structural_cells(plan, costs),
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
    """Make the plan of a study from the arguments of `merchant2020`; other studies use it too."""
    loaded = load_scale(scale)
    if model is None and loaded.model is None:
        raise OptionError(f"The scale {loaded.name!r} names no encoder: give one as model, or --model.")
    base = _location(loaded.model if model is None else str(as_path(model, "A model")), 0)
    # The scale's unrelated encoder has the tokenizer of the scale's own encoder.
    if unrelated is None and (model is None or model == loaded.model):
        unrelated = loaded.unrelated
    return Plan(
        scale=loaded,
        model=str(base),
        unrelated=None if unrelated is None else _location(str(as_path(unrelated, "A model")), 1),
        data=None if data_folder is None else as_path(data_folder, "A data folder"),
        device=_own_device(device),
    )


def _location(model: str | None, place: int) -> str:
    """The folder or hub id of a model; ``demo`` is a model that is installed with pip."""
    if model != "demo":
        return str(model)
    from ...models import demo_models

    return str(demo_models()[place])


def _own_device(device: str) -> str:
    """Under torchrun, each process of a machine takes its own GPU."""
    rank = os.environ.get("LOCAL_RANK")
    if device != "auto" or rank is None:
        return device
    import torch

    return f"cuda:{int(rank) % torch.cuda.device_count()}" if torch.cuda.is_available() else device


def _probes_left_out(plan: Plan) -> list[str]:
    probes = {f"edge {name}": list(probe.files.values()) for name, probe in plan.scale.edge.probes.items()}
    if plan.scale.structural is not None:
        probes["structural"] = list(plan.scale.structural.files.values())
    return [name for name, files in probes.items() if not plan.can_read(files)]


def _settings(plan: Plan) -> dict[str, Any]:
    scale = plan.scale
    sources = {corpus.source for corpus in scale.corpora.values()}
    sources |= {source for one in scale.tasks.values() for source in (one.train, one.dev) if source is not None}
    digests = {name: digest for name, digest in plan.digests(sorted(sources)).items() if digest is not None}
    if plan.identity["digest"] is not None:
        digests[plan.name] = plan.identity["digest"]
    return {
        "model": plan.name,
        "scale": scale.name,
        "seeds": list(scale.seeds),
        "layers": plan.depth,
        "arguments": {"unrelated": plan.unrelated_identity.get("name"), "device": plan.device},
        "digests": digests,
        "left_out": _probes_left_out(plan),
        "plan": asdict(scale),
    }

"""Distances between the weights of a base model and a model tuned from it, for each layer and module."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ..core.errors import OptionError
from ..models import ModelLike, load_encoder
from ..models.blocks import Blocks, find_blocks, paired_parameters
from ..models.wrapping import base_module
from ..results.figures import save
from ..results.lines import Line, line_figure
from ..results.tables import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["WeightDistances", "weight_distance"]


class WeightDistances(Table):
    """The records of `weight_distance`, one for each layer and module.

    Columns: ``layer`` ("embeddings", "layer.0", ..., "rest"), ``module`` (its name inside the block, such as
    "attention.self.query"; "all" is the whole layer), ``distance`` (||W' - W|| / ||W||, a ratio), ``cosine`` (in
    [-1, 1]), ``norm`` (||W||) and ``n_weights``. `distance` and `cosine` are None where a norm is 0.
    """

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw the relative distance over the layers, a line for each module that is in several layers.

        Parameters
        ----------
        path : path-like, optional
            File to write; its ending (.svg, .png, .pdf) chooses the format.

        Raises
        ------
        OptionError
            If no record has a distance.
        """
        figure = _figure(self)
        if path is not None:
            save(figure, path)
        return figure


def weight_distance(base: ModelLike, tuned: ModelLike) -> WeightDistances:
    """Compare the weights of two models: relative distance and cosine for each layer and module.

    distance = ||W' - W|| / ||W|| and cosine = <W', W> / (||W'|| ||W||), with Frobenius norms, where W are the weights
    and biases of a module of `base` as one vector and W' those of `tuned`. All sums are in float64.

    Parameters
    ----------
    base, tuned : path-like, str, torch.nn.Module or Encoder
        Models of one architecture, compared without their task heads. `tuned` may have lost its top blocks.

    Returns
    -------
    WeightDistances
        One record for each layer and module; see there for the columns.

    Raises
    ------
    ModelError
        If a model cannot be loaded, or the two do not match.

    Examples
    --------
    >>> import torch
    >>> import pyrepsim as rs
    >>> from pyrepsim.models import load_encoder
    >>> tuned = load_encoder("bert-base-uncased").module
    >>> with torch.no_grad():
    ...     for parameter in tuned.encoder.layer[1].parameters():
    ...         _ = parameter.mul_(1.1)
    >>> distances = rs.weight_distance("bert-base-uncased", tuned)
    >>> [(r["layer"], round(r["distance"], 4)) for r in distances if r["module"] == "all"]
    [('embeddings', 0.0), ('layer.0', 0.0), ('layer.1', 0.1)]
    """
    base_blocks, tuned_blocks = (find_blocks(_module(model)) for model in (base, tuned))
    records = []
    for layer in tuned_blocks.layers:
        modules: dict[str, _Sums] = defaultdict(_Sums, all=_Sums())
        for name, tuned_weights, base_weights in paired_parameters(tuned_blocks, base_blocks, layer):
            module = _name_in_block(name, tuned_blocks).removesuffix(".weight").removesuffix(".bias")
            for sums in (modules[module], modules["all"]):
                sums.add(base_weights, tuned_weights)
        records += [{"layer": layer, "module": module, **sums.record()} for module, sums in modules.items() if sums.n]
    return WeightDistances(records)


def _figure(records: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw ``distance`` over ``layer``, a line for each ``module`` that is in more than one layer."""
    known = [record for record in records if record["distance"] is not None]
    if not known:
        raise OptionError("A figure of weight distances needs a distance: no record has one.")
    layers = list(dict.fromkeys(record["layer"] for record in known))
    points: dict[str, list[tuple[int, float]]] = {}
    for record in known:
        points.setdefault(record["module"], []).append((layers.index(record["layer"]), record["distance"]))
    lines = [Line(module, *zip(*own, strict=True)) for module, own in points.items() if len(own) > 1 or module == "all"]
    figure = line_figure(lines, ticks=layers, ylabel="‖W′ − W‖ / ‖W‖")
    figure.axes[0].set_ylim(bottom=0)
    return figure


class _Sums:
    """Squared norms and products of two vectors, summed over their parts."""

    def __init__(self) -> None:
        self.step_sq = self.base_sq = self.tuned_sq = self.product = 0.0
        self.n = 0

    def add(self, base: torch.Tensor, tuned: torch.Tensor) -> None:
        w, v = (tensor.detach().cpu().double().ravel() for tensor in (base, tuned))
        step = v - w
        self.step_sq += float(step @ step)
        self.base_sq += float(w @ w)
        self.tuned_sq += float(v @ v)
        self.product += float(v @ w)
        self.n += w.numel()

    def record(self) -> dict[str, Any]:
        norms = math.sqrt(self.base_sq) * math.sqrt(self.tuned_sq)
        return {
            "distance": math.sqrt(self.step_sq / self.base_sq) if self.base_sq else None,
            "cosine": self.product / norms if norms else None,
            "norm": math.sqrt(self.base_sq),
            "n_weights": self.n,
        }


def _name_in_block(name: str, blocks: Blocks) -> str:
    """Return a parameter's name without the path of its block."""
    prefix = f"{blocks.path}."
    return name.removeprefix(prefix).partition(".")[2] if name.startswith(prefix) else name


def _module(model: ModelLike) -> torch.nn.Module:
    return base_module(model)[0] if isinstance(model, torch.nn.Module) else load_encoder(model, device="cpu").module

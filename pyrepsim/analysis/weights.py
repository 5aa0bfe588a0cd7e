"""How far training moved the weights, layer by layer and module by module."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch

from ..core.errors import OptionError
from ..models import load_encoder
from ..models.blocks import Blocks, find_blocks, paired_parameters
from ..results.figures import save
from ..results.lines import Line, line_figure
from ..results.rows import Table

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["WeightDistances", "weight_distance"]


class WeightDistances(Table):
    """One row a layer and module, as `weight_distance` returns them."""

    def plot(self, path: str | os.PathLike[str] | None = None) -> Figure:
        """Draw the relative distance over the layers, a line for each module of the blocks."""
        figure = _figure(self)
        if path is not None:
            save(figure, path)
        return figure


def weight_distance(
    base: str | os.PathLike[str] | torch.nn.Module, tuned: str | os.PathLike[str] | torch.nn.Module
) -> WeightDistances:
    """Distance ||W' - W|| / ||W|| (Frobenius) and cosine <W', W> / (||W'|| ||W||) between base W and tuned W'.

    Rows have the columns ``layer`` ("embeddings", "layer.0", ..., "rest"), ``module`` (its name inside the block,
    such as "attention.self.query"; weight and bias are one vector; "all" is the whole layer), ``distance``,
    ``cosine``, ``norm`` (||W||) and ``n_weights``. A distance or cosine is None where ||W|| or ||W'|| is 0. All sums
    are in float64.

    Parameters
    ----------
    base, tuned : folder, hub id, or module
        Encoders of one architecture; `tuned` may have lost its top blocks.

    Raises
    ------
    ModelError
        If a model cannot be loaded, or the two do not match.
    """
    before, after = (find_blocks(_module(model)) for model in (base, tuned))
    rows = []
    for layer in after.layers:
        modules: dict[str, _Sums] = defaultdict(_Sums, all=_Sums())
        for name, ours, theirs in paired_parameters(after, before, layer):
            kind = _inside(name, after).removesuffix(".weight").removesuffix(".bias")
            products = _products(theirs, ours)
            modules[kind].add(products)
            modules["all"].add(products)
        rows += [{"layer": layer, "module": kind, **sums.row()} for kind, sums in modules.items() if sums.n]
    return WeightDistances(rows)


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
    """Squared norms and products of a pair of vectors, from their parts."""

    def __init__(self) -> None:
        self.moved = self.before = self.after = self.product = 0.0
        self.n = 0

    def add(self, products: tuple[float, float, float, float, int]) -> None:
        moved, before, after, product, n = products
        self.moved += moved
        self.before += before
        self.after += after
        self.product += product
        self.n += n

    def row(self) -> dict[str, Any]:
        norms = math.sqrt(self.before) * math.sqrt(self.after)
        return {
            "distance": math.sqrt(self.moved / self.before) if self.before else None,
            "cosine": self.product / norms if norms else None,
            "norm": math.sqrt(self.before),
            "n_weights": self.n,
        }


def _products(base: torch.Tensor, tuned: torch.Tensor) -> tuple[float, float, float, float, int]:
    """|v - w|^2, |w|^2, |v|^2, <v, w> and the number of weights."""
    w, v = (tensor.detach().cpu().double().ravel() for tensor in (base, tuned))
    step = v - w
    return float(step @ step), float(w @ w), float(v @ v), float(v @ w), w.numel()


def _inside(name: str, blocks: Blocks) -> str:
    """A parameter's name without the path of its block."""
    prefix = f"{blocks.path}."
    return name.removeprefix(prefix).partition(".")[2] if name.startswith(prefix) else name


def _module(model: str | os.PathLike[str] | torch.nn.Module) -> torch.nn.Module:
    return model if isinstance(model, torch.nn.Module) else load_encoder(model, device="cpu").module

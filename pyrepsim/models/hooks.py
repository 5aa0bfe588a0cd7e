"""Hook points: names for what happens inside a model, and the forward hooks that record them.

A name is canonical (`layer.3.attention`), or the dotted path of a module, with ``.input`` for what the module reads.
The points of a model and their widths are found in one forward pass over a few tokens.
"""

from __future__ import annotations

import difflib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch

from ..core.errors import LayerError, ModelError, OptionError
from ..core.patterns import is_pattern, matching
from .block_points import block_points
from .calls import given_tensor, read_tensor, trace_calls
from .points import Point, Rows

__all__ = ["HookPoints", "find_points", "layer_names", "recording"]

log = logging.getLogger("pyrepsim.models")

_SIDES = (".input", ".output")


class HookPoints(Mapping[str, int]):
    """Widths of the canonical hook points of a model, in the order of its layers. Get it as ``encoder.points``.

    Examples
    --------
    >>> from pyrepsim.models import load_encoder
    >>> points = load_encoder("bert-base-uncased", device="cpu").points
    >>> points.find(["layer.0.neurons", "layer.*.heads.0", "encoder.layer.1.attention.self.query"])
    {'layer.0.heads.0': 8, 'layer.0.neurons': 32, 'layer.1.heads.0': 8, 'encoder.layer.1.attention.self.query': 16}
    """

    def __init__(
        self,
        points: Mapping[str, Point | int],
        missing: Mapping[str, str],
        modules: Mapping[str, Sequence[Mapping[str, Point | str]]],
        name: str,
    ) -> None:
        self._points, self._missing, self._modules = dict(points), dict(missing), dict(modules)
        self._name = name

    def __getitem__(self, name: str) -> int:
        point = self._points[name]
        return point if isinstance(point, int) else point.width

    def __iter__(self) -> Iterator[str]:
        return iter(self._points)

    def __len__(self) -> int:
        return len(self._points)

    def find(self, names: Sequence[str]) -> dict[str, int]:
        """Return the widths of the points that these names, paths and patterns mean, in the model's order.

        Parameters
        ----------
        names : sequence of str
            Canonical names; else paths of modules, with ``.input`` for what the module reads; or patterns of either,
            see `matching`. Points of a pattern that cannot be recorded are left out with a warning.

        Raises
        ------
        LayerError
            If there is no such point, or it has no row per token.
        """
        found: dict[str, int] = {}
        for name in names:
            found |= self._matching(name) if is_pattern(name) else {name: self._width(name)}
        places: dict[str, int] = {}
        for name in (*self._points, *self._modules):
            places.setdefault(name, len(places))
        return dict(sorted(found.items(), key=lambda item: places.get(item[0], places.get(_split(item[0])[0], -1))))

    def point(self, name: str) -> Point | int:
        """Return the point of a name that `find` returned; for a hidden state that the model returns, its width."""
        if name in self._points:
            return self._points[name]
        path, side = (name, "output") if name in self._modules else _split(name)
        calls = self._modules.get(path)
        stem, _, last = name.rpartition(".")
        causes = (name, stem if last.isdigit() else name, name.partition(".")[0])  # a point, all heads, or all points
        reason = next((self._missing[one] for one in causes if one in self._missing), None)
        if reason is not None and (calls is None or path in self._points):  # a path may begin as a layer's name does
            raise LayerError(f"There is no hook point {name!r} in {self._name!r}: {reason}. {_REMEDY}")
        if calls is None:
            near = difflib.get_close_matches(name, (*self._points, *self._modules), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            raise LayerError(
                f"A layer of {self._name!r} is a hidden state (embeddings, layer.0, ...), a hook point or the path of "
                f"a module: got {name!r}.{hint} {_REMEDY}"
            )
        if len(calls) > 1:
            raise LayerError(
                f"A hook point must run once in a forward pass: {name!r} runs {len(calls)} times. Name the module of "
                "one layer, or a canonical name such as 'layer.0.attention'."
            )
        point = calls[0][side]
        if isinstance(point, str):
            raise LayerError(f"A hook point must have rows: {point}. Name another.")
        return point

    def _width(self, name: str) -> int:
        point = self.point(name)
        return point if isinstance(point, int) else point.width

    def _matching(self, pattern: str) -> dict[str, int]:
        chosen = matching(pattern, self._points)
        if chosen:
            return {name: self[name] for name in chosen}
        chosen = matching(pattern, self._modules)
        stem, side = pattern.removesuffix(".input"), ".input" if pattern.endswith(".input") else ""
        if not chosen and side:
            chosen = [path + side for path in matching(stem, self._modules)]
        found: dict[str, int] = {}
        refused: dict[str, LayerError] = {}
        for name in chosen:
            try:
                found[name] = self._width(name)
            except LayerError as error:
                refused[name] = error
        if not found and refused:
            raise next(iter(refused.values()))
        if not found:
            near = matching(pattern, self._missing)
            reason = f" ({near[0]}: {self._missing[near[0]]})" if near else ""
            raise LayerError(
                f"A pattern must match a layer, hook point or module of {self._name!r}: {pattern!r} matches "
                f"none{reason}. {_REMEDY}"
            )
        if refused:
            log.warning(
                "%r: %d of %d modules are left out (%s): %s",
                pattern, len(refused), len(chosen), ", ".join(list(refused)[:8]), next(iter(refused.values())),
            )  # fmt: skip
        return found


_REMEDY = "list(encoder.points) has the names; a path is one of encoder.module.named_modules()."


def _split(name: str) -> tuple[str, str]:
    """Path and side of a name that ends in one."""
    for side in _SIDES:
        if name.endswith(side):
            return name.removesuffix(side), side[1:]
    return name, "output"


def layer_names(layers: str | Sequence[str | int], known: Sequence[str], model: str) -> list[str]:
    """Return the names in `layers`: "all", names, or indices of `known` (negative ones count from the end)."""
    if isinstance(layers, str):
        return list(known) if layers == "all" else [layers]
    if not isinstance(layers, Iterable):
        raise OptionError(f"layers must be 'all', a name, or a list of names and indices: got {layers!r}.")
    chosen: list[str] = []
    for layer in layers:
        if isinstance(layer, (int, np.integer)) and -len(known) <= layer < len(known):
            chosen.append(known[layer])
        elif isinstance(layer, str):
            chosen.append(layer)
        else:
            raise LayerError(f"layers must be layers of {model!r}: it has {', '.join(known)}; got {layer!r}.")
    if not chosen:
        raise OptionError("layers must name at least one layer: got none. Use layers='all'.")
    return chosen


def find_points(
    module: torch.nn.Module,
    run: Callable[[], Sequence[torch.Tensor]],
    layers: Mapping[str, int],
    rows: Rows,
    *,
    name: str,
    paths: Rows | None = None,
) -> HookPoints:
    """Find the hook points of a module in one forward pass.

    Parameters
    ----------
    module : torch.nn.Module
        The model. It is not changed.
    run : callable
        Runs the pass and returns the hidden states, one for each of `layers`.
    layers : mapping of str to int
        Widths of the hidden states.
    rows : Rows
        The sequences and tokens of the pass, of different numbers.
    name : str
        Name of the model, for messages.
    paths : Rows, optional
        What modules that are named by their paths must give; `rows` by default.
    """
    whole, states = trace_calls(module, run)
    inside, missing = block_points(whole, states, rows)
    points: dict[str, Point | int] = {}
    for layer, width in layers.items():
        points |= {name: point for name, point in inside.items() if name.startswith(f"{layer}.")}
        points[layer] = width
    points |= {name: point for name, point in inside.items() if name not in points}
    modules: dict[str, list[dict[str, Point | str]]] = {}
    for call in whole.below():
        if call.path:
            sides = {side: (paths or rows).point(call, side) for side in ("output", "input")}
            modules.setdefault(call.path, []).append(sides)
    return HookPoints(points, missing, modules, name)


@contextmanager
def recording(module: torch.nn.Module, points: Mapping[str, Point]) -> Iterator[dict[str, torch.Tensor]]:
    """Record these points, by name, in the one forward pass that runs inside the with-block.

    Each tensor is copied when the module runs, because a later module may change it in place.

    Raises
    ------
    ModelError
        At the end of the block, if a module did not run.
    """
    found: dict[str, torch.Tensor] = {}
    wanted: dict[str, dict[str, Point]] = {}
    for name, point in points.items():
        wanted.setdefault(point.path, {})[name] = point

    with ExitStack() as stack:
        for path, here in wanted.items():
            for handle in _hooks(module.get_submodule(path), here, found):
                stack.callback(handle.remove)
        yield found
    for name, point in points.items():
        if name not in found:
            raise ModelError(
                f"A hook point must run in every forward pass: {name!r} ({point.path}) did not. Leave it out."
            )


def _hooks(child: torch.nn.Module, here: Mapping[str, Point], found: dict[str, torch.Tensor]) -> Iterator[Any]:
    """Register the hooks of one module."""
    turns = {"input": 0, "output": 0}

    def keep(side: str, tensor: torch.Tensor | None) -> None:
        names = [name for name, point in here.items() if (point.side, point.turn) == (side, turns[side])]
        if names and tensor is not None:
            found.update(dict.fromkeys(names, tensor.detach().clone()))
        turns[side] += 1

    sides = {point.side for point in here.values()}
    if "input" in sides:
        yield child.register_forward_pre_hook(
            lambda _, args, kwargs: keep("input", read_tensor(args, kwargs)), with_kwargs=True
        )
    if "output" in sides:
        yield child.register_forward_hook(lambda _, __, output: keep("output", given_tensor(output)))

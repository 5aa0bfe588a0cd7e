"""Rows of items: a tensor of a batch, (items, ...), becomes one row an item, or one row a position."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ..core.errors import LayerError, OptionError, ShapeError

__all__ = ["ROWS", "Mask", "RowRule", "check_rule", "rows_of_items"]

ROWS = ("item", "token", "flatten")
RowRule = str | Callable[[torch.Tensor], torch.Tensor]
Mask = Callable[[int], torch.Tensor | None]
"""From a number of positions to which of them are no padding, (items, positions); None without padding."""


def check_rule(rows: Any) -> None:
    """Raise OptionError unless `rows` is a rule."""
    if not callable(rows) and rows not in ROWS:
        raise OptionError(f"rows must be one of {', '.join(map(repr, ROWS))}, or a function: got {rows!r}.")


def rows_of_items(
    tensor: torch.Tensor, rule: RowRule, mask: Mask, name: str, *, features_last: bool
) -> tuple[torch.Tensor, np.ndarray]:
    """Return the rows, item after item, (n_rows, width), and the number of rows of each item, (n_items,).

    Parameters
    ----------
    tensor : Tensor of shape (n_items, ...)
        (items, features), (items, positions, features), or feature maps (items, channels, height, width) with any
        number of axes after the channels.
    rule : {"item", "token", "flatten"} or callable
        "item": the float32 mean over positions. "token": every position that is no padding is a row. "flatten": all
        values of an item, as they lie in memory. A function returns (items, width) or (items, rows, width).
    mask : Mask
        The padding of the batch.
    name : str
        The layer, for messages.
    features_last : bool
        Whether feature maps are (items, height, width, channels).

    Raises
    ------
    ShapeError
        If a function returns something else.
    LayerError
        If positions do not fit the mask, or padding would be flattened.
    """
    n = len(tensor)
    if callable(rule):
        values = rule(tensor)
        if not isinstance(values, torch.Tensor) or values.ndim not in (2, 3) or len(values) != n:
            what = tuple(values.shape) if isinstance(values, torch.Tensor) else type(values).__name__
            raise ShapeError(
                f"A function for rows= returns a tensor (items, width) or (items, rows, width): for layer {name!r} of "
                f"shape {tuple(tensor.shape)} it returned {what}."
            )
        if not values.numel() or values.is_complex():
            raise ShapeError(
                f"A function for rows= returns at least one row and one real number: for layer {name!r} of shape "
                f"{tuple(tensor.shape)} it returned {values.dtype} of shape {tuple(values.shape)}. Change it."
            )
        return _joined(values if values.ndim == 3 else values[:, None])
    positions = _positions(tensor, features_last=features_last)
    real = mask(positions.shape[1]) if tensor.ndim > 2 else None
    if rule == "flatten":
        if real is not None and not bool(real.all()):
            raise LayerError(
                f"Items of different lengths cannot be flattened: layer {name!r} has padding. Use rows='item'."
            )
        return tensor.flatten(1), np.ones(n, np.int64)
    if rule == "token":
        if real is None:
            return _joined(positions)
        return positions[real], real.sum(1).cpu().numpy().astype(np.int64)
    if tensor.ndim == 2:
        return tensor, np.ones(n, np.int64)
    if real is None:
        return positions.float().mean(1), np.ones(n, np.int64)
    weights = real.to(torch.float32)[:, :, None]
    return (positions.float() * weights).sum(1) / weights.sum(1), np.ones(n, np.int64)


def _positions(tensor: torch.Tensor, *, features_last: bool) -> torch.Tensor:
    """(items, positions, features) of any tensor."""
    if tensor.ndim == 2:
        return tensor[:, None]
    if tensor.ndim == 3:
        return tensor
    return tensor.flatten(1, -2) if features_last else tensor.flatten(2).transpose(1, 2)


def _joined(values: torch.Tensor) -> tuple[torch.Tensor, np.ndarray]:
    return values.flatten(0, 1), np.full(len(values), values.shape[1], np.int64)

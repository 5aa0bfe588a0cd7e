"""One hook point: a tensor that a module reads or gives in a forward pass, as rows of tokens."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from ..core.errors import ModelError
from .calls import Call

__all__ = ["Items", "Point", "Rows"]


@dataclass(frozen=True, eq=False)
class Point:
    """Where a tensor is found, and how it becomes rows.

    Attributes
    ----------
    path : str
        The module.
    side : {"output", "input"}
        See `given_tensor` and `read_tensor`.
    turn : int
        Which call of the module in one forward pass, from 0.
    layout : {"rows", "swapped", "flat", "items"}
        The axes: (sequences, tokens, ...), (tokens, sequences, ...) or (sequences * tokens, ...), where axes after the
        tokens are joined; or (items, ...) for what has no tokens, see `Items`.
    width : int
        Number of features.
    columns : ndarray, optional
        The features that are taken; all by default.
    """

    path: str
    side: str
    turn: int
    layout: str
    width: int
    columns: np.ndarray | None = None

    def of_columns(self, columns: np.ndarray) -> Point:
        """Return the point with only these of its features."""
        taken = columns if self.columns is None else self.columns[columns]
        return replace(self, width=len(taken), columns=taken)

    def rows(self, tensor: torch.Tensor, rows: Rows, name: str) -> torch.Tensor:
        """Return the tensor in shape (sequences, tokens, width).

        Raises
        ------
        ModelError
            If it does not have one row per token.
        """
        if not rows.fits_as(self.layout, tensor):
            raise ModelError(
                f"A hook point must have one row per token: {name!r} has shape {tuple(tensor.shape)} for "
                f"{rows.sequences} sequences of {rows.tokens} tokens. Leave it out."
            )
        if self.layout == "swapped":
            tensor = tensor.transpose(0, 1)
        tensor = tensor.reshape(rows.sequences, rows.tokens, -1)
        if self.columns is None:
            return tensor
        return tensor.index_select(2, torch.from_numpy(self.columns).to(tensor.device))

    def items(self, tensor: torch.Tensor, n: int, name: str) -> torch.Tensor:
        """Return the tensor in shape (items, ...), whose other axes have any sizes.

        Raises
        ------
        ModelError
            If it does not have `n` items.
        """
        if self.layout == "swapped":
            tensor = tensor.transpose(0, 1)
        if self.layout == "flat" and tensor.shape[0] % n == 0:
            tensor = tensor.reshape(n, -1, tensor.shape[-1])
        if tensor.shape[0] != n:
            raise ModelError(
                f"A hook point must have one entry per item: {name!r} has shape {tuple(tensor.shape)} for {n} items. "
                "Leave it out."
            )
        if self.columns is None:
            return tensor
        return tensor.index_select(-1, torch.from_numpy(self.columns).to(tensor.device))


@dataclass(frozen=True)
class Rows:
    """The size of a forward pass: number of sequences, and of tokens in each."""

    sequences: int
    tokens: int

    def __str__(self) -> str:
        return f"{self.sequences} sequences of {self.tokens} tokens, which is not one row of numbers per token"

    def layout(self, tensor: torch.Tensor | None) -> str | None:
        """Return which axes count sequences and tokens, as in `Point`; None if the tensor has no row per token."""
        return next((layout for layout in ("rows", "swapped", "flat") if self.fits_as(layout, tensor)), None)

    def fits_as(self, layout: str, tensor: torch.Tensor | None) -> bool:
        """Return whether the axes of a tensor are those of a layout."""
        if tensor is None or not tensor.is_floating_point():
            return False
        if layout == "flat":
            return tensor.ndim == 2 and tensor.shape[0] == self.sequences * self.tokens
        axes = (self.sequences, self.tokens) if layout == "rows" else (self.tokens, self.sequences)
        return tensor.ndim >= 3 and tuple(tensor.shape[:2]) == axes

    def fits(self, tensor: torch.Tensor | None) -> bool:
        """Return whether a tensor has one row per token."""
        return self.layout(tensor) is not None

    def equal(self, a: torch.Tensor | None, b: torch.Tensor | None) -> bool:
        """Return whether two tensors have the same rows, whatever their layouts."""
        if a is b:
            return True
        if a is None or b is None or self.layout(a) is None or self.layout(b) is None:
            return False
        first, second = (t.transpose(0, 1) if self.layout(t) == "swapped" else t for t in (a, b))
        shape = (self.sequences, self.tokens, -1)
        first, second = first.reshape(shape), second.reshape(shape)
        return first.shape == second.shape and torch.equal(first, second.to(first.device))

    def point(self, call: Call, side: str = "output") -> Point | str:
        """Return the point at one side of a call, or why there is none."""
        tensor = call.given if side == "output" else call.read
        what = f"the {side} of {call.path}"
        if tensor is None:
            return f"{what} is not a tensor, nor a tuple whose first value is one"
        layout = self.layout(tensor)
        if layout is None:
            return f"{what} is {str(tensor.dtype).removeprefix('torch.')} of shape {tuple(tensor.shape)} for {self}"
        return Point(call.path, side, call.turn, layout, tensor.numel() // (self.sequences * self.tokens))


@dataclass(frozen=True)
class Items(Rows):
    """The size of a forward pass over items that need not have tokens: each of `sequences` items has numbers."""

    def __str__(self) -> str:
        return f"{self.sequences} items, which is not numbers for each item"

    def layout(self, tensor: torch.Tensor | None) -> str | None:
        """Return "items" if the first axis counts items, or how else the items are found."""
        if tensor is None or not tensor.is_floating_point() or tensor.ndim < 2:
            return None
        if tensor.shape[0] == self.sequences:
            return "items"
        if tensor.ndim == 3 and tensor.shape[1] == self.sequences:
            return "swapped"
        return "flat" if self.fits_as("flat", tensor) else None

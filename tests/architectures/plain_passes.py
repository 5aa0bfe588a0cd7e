"""What every module of a model read and gave in a forward pass, by hooks of PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import torch

Tensor = torch.Tensor
Call = tuple[Tensor | None, Tensor | None]


def calls_of(module: torch.nn.Module, run: Callable[[], Any]) -> dict[str, list[Call]]:
    """For each module by its path, what each call read and gave, in order."""
    calls: dict[str, list[Call]] = {}
    reading: dict[str, list[Tensor | None]] = {}

    def before(path: str) -> Any:
        def hook(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            first = args[0] if args else kwargs.get("hidden_states")
            reading.setdefault(path, []).append(first.clone() if isinstance(first, Tensor) else None)

        return hook

    def after(path: str) -> Any:
        def hook(_: Any, __: Any, output: Any) -> None:
            output = tuple(output.values()) if isinstance(output, dict) else output
            output = output[0] if isinstance(output, tuple | list) and output else output
            given = output.clone() if isinstance(output, Tensor) else None
            calls.setdefault(path, []).append((reading[path].pop(), given))

        return hook

    with ExitStack() as stack:
        for path, child in module.named_modules():
            if path:
                stack.callback(child.register_forward_pre_hook(before(path), with_kwargs=True).remove)
                stack.callback(child.register_forward_hook(after(path)).remove)
        run()
    return calls


def rows_of_call(tensor: Tensor | None, n: int, positions: int) -> Tensor | None:
    """The tensor as (sequences, positions, width); None if it has no row per position."""
    if tensor is None or not tensor.is_floating_point():
        return None
    if tensor.ndim >= 3 and tuple(tensor.shape[:2]) == (n, positions):
        return tensor.reshape(n, positions, -1)
    if tensor.ndim >= 3 and tuple(tensor.shape[:2]) == (positions, n):
        return tensor.transpose(0, 1).reshape(n, positions, -1)
    if tensor.ndim == 2 and len(tensor) == n * positions:
        return tensor.reshape(n, positions, -1)
    return None


def same_values(a: Tensor, b: Tensor) -> bool:
    """Equal bit for bit, and not a tensor of zeros."""
    return torch.equal(a, b) and bool((a != 0).any())

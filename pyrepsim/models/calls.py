"""The calls of modules in one forward pass: which module ran inside which, what it read and what it gave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch

__all__ = ["Call", "given_tensor", "read_tensor", "trace_calls"]

Result = TypeVar("Result")


@dataclass(eq=False)
class Call:
    """One call of a module.

    Attributes
    ----------
    path : str
        Name of the module, as in ``named_modules``.
    turn : int
        How many calls of this module came before in the same forward pass.
    module : torch.nn.Module
        The module.
    parent : Call or None
        The call that it ran in; None for the whole pass.
    read, given : Tensor or None
        See `read_tensor` and `given_tensor`.
    inner : list of Call
        The calls in it, in order, without those in turn inside them.
    """

    path: str
    turn: int
    module: torch.nn.Module
    parent: Call | None = None
    read: torch.Tensor | None = None
    given: torch.Tensor | None = None
    inner: list[Call] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rpartition(".")[2]

    def below(self) -> Iterator[Call]:
        """Yield the calls inside this one, at any depth, in the order in which they began."""
        for call in self.inner:
            yield call
            yield from call.below()

    def above(self) -> Iterator[Call]:
        """Yield the calls that this one ran in, the innermost first."""
        call = self.parent
        while call is not None:
            yield call
            call = call.parent


def read_tensor(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> torch.Tensor | None:
    """Return the input of a call: its first tensor argument, or ``hidden_states``, or the first tensor by keyword."""
    named = [kwargs.get("hidden_states"), *kwargs.values()]
    return next((value for value in (*args, *named) if isinstance(value, torch.Tensor)), None)


def given_tensor(output: Any) -> torch.Tensor | None:
    """Return the output of a call: a tensor, or the first value of a tuple, a list or a mapping if it is a tensor."""
    if isinstance(output, Mapping):
        output = tuple(output.values())
    if isinstance(output, tuple | list):
        output = output[0] if output else None
    return output if isinstance(output, torch.Tensor) else None


def trace_calls(module: torch.nn.Module, run: Callable[[], Result]) -> tuple[Call, Result]:
    """Call `run`, which runs the module, and return all calls in it and its result.

    The calls are below one call with an empty path, which stands for the whole of `run`. The tensors are not copied;
    they are those of the pass, so this is for a pass over a few tokens.
    """
    whole = Call("", 0, module)
    open_calls = [whole]
    turns: dict[str, int] = {}

    def before(path: str) -> Any:
        def hook(child: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            call = Call(path, turns.get(path, 0), child, open_calls[-1], read_tensor(args, kwargs))
            turns[path] = call.turn + 1
            open_calls[-1].inner.append(call)
            open_calls.append(call)

        return hook

    def after(_: torch.nn.Module, __: tuple[Any, ...], output: Any) -> None:
        open_calls.pop().given = given_tensor(output)

    with ExitStack() as stack:
        for path, child in module.named_modules():
            stack.callback(child.register_forward_pre_hook(before(path), with_kwargs=True).remove)
            stack.callback(child.register_forward_hook(after).remove)
        result = run()
    return whole, result

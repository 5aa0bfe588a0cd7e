"""Use a module without a trace: flags, hooks, gradients and the random state are afterwards as they were."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from weakref import WeakSet

import numpy as np
import torch

__all__ = ["evaluating", "flags_kept", "random_state_kept", "undisturbed", "use_full_attention"]

_MARK = "_output_capturing_hooks_installed"  # transformers sets it beside hooks that record hidden states
_SPARSE = "block_sparse"
_being_read: WeakSet[torch.nn.Module] = WeakSet()


@contextmanager
def undisturbed(module: torch.nn.Module) -> Iterator[None]:
    """For forward passes: evaluation mode, no gradients, and no trace but what the model itself keeps.

    Within such a context, another one of the same module costs nothing: open one around a loop over batches. It is not
    inference mode: a model that keeps a tensor of a pass can still be trained.
    """
    if module in _being_read:
        with torch.no_grad():
            yield
        return
    _being_read.add(module)
    try:
        with random_state_kept(), _attention_kept(module), _hooks_kept(module), evaluating(module), torch.no_grad():
            yield
    finally:
        _being_read.discard(module)


@contextmanager
def flags_kept(module: torch.nn.Module) -> Iterator[None]:
    """Give the module and all modules in it their own training flags back at the end.

    The flags are set directly: a module may override ``train`` and change its weights there.
    """
    flags = [(child, child.training) for child in module.modules()]
    try:
        yield
    finally:
        for child, training in flags:
            child.training = training


@contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode for the module and all modules in it, until the end."""
    with flags_kept(module):
        for child in module.modules():
            child.training = False
        yield


def use_full_attention(module: torch.nn.Module) -> None:
    """Switch BigBird and its like to full attention for good.

    They do so by themselves in the first pass over a short text, and read a long text in another way before that.
    """
    for child in module.modules():
        if vars(child).get("attention_type") == _SPARSE and hasattr(child, "set_attention_type"):
            child.set_attention_type("original_full")  # type: ignore[operator]


@contextmanager
def _attention_kept(module: torch.nn.Module) -> Iterator[None]:
    """Full attention until the end; then the modules for sparse attention are back."""
    sparse = [child for child in module.modules() if vars(child).get("attention_type") == _SPARSE]
    before = [(child, dict(child._modules)) for child in sparse]
    use_full_attention(module)
    try:
        yield
    finally:
        for child, held in before:
            child.attention_type = _SPARSE  # type: ignore[assignment]
            child._modules.update(held)


@contextmanager
def _hooks_kept(module: torch.nn.Module) -> Iterator[None]:
    """Remove the forward hooks that were added meanwhile; transformers adds some to record hidden states."""
    before = [(child, set(child._forward_hooks), _MARK in vars(child)) for child in module.modules()]
    try:
        yield
    finally:
        for child, known, marked in before:
            for key in child._forward_hooks.keys() - known:
                del child._forward_hooks[key]
            if not marked:
                vars(child).pop(_MARK, None)


@contextmanager
def random_state_kept() -> Iterator[None]:
    """Restore the random states of Python, NumPy and torch at the end."""
    python, array = random.getstate(), np.random.get_state()  # noqa: NPY002 - the state that other libraries draw from
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=devices):
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(array)  # noqa: NPY002

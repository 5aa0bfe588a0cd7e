"""Where a model's embeddings end and its transformer blocks begin, found by looking at it at work."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch

from ..core.errors import LayerError, ModelError
from .encoder import first_line

__all__ = ["Blocks", "find_blocks"]


@dataclass(frozen=True, eq=False)
class Blocks:
    """The transformer blocks of one module, in order, and what stands before and after them.

    Attributes
    ----------
    module
        The encoder they belong to; not a copy.
    path
        Name of their list inside it: ``"encoder.layer"``.
    entering
        For each block, the names of the parameters that its input depends on: hidden state, mask, relative
        positions.
    """

    module: torch.nn.Module
    path: str
    entering: Sequence[frozenset[str]]

    @property
    def modules(self) -> torch.nn.ModuleList:
        return cast(torch.nn.ModuleList, self.module.get_submodule(self.path))

    def __len__(self) -> int:
        return len(self.entering)

    @property
    def layers(self) -> tuple[str, ...]:
        """What `parameters_of` takes: ``"embeddings"``, ``"layer.0"`` to ``"layer.N-1"``, ``"rest"``."""
        return ("embeddings", *(f"layer.{index}" for index in range(len(self))), "rest")

    def parameters_of(self, layer: str) -> dict[str, torch.nn.Parameter]:
        """Parameters of one layer, by their names in `module`.

        ``"embeddings"`` are those outside all blocks that the input of the first block depends on (tables shared
        by all blocks, such as relative positions, among them); ``"rest"`` is what remains: a final
        normalisation, a pooler.
        """
        if layer not in self.layers:
            raise LayerError(
                f"A layer is one of {', '.join(self.layers)}: {type(self.module).__name__} has no {layer!r}."
            )
        if layer.startswith("layer."):
            inside = f"{self.path}.{layer.removeprefix('layer.')}."
            return {name: p for name, p in self.module.named_parameters() if name.startswith(inside)}
        outside = {n: p for n, p in self.module.named_parameters() if not n.startswith(f"{self.path}.")}
        first = self.entering[0]
        return {name: p for name, p in outside.items() if (name in first) == (layer == "embeddings")}

    def below(self, k: int) -> dict[str, torch.nn.Parameter]:
        """All that decides the output of the embeddings and the bottom `k` blocks; with all blocks, every parameter."""
        everything = dict(self.module.named_parameters())
        if k == len(self):
            return everything
        inside = tuple(f"{self.path}.{index}." for index in range(k))
        return {name: p for name, p in everything.items() if name in self.entering[k] or name.startswith(inside)}


def find_blocks(module: torch.nn.Module) -> Blocks:
    """The blocks of a Hugging Face encoder or decoder (no task head): its list of as many modules as it has layers.

    Two tokens are passed through, in evaluation mode: each block must be called once, in order, and the graph of
    autograd tells which parameters its input depends on. The module is left as it was found.

    Raises
    ------
    ModelError
        If there is no such list, as where layers share their weights (ALBERT), or more than one.
    """
    name, depth = type(module).__name__, _depth(module)
    lists = {
        path: child
        for path, child in module.named_modules()
        if isinstance(child, torch.nn.ModuleList) and len(child) == depth
    }
    calls = _calls(module, lists) if lists else {}
    in_order = {path for path, found in calls.items() if [index for index, _ in found] == list(range(depth))}
    # A block may itself hold a list that is as long as the model is deep: the outermost list is meant.
    outer = [path for path in in_order if not any(path.startswith(f"{other}.") for other in in_order)]
    if len(outer) != 1:
        fact = "has none" if not outer else f"has {len(outer)}: {', '.join(sorted(outer))}"
        groups = getattr(getattr(module, "config", None), "num_hidden_groups", None)
        if not outer and groups is not None and groups < depth:
            fact = f"shares {groups} group{'s' if groups > 1 else ''} of weights among all its layers"
        raise ModelError(
            f"Work on single layers needs a list of {depth} blocks that run once each, in order: {name} {fact}. Use "
            "the model as a whole, or one whose layers have weights of their own."
        )
    return Blocks(module, outer[0], tuple(names for _, names in calls[outer[0]]))


def _depth(module: torch.nn.Module) -> int:
    config: Any = getattr(module, "config", None)
    depth = getattr(config, "num_hidden_layers", None)  # other names (n_layer, num_layers) are mapped to this one
    if not isinstance(depth, int) or depth < 1:
        raise ModelError(
            f"A model's configuration must give its number of layers: num_hidden_layers of {type(module).__name__} is "
            f"{depth!r}. Use an encoder or decoder that transformers loads."
        )
    return depth


def _calls(
    module: torch.nn.Module, lists: Mapping[str, torch.nn.ModuleList]
) -> dict[str, list[tuple[int, frozenset[str]]]]:
    """For each list, its members in the order they were called, and what their inputs depended on."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    calls: dict[str, list[tuple[int, frozenset[str]]]] = {path: [] for path in lists}
    reached: set[str] = set()
    seen: set[Any] = set()  # what reached one block has reached those above it: each node is visited once

    def watch(path: str, index: int) -> Any:
        def hook(_: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            reached.update(names[i] for i in _leaves(_tensors((args, kwargs)), seen) if i in names)
            calls[path].append((index, frozenset(reached)))

        return hook

    ids = torch.zeros((1, 2), dtype=torch.long, device=next(module.parameters()).device)
    options: dict[str, Any] = {"use_cache": False} if hasattr(module.config, "use_cache") else {}
    with ExitStack() as stack:
        stack.enter_context(_differentiable(module))
        for path, blocks in lists.items():
            for index, block in enumerate(blocks):
                handle = block.register_forward_pre_hook(watch(path, index), with_kwargs=True)
                stack.callback(handle.remove)
        try:
            module(input_ids=ids, attention_mask=torch.ones_like(ids), **options)
        except Exception as error:  # a foreign forward may fail in any way
            raise ModelError(
                f"Blocks are found by passing token ids through: {type(module).__name__} does not take them "
                f"({first_line(error)}). Use a text encoder or decoder."
            ) from error
    return calls


@contextmanager
def _differentiable(module: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode, with a gradient for each weight; both flags return to what they were."""
    parameters = [(p, p.requires_grad) for p in module.parameters() if p.is_floating_point()]
    modes = [(child, child.training) for child in module.modules()]
    try:
        for parameter, _ in parameters:
            parameter.requires_grad_(True)
        module.eval()
        with torch.enable_grad():
            yield
    finally:
        for parameter, wanted in parameters:
            parameter.requires_grad_(wanted)
        for child, training in modes:
            child.training = training


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors(tuple(value.values()))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)


def _leaves(tensors: Iterable[torch.Tensor], seen: set[Any]) -> Iterator[int]:
    """Identities of the leaves that these tensors were computed from, without the nodes already `seen`."""
    waiting: list[Any] = []
    for tensor in tensors:
        if tensor.grad_fn is not None:
            waiting.append(tensor.grad_fn)
        elif tensor.requires_grad:
            yield id(tensor)
    while waiting:
        node = waiting.pop()
        if node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):  # the node that accumulates a leaf's gradient
            yield id(node.variable)
        waiting += [parent for parent, _ in node.next_functions if parent is not None]

"""The transformer blocks of a model and the parameters of each layer, found with one forward pass."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, cast

import torch

from ..core.errors import LayerError, ModelError
from .encoder import first_line
from .restoring import evaluating, random_state_kept

__all__ = ["Blocks", "find_blocks", "paired_parameters"]


@dataclass(frozen=True, eq=False)
class Blocks:
    """The transformer blocks of a module, in order, and the parameters below each of them.

    Attributes
    ----------
    module : torch.nn.Module
        The encoder that the blocks belong to; not a copy.
    path : str
        Name of the list of blocks in the module, such as ``"encoder.layer"``.
    input_parameters : sequence of frozenset of str
        For each block, the names of the parameters that its input depends on, by hidden state, mask or relative
        positions.
    """

    module: torch.nn.Module
    path: str
    input_parameters: Sequence[frozenset[str]]

    @property
    def modules(self) -> torch.nn.ModuleList:
        return cast(torch.nn.ModuleList, self.module.get_submodule(self.path))

    def __len__(self) -> int:
        return len(self.input_parameters)

    @property
    def layers(self) -> tuple[str, ...]:
        """Names for `parameters_of`: ``"embeddings"``, ``"layer.0"`` to ``"layer.N-1"``, ``"rest"``."""
        return ("embeddings", *(f"layer.{index}" for index in range(len(self))), "rest")

    def parameters_of(self, layer: str) -> dict[str, torch.nn.Parameter]:
        """Parameters of one layer, by their names in `module`.

        ``"embeddings"`` are the parameters outside all blocks that the input of the first block depends on, including
        tables that all blocks share, such as relative positions. ``"rest"`` are the remaining ones, such as a final
        normalisation or a pooler.
        """
        if layer not in self.layers:
            raise LayerError(
                f"A layer is one of {', '.join(self.layers)}: {type(self.module).__name__} has no {layer!r}."
            )
        if layer.startswith("layer."):
            inside = f"{self.path}.{layer.removeprefix('layer.')}."
            return {name: p for name, p in self.module.named_parameters() if name.startswith(inside)}
        outside = {n: p for n, p in self.module.named_parameters() if not n.startswith(f"{self.path}.")}
        first = self.input_parameters[0]
        return {name: p for name, p in outside.items() if (name in first) == (layer == "embeddings")}

    def below(self, k: int) -> dict[str, torch.nn.Parameter]:
        """Parameters that the output of the embeddings and bottom `k` blocks depends on; all if `k` is every block."""
        parameters = dict(self.module.named_parameters())
        if k == len(self):
            return parameters
        inside = tuple(f"{self.path}.{index}." for index in range(k))
        below = self.input_parameters[k]
        return {name: p for name, p in parameters.items() if name in below or name.startswith(inside)}

    def modules_below(self, k: int) -> tuple[list[torch.nn.Module], bool]:
        """Modules that run up to the end of block `k` (counted from 1) and not after it; all if `k` is every block.

        The second value says whether no other module runs there, so that the output of block `k` is a constant of the
        input if these modules are in evaluation mode and keep their weights.
        """
        if k == len(self):
            return list(self.module.modules()), True
        finished: list[torch.nn.Module] = []
        later: list[torch.nn.Module] = []
        last = self.modules[k - 1]

        def on_start(module: torch.nn.Module, *_: Any) -> None:
            if last in finished:
                later.append(module)

        def on_end(module: torch.nn.Module, *_: Any) -> None:
            if last not in finished:
                finished.append(module)

        with ExitStack() as stack:
            for module in self.module.modules():
                stack.callback(module.register_forward_pre_hook(on_start).remove)
                stack.callback(module.register_forward_hook(on_end).remove)
            with random_state_kept(), evaluating(self.module), torch.no_grad():
                _pass(self.module)
        own = [module for module in finished if module not in later]
        return own, len(own) == len(finished)


def find_blocks(module: torch.nn.Module) -> Blocks:
    """Find the blocks of a Hugging Face encoder or decoder without task head.

    They are the list of modules that is as long as the model has layers. One forward pass over two tokens, in
    evaluation mode, checks that each block runs once and in order; autograd's graph shows which parameters the input of
    each block depends on. The module is not changed.

    Raises
    ------
    ModelError
        If there is no such list (in ALBERT, layers share their weights), or more than one.
    """
    name, depth = type(module).__name__, _depth(module)
    lists = {
        path: child
        for path, child in module.named_modules()
        if isinstance(child, torch.nn.ModuleList) and len(child) == depth
    }
    calls = _calls(module, lists) if lists else {}
    in_order = {path for path, seen in calls.items() if [index for index, _ in seen] == list(range(depth))}
    # A block may itself hold a list of this length: take the outermost list.
    outer = [path for path in in_order if not any(path.startswith(f"{other}.") for other in in_order)]
    if len(outer) != 1:
        fact = "has none" if not outer else f"has {len(outer)}: {', '.join(sorted(outer))}"
        groups = getattr(getattr(module, "config", None), "num_hidden_groups", None)
        if not outer and groups is not None and groups < depth:
            fact = f"shares {groups} group{'s' if groups > 1 else ''} of weights among all its layers"
        raise ModelError(
            f"Work on single layers needs a list of {depth} blocks that run once each, in order: {name} {fact}. Use "
            "the whole model, or a model whose layers do not share weights."
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
    """For each list, its members in the order of their calls, and the parameters that their inputs depended on."""
    names = {id(parameter): name for name, parameter in module.named_parameters()}
    calls: dict[str, list[tuple[int, frozenset[str]]]] = {path: [] for path in lists}
    reached: set[str] = set()
    visited: set[Any] = set()  # parameters of lower blocks are in `reached` already, so no node is visited twice

    def watch(path: str, index: int) -> Any:
        def hook(_: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            reached.update(names[i] for i in _leaves(_tensors((args, kwargs)), visited) if i in names)
            calls[path].append((index, frozenset(reached)))

        return hook

    with ExitStack() as stack:
        stack.enter_context(_differentiable(module))
        for path, blocks in lists.items():
            for index, block in enumerate(blocks):
                handle = block.register_forward_pre_hook(watch(path, index), with_kwargs=True)
                stack.callback(handle.remove)
        try:
            _pass(module)
        except Exception as error:  # another library's forward pass may raise anything
            raise ModelError(
                f"Blocks are found by a forward pass over token ids: {type(module).__name__} does not take them "
                f"({first_line(error)}). Use a text encoder or decoder."
            ) from error
    return calls


def _pass(module: torch.nn.Module) -> None:
    """One forward pass over two tokens."""
    config: Any = module.config
    ids = torch.zeros((1, 2), dtype=torch.long, device=next(module.parameters()).device)
    options: dict[str, Any] = {"use_cache": False} if hasattr(config, "use_cache") else {}
    module(input_ids=ids, attention_mask=torch.ones_like(ids), **options)


@contextmanager
def _differentiable(module: torch.nn.Module) -> Iterator[None]:
    """Evaluation mode with gradients for all weights; these settings and the random state are restored afterwards."""
    parameters = [(p, p.requires_grad) for p in module.parameters() if p.is_floating_point()]
    try:
        for parameter, _ in parameters:
            parameter.requires_grad_(True)
        with random_state_kept(), evaluating(module), torch.enable_grad():
            yield
    finally:
        for parameter, required in parameters:
            parameter.requires_grad_(required)


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        yield from _tensors(tuple(value.values()))
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _tensors(item)


def _leaves(tensors: Iterable[torch.Tensor], visited: set[Any]) -> Iterator[int]:
    """Ids of the leaf tensors that these tensors were computed from; nodes in `visited` are skipped."""
    waiting: list[Any] = []
    for tensor in tensors:
        if tensor.grad_fn is not None:
            waiting.append(tensor.grad_fn)
        elif tensor.requires_grad:
            yield id(tensor)
    while waiting:
        node = waiting.pop()
        if node in visited:
            continue
        visited.add(node)
        if hasattr(node, "variable"):  # the node that accumulates a leaf's gradient
            yield id(node.variable)
        waiting += [parent for parent, _ in node.next_functions if parent is not None]


def paired_parameters(
    tuned: Blocks, base: Blocks, layer: str
) -> Iterator[tuple[str, torch.nn.Parameter, torch.nn.Parameter]]:
    """Name, weights in `tuned` and weights in `base` of all parameters of one layer.

    Parameters in ``"rest"`` that only one of the models has, such as a pooler, are left out. Raises ModelError if
    architectures or sizes differ; `base` may have more blocks.
    """
    if len(tuned) > len(base):
        raise ModelError(
            f"A tuned model is compared with its base: it has {len(tuned)} blocks, the base {len(base)}. Swap the two, "
            "or give the base that it was tuned from."
        )
    parameters, base_parameters = tuned.parameters_of(layer), base.parameters_of(layer)
    names = [name for name in parameters if name in base_parameters] if layer == "rest" else list(parameters)
    for name in names:
        shape = tuple(parameters[name].shape)
        base_shape = tuple(base_parameters[name].shape) if name in base_parameters else "absent"
        if shape != base_shape:
            raise ModelError(
                f"A tuned model is compared with its base: {name!r} is {shape} in one and {base_shape} in the other. "
                "Give two models of one architecture, size and vocabulary."
            )
        yield name, parameters[name], base_parameters[name]

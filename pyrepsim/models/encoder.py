"""An encoder: a Hugging Face model without task head that returns hidden states for token ids."""

from __future__ import annotations

import copy
import functools
import inspect
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import torch

from ..core.errors import ModelError, PyrepsimError
from .adapters import Adapters
from .digests import weights_digest
from .hooks import HookPoints, find_points, layer_names, recording
from .independence import ONE_AT_A_TIME, PADDED, Forward, Independence, measure, recall, remember
from .parts import Whole
from .points import Point, Rows
from .restoring import undisturbed, use_full_attention

__all__ = ["Encoder", "ModelLike", "first_line", "hidden_states"]

log = logging.getLogger("pyrepsim.models")


@dataclass(frozen=True, eq=False)
class Encoder:
    """A model ready for extraction, made by `load_encoder` or `wrap`.

    Attributes
    ----------
    name : str
        The hub id or folder that was given, or the name of a model in memory.
    revision : str or None
        The hub commit; None for a folder or a model in memory.
    module : torch.nn.Module
        The model without task head. It is in evaluation mode while it is read, and not changed.
    tokenizer
        Its fast tokenizer.
    layers : mapping of str to int
        Width of every hidden state, in order: ``"embeddings"`` (the input of the first block), then ``"layer.0"`` to
        ``"layer.N-1"`` (the output of each block). The last state is as the model returns it: decoders such as GPT-2
        apply their final normalisation to it.
    max_length : int or None
        Tokens per sequence, special tokens included: the smaller limit of model and tokenizer; None if unlimited.
    position_limit : int or None
        Number of positions of the model; None if positions are relative.
    weights, tokenizer_digest : str
        xxh3-128 digests of the weights, and of everything that decides token ids.
    whole : Whole or None
        For the encoder of an encoder-decoder, what saving it needs of the whole model.
    settings : mapping of str to str
        What differs from a model in float32 on one device: ``model_dtype``, ``device_map`` (its devices),
        ``attention``, ``quantization`` and ``adapter`` (the names that are used, or "off"), as in `load_encoder`.
    first_block : str or None
        Path of the first block of a model whose hidden states begin with the output of that block, such as Mamba. What
        this block reads is then recorded, so that names mean the same in every model.
    adapter : str or None
        "on", "off" or the name of the adapter that is used; None leaves the adapters of the model as they are.
    adapters : Adapters
        The adapter layers of the model.
    """

    name: str
    module: torch.nn.Module
    tokenizer: Any
    layers: Mapping[str, int]
    max_length: int | None
    position_limit: int | None
    weights: str
    tokenizer_digest: str
    revision: str | None = None
    whole: Whole | None = None
    settings: Mapping[str, str] = field(default_factory=dict)
    first_block: str | None = None
    adapter: str | None = None
    adapters: Adapters = field(default_factory=lambda: Adapters(torch.nn.Identity()), repr=False)
    _independence: dict[str | None, Independence] = field(default_factory=dict, repr=False)
    _points: list[HookPoints] = field(default_factory=list, repr=False)

    @property
    def device(self) -> torch.device:
        return next(self.module.parameters()).device

    @property
    def vocabulary(self) -> int | None:
        """Number of token embeddings, or None if unknown."""
        get: Any = getattr(self.module, "get_input_embeddings", None)
        return getattr(get(), "num_embeddings", None) if get is not None else None

    @property
    def pad_id(self) -> int:
        """The id that pads a batch; 0 if the tokenizer has none. The attention mask hides padding in any case."""
        pad = self.tokenizer.pad_token_id
        return 0 if pad is None else int(pad)

    @property
    def reads_types(self) -> bool:
        """Whether the model takes token types, which tell the first text of a pair from the second."""
        return "token_type_ids" in inspect.signature(self.module.forward).parameters

    @property
    def batching(self) -> str:
        """``"padded"``, or ``"one text at a time"`` for a model whose rows depend on the padding beside them.

        Found with five forward passes over at most 30 tokens at first use, and kept in the user's cache folder.

        Raises
        ------
        ModelError
            If the rows of a text depend on what the model read before, or on chance.
        """
        return self._checked().batching

    @property
    def causal(self) -> bool:
        """Whether rows do not change with the tokens after them, as in GPT; found in the same check as `batching`."""
        return self._checked().causal

    def _checked(self) -> Independence:
        implementation = getattr(self.module.config, "_attn_implementation", None)
        if implementation not in self._independence:
            self._independence[implementation] = _independence(self, implementation)
        return self._independence[implementation]

    def run(
        self,
        forward: Forward,
        ids: torch.Tensor,
        types: torch.Tensor | None = None,
        *,
        token_axes: Sequence[int] = (1,),
    ) -> tuple[torch.Tensor, ...]:
        """Call `forward` as the model's `batching` requires, in evaluation mode and without gradients.

        The model's training flags and the random state are afterwards as they were.

        Parameters
        ----------
        forward : callable
            Maps token ids, an attention mask, and `types` if given, to tensors whose first axis counts sequences.
        ids : Tensor of shape (n_sequences, n_tokens)
            Token ids, -1 at the padding.
        types : Tensor of the same shape, optional
            Token types; left out if the model reads none.
        token_axes : sequence of int
            The axes of these tensors that count tokens. Values at the padding have no meaning.
        """
        mask = ids >= 0
        others = (types,) if types is not None and self.reads_types else ()
        batching = self.batching
        with self.reading():
            if batching == PADDED:
                return forward(ids.masked_fill(~mask, self.pad_id), mask.long(), *others)
            alone = [
                forward(row[own][None], torch.ones_like(row[own][None]), *(other[index][own][None] for other in others))
                for index, (row, own) in enumerate(zip(ids, mask, strict=True))
            ]
            layers = zip(*alone, strict=True)
            return tuple(
                torch.cat([_spread(one, own, token_axes) for one, own in zip(layer, mask, strict=True)])
                for layer in layers
            )

    @property
    def points(self) -> HookPoints:
        """The hook points inside the blocks by canonical names; found in one forward pass at first use."""
        if not self._points:
            self._points.append(self._find_points())
        return self._points[0]

    def _find_points(self) -> HookPoints:
        rows = Rows(2, min(7, self.position_limit or 7))
        ids = torch.zeros((rows.sequences, rows.tokens), dtype=torch.long, device=self.device)
        run = functools.partial(hidden_states, self.module, ids, torch.ones_like(ids), first_block=self.first_block)
        with self.reading():
            return find_points(self.module, run, self.layers, rows, name=self.name)

    def widths(self, layers: str | Sequence[str | int] = "all") -> dict[str, int]:
        """Return the widths of layers and hook points, in the model's order.

        Parameters
        ----------
        layers : "all" (default), or names and indices
            "all" are the hidden states of `layers`, which indices count too. Other names are those of hook points,
            paths of modules, and patterns: see `HookPoints.find`.

        Raises
        ------
        LayerError
            If there is no such layer.
        OptionError
            If no layer is chosen.
        """
        chosen = layer_names(layers, list(self.layers), self.name)
        if self.layers.keys() >= set(chosen):
            return {layer: width for layer, width in self.layers.items() if layer in chosen}
        return self.points.find(chosen)

    def hidden_states(
        self,
        input_ids: torch.Tensor,
        attention_mask: torch.Tensor,
        layers: Sequence[str] | None = None,
        token_type_ids: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, ...]:
        """Return hidden states and what other hook points record, of one forward pass without gradients.

        Parameters
        ----------
        input_ids, attention_mask : Tensor of shape (n_sequences, n_tokens)
        layers : sequence of str, optional
            Names as in the keys of `widths`; by default all of `layers`.
        token_type_ids : Tensor of shape (n_sequences, n_tokens), optional
            For models that read them.

        Returns
        -------
        tuple of Tensor of shape (n_sequences, n_tokens, width), one per name
            Values at the padding have no meaning.
        """
        names = list(self.layers if layers is None else layers)
        inside = [name for name in names if name not in self.layers]
        chosen = {name: point for name in inside if isinstance(point := self.points.point(name), Point)}
        ids = input_ids.masked_fill(attention_mask == 0, -1)
        return self.run(lambda *inputs: self._recorded(names, chosen, *inputs), ids, token_type_ids)

    def _recorded(
        self,
        names: Sequence[str],
        points: Mapping[str, Point],
        ids: torch.Tensor,
        mask: torch.Tensor,
        types: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, ...]:
        options: dict[str, Any] = {"states": len(points) < len(names), "first_block": self.first_block, "types": types}
        with recording(self.module, points) as tensors:
            found = dict(zip(self.layers, hidden_states(self.module, ids, mask, **options), strict=False))
        rows = Rows(*ids.shape)
        found |= {name: point.rows(tensors[name].to(ids.device), rows, name) for name, point in points.items()}
        return tuple(found[name] for name in names)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """For forward passes of `module`: as `undisturbed`, with the adapter of this encoder."""
        with undisturbed(self.module), self.adapters.chosen(self.adapter):
            yield

    def with_adapter(self, adapter: str) -> Encoder:
        """Return an encoder of the same model, not of a copy, with another choice of its adapter.

        Parameters
        ----------
        adapter : str
            "on", "off", or the name of one of the adapters of the model.

        Raises
        ------
        OptionError
            If the model has no adapter of this name.
        ModelError
            If the adapter is merged into the weights, or changed biases of the base.
        """
        self.adapters.check(adapter, self.name)
        with self.adapters.chosen(adapter):
            weights, active = weights_digest(self.module, self.adapters), self.adapters.active
        settings = {**self.settings, "adapter": active}
        return replace(self, adapter=adapter, weights=weights, settings=settings, _independence={}, _points=[])

    def copied(self) -> Encoder:
        """Return an encoder with a copy of the model, which needs as much memory again.

        Raises ModelError if the model cannot be copied, such as one that keeps results of a forward pass.
        """
        try:
            module = copy.deepcopy(self.module)
        except Exception as error:  # copying runs code of every module
            raise ModelError(
                f"A model in memory is copied before it is changed: {self.name!r} ({type(self.module).__name__}) "
                f"cannot be ({first_line(error)}). Give the folder that it was loaded from."
            ) from error
        use_full_attention(module)
        adapters = Adapters(module)
        adapters.biased = self.adapters.biased
        return replace(self, module=module, adapters=adapters, _independence={}, _points=[])

    def record(self) -> dict[str, str | None]:
        """Name, revision, digest of the weights, settings, and `batching` unless "padded", as stores record them."""
        record = {"id": self.name, "revision": self.revision, "weights": self.weights, **self.settings}
        return record if self.batching == PADDED else record | {"batching": self.batching}

    def __repr__(self) -> str:
        return f"Encoder({self.name!r}, layers={len(self.layers)}, max_length={self.max_length}, {self.device})"


def _independence(encoder: Encoder, implementation: str | None) -> Independence:
    """Measure, or recall from the cache; refuse a model whose rows depend on earlier calls or on chance."""
    module, device = encoder.module, encoder.device
    vocabulary = min(encoder.vocabulary or len(encoder.tokenizer), len(encoder.tokenizer))
    special = set(encoder.tokenizer.all_special_ids)
    setting: dict[str, Any] = {"vocabulary": vocabulary, "special": sorted(special), "pad": encoder.pad_id}
    setting |= {"weights": encoder.weights, "device": device.type, "attention": implementation}
    found = recall(module, **setting)
    if found is None:
        try:
            with encoder.reading():
                found = measure(
                    lambda ids, mask: hidden_states(module, ids, mask, first_block=encoder.first_block),
                    vocabulary=vocabulary,
                    special=special,
                    pad_id=encoder.pad_id,
                    limit=encoder.position_limit,
                    device=device,
                )
        except PyrepsimError:
            raise
        except Exception as error:  # another library's forward pass may raise anything
            raise ModelError(
                f"A model must take texts of several lengths, alone and in a padded batch: {encoder.name!r} "
                f"({type(module).__name__}) does not ({first_line(error)}). Use another model."
            ) from error
        if not found.again.is_rounding:
            raise ModelError(
                f"The same text must give the same rows in every call: those of {encoder.name!r} "
                f"({type(module).__name__}) differ by {found.again.value:.1e} of the largest value in layer "
                f"{list(encoder.layers)[found.again.layer]!r} after other texts were read. Remove what the model keeps "
                "between calls (running statistics, a cache), or its randomness (dropout, random hashing)."
            )
        remember(found, module, **setting)
    if found.batching == ONE_AT_A_TIME:
        log.warning(
            "%s is run one text at a time, without padding: the rows of a text differ by %.1e of the largest value in "
            "layer %r beside a longer text, because %s reads padding",
            encoder.name, found.together.value, list(encoder.layers)[found.together.layer], type(module).__name__,
        )  # fmt: skip
    return found


def _spread(one: torch.Tensor, own: torch.Tensor, token_axes: Sequence[int]) -> torch.Tensor:
    """Move the tokens of one sequence to their positions in a padded one, with zeros at the padding."""
    positions = own.nonzero()[:, 0]
    for axis in token_axes:
        shape = [*one.shape[:axis], len(own), *one.shape[axis + 1 :]]
        one = one.new_zeros(shape).index_copy_(axis, positions, one)
    return one


ModelLike: TypeAlias = str | os.PathLike[str] | torch.nn.Module | Encoder
"""What every function takes as a model: a folder, a hub id, ``id@revision``, a model in memory, or an `Encoder`."""


def hidden_states(
    module: torch.nn.Module,
    input_ids: torch.Tensor,
    attention_mask: torch.Tensor,
    *,
    states: bool = True,
    first_block: str | None = None,
    types: torch.Tensor | None = None,
) -> tuple[torch.Tensor, ...]:
    """What the first block of a model reads, and what each block gives; the last one as the model returns it.

    With ``states=False`` there are none, which needs less memory. For `first_block` see `Encoder`.
    """
    options: dict[str, Any] = {"use_cache": False} if hasattr(module.config, "use_cache") else {}
    options["output_hidden_states"] = states
    if types is not None:
        options["token_type_ids"] = types
    begin = {"begin": Point(first_block, "input", 0, "rows", 0)} if first_block and states else {}
    with recording(module, begin) as read:
        found = module(input_ids=input_ids, attention_mask=attention_mask, **options).hidden_states or ()
    if wrong := [tuple(state.shape) for state in found if state.shape[:-1] != input_ids.shape]:
        raise ModelError(
            f"Every hidden state must have one row per token: {type(module).__name__} gives shape {wrong[0]} for "
            f"{tuple(input_ids.shape)} tokens, because it pads or pools them. Use another model."
        )
    return (read["begin"], *found[:-2], *found[-1:]) if begin else found


def first_line(error: BaseException) -> str:
    """Type and first line of another library's error."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no detail'}"

"""An encoder: a Hugging Face model without task head that returns hidden states for token ids."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
import xxhash

from ..core.errors import ModelError
from .independence import ONE_AT_A_TIME, PADDED, Forward, Independence, measure, recall, remember
from .parts import Whole, encoder_part

log = logging.getLogger("pyrepsim.models")

_UNSET = 1_000_000  # a tokenizer without a limit has a model_max_length of 1e30


def position_limit(module: torch.nn.Module) -> int | None:
    """Number of tokens that the model has positions for, or None if positions are relative.

    RoBERTa and similar models count positions from ``padding_idx + 1``, so a table of 514 serves 512 tokens.
    """
    limits = []
    for name, child in module.named_modules():
        if name.rpartition(".")[2] in ("position_embeddings", "embed_positions", "wpe"):
            padding, rows = getattr(child, "padding_idx", None), getattr(child, "num_embeddings", None)
            if rows is not None:
                limits.append(int(rows) if padding is None else int(rows) - int(padding) - 1)
    declared = getattr(module.config, "max_position_embeddings", None)
    if declared is not None and declared > 0:
        limits.append(int(declared))  # the tables of OPT and BART have two extra rows
    return min(limits, default=None)


def sequence_limit(module: torch.nn.Module, tokenizer: Any) -> int | None:
    """The smaller of the model's and the tokenizer's limit, special tokens included."""
    known = [limit for limit in (position_limit(module), tokenizer.model_max_length) if limit is not None]
    limit = min(known, default=_UNSET)
    return int(limit) if limit < _UNSET else None


@dataclass(frozen=True, eq=False)
class Encoder:
    """A model ready for extraction, made by `load_encoder` or `wrap_encoder`.

    Attributes
    ----------
    name : str
        The hub id or folder that was given.
    revision : str or None
        The hub commit; None for a folder or a module in memory.
    module : torch.nn.Module
        The model without task head, in evaluation mode.
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
    _independence: dict[str | None, Independence] = field(default_factory=dict, repr=False)

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

    def run(self, forward: Forward, ids: torch.Tensor, *, token_axes: Sequence[int] = (1,)) -> tuple[torch.Tensor, ...]:
        """Call `forward` as the model's `batching` requires, in evaluation mode and without gradients.

        Parameters
        ----------
        forward : callable
            Maps token ids and an attention mask to tensors whose first axis counts sequences.
        ids : Tensor of shape (n_sequences, n_tokens)
            Token ids, -1 at the padding.
        token_axes : sequence of int
            The axes of these tensors that count tokens. Values at the padding have no meaning.
        """
        mask = ids >= 0
        batching = self.batching
        self.module.eval()
        with torch.inference_mode():
            if batching == PADDED:
                return forward(ids.masked_fill(~mask, self.pad_id), mask.long())
            alone = [
                forward(row[own][None], torch.ones_like(row[own][None])) for row, own in zip(ids, mask, strict=True)
            ]
            layers = zip(*alone, strict=True)
            return tuple(
                torch.cat([_spread(one, own, token_axes) for one, own in zip(layer, mask, strict=True)])
                for layer in layers
            )

    def hidden_states(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Return all hidden states without gradients.

        Parameters
        ----------
        input_ids, attention_mask : Tensor of shape (n_sequences, n_tokens)

        Returns
        -------
        tuple of Tensor of shape (n_sequences, n_tokens, width), one per entry of `layers`
            Values at the padding have no meaning.
        """
        ids = input_ids.masked_fill(attention_mask == 0, -1)
        return self.run(lambda ids, mask: _forward(self.module, ids, mask), ids)

    def record(self) -> dict[str, str | None]:
        """Name, revision, digest of the weights, and `batching` unless "padded", as stores and runs record them."""
        record = {"id": self.name, "revision": self.revision, "weights": self.weights}
        return record if self.batching == PADDED else record | {"batching": self.batching}

    def __repr__(self) -> str:
        return f"Encoder({self.name!r}, layers={len(self.layers)}, max_length={self.max_length}, {self.device})"


def wrap_encoder(module: torch.nn.Module, tokenizer: Any, *, name: str, revision: str | None = None) -> Encoder:
    """Make an `Encoder` of a model in memory: its base model, set to evaluation mode.

    Parameters
    ----------
    module : torch.nn.Module
        A transformers model, with or without task head. It is not copied.
    tokenizer
        The fast tokenizer that belongs to it.
    name : str
        Name for messages and records.
    revision : str, optional
        Commit for records.

    Returns
    -------
    Encoder

    Raises
    ------
    ModelError
        If the tokenizer is slow or has no vocabulary, or the model gives no hidden states for token ids.

    Examples
    --------
    >>> from transformers import AutoModel, AutoTokenizer
    >>> from pyrepsim.models import wrap_encoder
    >>> module = AutoModel.from_pretrained("bert-base-uncased")
    >>> encoder = wrap_encoder(module, AutoTokenizer.from_pretrained("bert-base-uncased"), name="in-memory")
    >>> encoder.name, list(encoder.layers)[:2]
    ('in-memory', ['embeddings', 'layer.0'])
    """
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"Extraction aligns tokens with the text by the offsets of a fast tokenizer: {name!r} has a slow one "
            f"({type(tokenizer).__name__}). Save it in fast form (tokenizer.json) beside the model."
        )
    if len(tokenizer) <= len(tokenizer.all_special_ids):
        # Without tokenizer files transformers creates a tokenizer that knows only its special tokens.
        raise ModelError(
            f"A model needs the tokenizer it was trained with: {name!r} has none with a vocabulary. Save the "
            "tokenizer into the model's folder with `tokenizer.save_pretrained(folder)`."
        )
    base, whole = encoder_part(module)
    base = base.eval()
    return Encoder(
        name=name,
        module=base,
        tokenizer=tokenizer,
        layers=MappingProxyType(_layer_widths(base, name)),
        max_length=sequence_limit(base, tokenizer),
        position_limit=position_limit(base),
        weights=weights_digest(base),
        tokenizer_digest=tokenizer_digest(tokenizer),
        revision=revision,
        whole=whole,
    )


def _layer_widths(module: torch.nn.Module, name: str) -> dict[str, int]:
    """Names and widths of the hidden states, from one forward pass over two tokens."""
    device = next(module.parameters()).device
    ids = torch.zeros((1, 2), dtype=torch.long, device=device)
    try:
        with torch.inference_mode():
            states = _forward(module, ids, torch.ones_like(ids))
        shapes = [tuple(state.shape) for state in states]
    except Exception as error:  # another library's forward pass may raise anything
        raise ModelError(
            f"Extraction needs a model that gives hidden states for token ids: {name!r} ({type(module).__name__}) "
            f"does not ({first_line(error)}). Use a text encoder or decoder."
        ) from error
    if not shapes or any(len(shape) != 3 or shape[:2] != (1, 2) for shape in shapes):
        raise ModelError(
            f"Every hidden state must have one row per token: {name!r} ({type(module).__name__}) gives shapes "
            f"{shapes} for 2 tokens. Models that merge tokens between layers cannot be extracted."
        )
    names = ["embeddings"] + [f"layer.{index}" for index in range(len(shapes) - 1)]
    return {layer: shape[2] for layer, shape in zip(names, shapes, strict=True)}


def _independence(encoder: Encoder, implementation: str | None) -> Independence:
    """Measure, or recall from the cache; refuse a model whose rows depend on earlier calls or on chance."""
    module, device = encoder.module.eval(), encoder.device
    vocabulary = min(encoder.vocabulary or len(encoder.tokenizer), len(encoder.tokenizer))
    special = set(encoder.tokenizer.all_special_ids)
    setting: dict[str, Any] = {"vocabulary": vocabulary, "special": sorted(special), "pad": encoder.pad_id}
    setting |= {"weights": encoder.weights, "device": device.type, "attention": implementation}
    found = recall(module, **setting)
    if found is None:
        try:
            found = measure(
                lambda ids, mask: _forward(module, ids, mask),
                vocabulary=vocabulary,
                special=special,
                pad_id=encoder.pad_id,
                limit=encoder.position_limit,
                device=device,
            )
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


def _forward(
    module: torch.nn.Module, input_ids: torch.Tensor, attention_mask: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    options = {"use_cache": False} if hasattr(module.config, "use_cache") else {}
    return module(
        input_ids=input_ids, attention_mask=attention_mask, output_hidden_states=True, **options
    ).hidden_states


def first_line(error: BaseException) -> str:
    """Type and first line of another library's error."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0] if lines else 'no detail'}"


def weights_digest(module: torch.nn.Module) -> str:
    """xxh3-128 over names, dtypes, shapes and bytes of all weights, in order of name."""
    digest = xxhash.xxh3_128()
    for name, tensor in sorted(module.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()


def tokenizer_digest(tokenizer: Any) -> str:
    """xxh3-128 over everything that decides token ids: vocabulary, merges, normalisation, splitting, special tokens.

    Saved truncation and padding settings are left out: extraction does not use them, and they differ between a model
    and models fine-tuned from it.
    """
    record = json.loads(tokenizer.backend_tokenizer.to_str())
    for irrelevant in ("version", "truncation", "padding", "decoder"):
        record.pop(irrelevant, None)
    return xxhash.xxh3_128(json.dumps(record, sort_keys=True).encode()).hexdigest()

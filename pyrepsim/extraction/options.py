"""The options of an extraction, declared once for the Python functions and the command line.

This module imports neither NumPy nor torch. A docstring under a field is its help on the command line.
"""

# Annotations are types, not strings: a subclass in another module could not look the strings up.
import dataclasses
import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, Literal, TypeVar, cast

from ..core.errors import OptionError, check_choice

__all__ = [
    "ExtractionOptions",
    "ForwardOptions",
    "ModelOptions",
    "ReadingOptions",
    "ReadingPolicy",
    "with_keywords_of",
]

Function = TypeVar("Function", bound=Callable[..., Any])

_CHOICES = {
    "words": (None, "first", "mean"),
    "long": ("error", "window", "truncate"),
    "special_tokens": ("text", "tokens"),
}
_ROWS = ("document", "item", "token", "flatten")
_COUNTS = ("max_length", "batch_tokens", "shard_tokens")


@dataclass(frozen=True, kw_only=True)
class ReadingOptions:
    """How documents become sequences for a model, and which rows they give.

    Raises
    ------
    OptionError
        If a value is outside its domain.

    Examples
    --------
    >>> from pyrepsim.extraction import ReadingOptions
    >>> ReadingOptions(words="mean")
    ReadingOptions(words='mean', rows=None, long='error', max_length=None, batch_tokens=4096, special_tokens='text')
    """

    words: Literal["first", "mean"] | None = None
    """Rows: one per token (default), or one per word, made of its first subword or the mean of all its subwords."""
    rows: Any = None
    """document: a row per text, the mean over its tokens; by default a row per token, or per word with words."""
    long: Literal["error", "window", "truncate"] = "error"
    """What to do with a text of more than max_length tokens: refuse it, read overlapping windows, or cut it off."""
    max_length: int | None = None
    """Tokens per sequence, special tokens included; by default the limit of the model and its tokenizer."""
    batch_tokens: int = 4096
    """Tokens per batch, padding included. A longer sequence is a batch of its own."""
    special_tokens: Literal["text", "tokens"] = "text"
    """How the string of a special token in a text, such as [MASK], is read: as text, or as that token."""

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            check_choice(name, getattr(self, name), choices)
        if isinstance(self.rows, str) and self.rows not in _ROWS:
            raise OptionError(f"rows must be one of {', '.join(map(repr, _ROWS))}, or a function: got {self.rows!r}.")
        if self.words is not None and self.by_document:
            raise OptionError(
                f"A row is a word or a document: got words={self.words!r} and rows='document'. Leave one out."
            )
        for name in _COUNTS:
            value: Any = getattr(self, name, None)
            is_count = isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 1
            if not (is_count or (value is None and name != "batch_tokens")):
                raise OptionError(f"{name} must be a whole number of tokens, 1 or more: got {value!r}.")

    @property
    def by_document(self) -> bool:
        """Whether a row is the mean over the tokens of a document."""
        return isinstance(self.rows, str) and self.rows == "document"

    def reading(self) -> dict[str, Any]:
        """Return the options of `ReadingOptions` alone, by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(ReadingOptions)}


@dataclass(frozen=True, kw_only=True)
class ReadingPolicy(ReadingOptions):
    """Reading options with the model's limits filled in, as a plan records them."""

    tokens: Any = "all"
    """The tokens that give rows, or that a row of a document is the mean of: a name, a slice as text, or a function."""
    shard_tokens: int = 32768
    """Tokens per shard. A longer document is a shard of its own."""


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """How a model is loaded: the options of `load_encoder`, which checks them.

    Where two models are loaded, each may be a pair, with a value for each model.

    Examples
    --------
    >>> from pyrepsim.extraction import ModelOptions
    >>> ModelOptions(model_dtype="auto").loading()["model_dtype"]
    'auto'
    """

    revision: str | None = None
    """Branch, tag or commit of the model on the hub."""
    device: str = "auto"
    """A torch device such as cpu or cuda:0; auto is the GPU of this process if there is one, otherwise the CPU."""
    model_dtype: str = "float32"
    """Type of the model's weights: float32, bfloat16, float16, or auto, that of the checkpoint."""
    device_map: Any = None
    """Put the model on several devices, as in transformers: auto, balanced, or a device for each module."""
    attention: str | None = None
    """Implementation of attention: eager, sdpa, flash_attention_2, flash_attention_3 or flex_attention."""
    quantization: Any = None
    """Quantise the weights at loading: bitsandbytes-8bit, bitsandbytes-4bit or torchao-int8."""
    adapter: str | None = None
    """For a model with an adapter of peft: on, off (the base model alone), or the name of the adapter to use."""

    def loading(self) -> dict[str, Any]:
        """Return the options of `ModelOptions` alone, by name."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(ModelOptions)}


@dataclass(frozen=True, kw_only=True)
class ForwardOptions(ModelOptions, ReadingOptions):
    """Options of everything that runs models over texts."""


@dataclass(frozen=True, kw_only=True)
class ExtractionOptions(ForwardOptions):
    """Keyword options of `extract` and `plan_extraction`: what decides the rows, layers and bytes of a store.

    Examples
    --------
    >>> from pyrepsim.extraction import ExtractionOptions
    >>> ExtractionOptions(layers="all", dtype="float32").reading()
    {'words': None, 'rows': None, 'long': 'error', 'max_length': None, 'batch_tokens': 4096, 'special_tokens': 'text'}
    """

    layers: str | Sequence[str | int] = "all"
    """Layers to store: all, or names and indices as in Encoder.layers, hook points, and patterns (docs/hooks.md)."""
    tokens: Any = None
    """Tokens to store, as in compare: content, last, first_subword, assistant, a slice such as -3:; by default all.
    With rows=document: the tokens of the mean, by default content, which leaves out special tokens."""
    dtype: Literal["float16", "bfloat16", "float32"] = "float16"
    """Type of the stored activations. This conversion is the only lossy step."""
    same_plan_as: Any = None
    """A store, its path, or an `ExtractionPlan`: use its rows, shards and batches."""


def with_keywords_of(source: Callable[..., Any], *, without: Sequence[str] = ()) -> Callable[[Function], Function]:
    """Decorate a function that takes ``**options`` for `source`: its signature then lists them with their defaults.

    Other keywords, and those in `without`, raise TypeError, as they do for any function.
    """
    keywords = [p for p in inspect.signature(source).parameters.values() if p.kind is p.KEYWORD_ONLY]
    shared = [p for p in keywords if p.name not in without]

    def with_signature(function: Function) -> Function:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        known = {p.name for p in (*own, *shared)}

        @functools.wraps(function)
        def checked(*arguments: Any, **options: Any) -> Any:
            if unknown := [name for name in options if name not in known]:
                raise TypeError(f"{function.__name__}() got an unexpected keyword argument {unknown[0]!r}")
            return function(*arguments, **options)

        setattr(checked, "__signature__", signature.replace(parameters=[*own, *shared]))  # noqa: B010
        return cast(Function, checked)

    return with_signature

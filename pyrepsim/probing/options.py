"""The options of the probing functions, declared once for Python and for the command line.

This module imports neither NumPy nor torch. A docstring under a field is its help on the command line.
"""

# Annotations are types, not strings: a subclass in another module could not look the strings up.
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ..core.errors import OptionError
from ..extraction.options import ModelOptions

__all__ = [
    "FIGURE_FORMATS",
    "EdgeProbingOptions",
    "MdlProbingOptions",
    "ProbingOptions",
    "SpanProbingOptions",
    "StructuralProbingOptions",
]

FIGURE_FORMATS = ("svg", "png", "pdf")

CODE_FRACTIONS = (0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.0625, 0.125, 0.25, 0.5, 1.0)
"""Ends of the blocks of an online code, as fractions of the training targets (Voita and Titov, 2020)."""


@dataclass(frozen=True, kw_only=True)
class ProbingOptions(ModelOptions):
    """Options of every probing: data, model, stores and output.

    Raises
    ------
    OptionError
        If a value is outside its domain.
    """

    train: str | Path | None = None
    """Annotated text to train on: a file, or a folder whose files form one corpus."""
    dev: str | Path | None = None
    """Annotated text to validate on."""
    data: str | Path | None = None
    """Corpus folder with all splits under their published file names; instead of train, dev and test."""
    seeds: Sequence[int] | None = None
    """Seeds to train with, such as [0,1,2]; by default [0], or [0,1,2,3,4] for dpr."""
    random_init: bool = False
    """Probe the same architecture with random weights, as a control."""
    init_seed: int = 0
    """Seed of the random weights."""
    device: str = "auto"
    """Device of the model and the probes: auto, cpu or cuda:0."""
    dtype: Literal["float16", "bfloat16", "float32"] = "float16"
    """Type of the stored activations. This conversion is the only lossy step."""
    long: Literal["error", "window", "truncate"] = "window"
    """What to do with a text that is longer than the model's limit."""
    max_length: int | None = None
    """Longest sequence in tokens, if shorter than the model's limit."""
    batch_tokens: int = 4096
    """Tokens in a batch of the extraction, padding included."""
    stores: str | Path | None = None
    """Folder for the activation stores, which probings of the same texts share; by default stores/ in the output."""
    keep_stores: bool = True
    """Keep the activation stores after the results are written; --keep-stores=false removes them."""
    figures: str | Sequence[str] = "svg"
    """File formats of the figures, separated by commas: svg, png, pdf."""
    overwrite: bool = False
    """Extract and train again, and replace what the output folder holds."""
    wait: float | None = None
    """Seconds to wait for another process that writes to the output folder or the stores; by default it is refused."""
    progress: bool | None = None
    """Show progress bars; by default on a terminal and in a notebook, and lines in a log."""

    def __post_init__(self) -> None:
        for name in self.figure_formats:
            if name not in FIGURE_FORMATS:
                raise OptionError(f"A figure format must be one of {', '.join(FIGURE_FORMATS)}: got {name!r}.")
        _check_count("init_seed", self.init_seed)

    @property
    def figure_formats(self) -> tuple[str, ...]:
        """The figure formats as a tuple."""
        return tuple(split_names(self.figures))

    @property
    def extraction(self) -> dict[str, Any]:
        """The options that `pyrepsim.extract` gets."""
        return {name: getattr(self, name) for name in ("dtype", "long", "max_length", "batch_tokens")}


@dataclass(frozen=True, kw_only=True)
class SpanProbingOptions(ProbingOptions):
    """Options of the probings that classify spans of words."""

    reading: Mapping[str, Any] | None = None
    """Options of `pyrepsim.probing.corpora.read`, such as {"tags": "upos"}."""
    members: str | Sequence[str] | None = None
    """Layers and mixes to probe, separated by commas: layers, mixes, top, mix, mix.K, lex, or the name of a layer."""
    recipe: Any = None
    """Changes of the published recipe, such as {"batch_size": 64}, or an `EdgeProbeRecipe`."""
    texts: str | Path | None = None
    """File with the texts of one store for all splits, one per line, which probings of several tasks share; by default
    each split has a store of its own texts."""
    lexical: bool = True
    """Train the lexical baseline too: a probe of the word pieces without context. --lexical=false leaves it out."""


@dataclass(frozen=True, kw_only=True)
class EdgeProbingOptions(SpanProbingOptions):
    """Options of `pyrepsim.probe_edge`."""

    test: str | Path | None = None
    """Annotated text to score; by default the scores shown are those of dev."""
    control: bool = False
    """Train all probes on the control task too (Hewitt and Liang, 2019), to measure their selectivity."""
    base: Any = None
    """Folder or result of the probing to compare with, such as that of the model before fine-tuning."""


@dataclass(frozen=True, kw_only=True)
class MdlProbingOptions(SpanProbingOptions):
    """Options of `pyrepsim.probe_mdl`."""

    fractions: Sequence[float] = CODE_FRACTIONS
    """Ends of the blocks of the code, as fractions of the training targets; the last is 1."""


@dataclass(frozen=True, kw_only=True)
class StructuralProbingOptions(ProbingOptions):
    """Options of `pyrepsim.probe_structural`."""

    test: str | Path | None = None
    """CoNLL-U to score; by default the scores are those of dev."""
    layers: str | Sequence[str | int] = "all"
    """Layers to probe: all, or names and indices."""
    ranks: Sequence[int] = (128,)
    """Ranks of the probes, such as [16,64,128]."""
    epochs: int = 40
    """Largest number of epochs."""
    batch_size: int = 20
    """Sentences in a batch."""
    learning_rate: float = 1e-3
    """Learning rate at the start."""
    trees: int = 0
    """Number of scored sentences to draw, each with the tree that the best layer predicts."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _check_count("trees", self.trees)


def split_names(names: str | Sequence[str]) -> list[str]:
    """Return names as a list; a string is split at its commas."""
    parts = names.split(",") if isinstance(names, str) else names
    return [part.strip() for part in parts if part.strip()]


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise OptionError(f"{name} must be a whole number of at least 0: got {value!r}.")

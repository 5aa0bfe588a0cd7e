"""What edge probes are trained: a recipe with the published settings, and members, one per layer or mix and seed."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...core.errors import LayerError, OptionError
from ..options import split_names

__all__ = ["LEXICAL", "EdgeProbeRecipe", "Member", "change_recipe", "choose_members"]

LEXICAL = "lex"
"""Name of the lexical baseline: the member that reads the table of word pieces instead of a layer."""

_CHOICES = {"family": ("mlp", "linear"), "loss": ("sigmoid", "softmax"), "monitor": ("f1", "loss")}
_COUNTS = ("hidden", "batch_size", "validate_every", "max_validations", "halve_after", "stop_after")
_SMALL_TASKS = ("spr", "spr1", "spr2", "dpr", "relations")


@dataclass(frozen=True, kw_only=True)
class EdgeProbeRecipe:
    """Settings of an edge probe and its training; the defaults are published.

    Source: Tenney et al. (2019), "What do you learn from context? Probing for sentence structure in contextualized
    word representations", section 3 and appendix.

    Raises
    ------
    OptionError
        If a setting is outside its domain.

    Examples
    --------
    >>> from pyrepsim.probing.edge import EdgeProbeRecipe
    >>> EdgeProbeRecipe.for_task("dpr").validate_every
    100
    >>> EdgeProbeRecipe().but(family="linear").family
    'linear'
    """

    projection: int | None = 256
    """Features of a token after its linear projection, one for each span; None: tokens are not projected."""
    hidden: int = 256
    """Hidden units of the classifier."""
    family: str = "mlp"
    """"mlp": linear, tanh, layer norm, dropout, linear; "linear": one linear map from the pooled spans."""
    dropout: float = 0.3
    """Probability that a hidden unit is dropped in training, in [0, 1)."""
    loss: str = "sigmoid"
    """"sigmoid": binary cross-entropy, averaged over targets and labels; "softmax": cross-entropy of one label."""
    monitor: str = "f1"
    """The value that validations compare: "f1" (micro, of all labels; higher is better) or "loss"."""
    learning_rate: float = 1e-4
    """First learning rate of Adam (AMSGrad, betas 0.9 and 0.999, eps 1e-8)."""
    batch_size: int = 32
    """Sentences in a batch."""
    clip: float = 5.0
    """Largest Euclidean norm of a probe's gradient."""
    validate_every: int = 1000
    """Steps between validations."""
    max_validations: int = 250
    """Largest number of validations."""
    halve_after: int = 5
    """Validations without improvement after which the learning rate is halved."""
    stop_after: int = 20
    """Validations without improvement after which training ends."""
    threshold: float = 1e-4
    """Smallest difference that counts as an improvement."""
    min_learning_rate: float = 1e-6
    """Training ends when the learning rate falls below this value."""
    dev_sentences: int | None = 5000
    """Validations use the first sentences of the development set, at most this many; None: all."""

    def __post_init__(self) -> None:
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise OptionError(f"{name} must be one of {', '.join(choices)}: got {getattr(self, name)!r}.")
        for name in _COUNTS:
            _check_count(name, getattr(self, name))
        for name in ("projection", "dev_sentences"):
            if getattr(self, name) is not None:
                _check_count(name, getattr(self, name))
        for name in ("learning_rate", "clip", "min_learning_rate"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and 0 < value < math.inf):
                raise OptionError(f"{name} must be a positive number: got {value!r}.")
        if not 0 <= self.dropout < 1:
            raise OptionError(f"dropout must be in [0, 1): got {self.dropout!r}.")
        if not 0 <= self.threshold < math.inf:
            raise OptionError(f"threshold must not be negative: got {self.threshold!r}.")

    @classmethod
    def for_task(cls, task: str, **changes: Any) -> EdgeProbeRecipe:
        """Return the published schedule of a task.

        A validation every 1000 steps and at most 250 of them; for the small tasks (SPR, DPR, relations) 100 and 100.
        """
        small = {"validate_every": 100, "max_validations": 100} if task.lower() in _SMALL_TASKS else {}
        return cls(**(small | changes))

    def but(self, **changes: Any) -> EdgeProbeRecipe:
        """Return the same recipe with some settings changed."""
        return dataclasses.replace(self, **changes)


def change_recipe(recipe: EdgeProbeRecipe, changes: EdgeProbeRecipe | Mapping[str, Any] | None) -> EdgeProbeRecipe:
    """Return the recipe with these changes, or `changes` itself if it is a recipe."""
    if isinstance(changes, EdgeProbeRecipe):
        return changes
    known = [field.name for field in dataclasses.fields(EdgeProbeRecipe)]
    for name in changes or {}:
        if name not in known:
            raise OptionError(f"A setting of the recipe is one of {', '.join(known)}: got {name!r}.")
    return recipe.but(**(changes or {}))


@dataclass(frozen=True)
class Member:
    """One probe of a joint training.

    Attributes
    ----------
    name : "mix.K", "lex", or the name of a layer.
    sources : the layers that it reads: one, or the layers 0..K that it mixes.
    seed : seed of its initial weights and its dropout.
    is_mix : whether it reads a mix of layers.
    """

    name: str
    sources: tuple[str, ...]
    seed: int
    is_mix: bool

    @property
    def key(self) -> tuple[str, int]:
        """Name and seed."""
        return self.name, self.seed


def choose_members(
    names: str | Sequence[str] | None, layers: Sequence[str], seeds: Iterable[int], *, lexical: bool
) -> tuple[Member, ...]:
    """Return the probes that `names` stands for, for every seed; those over one layer come first.

    Parameters
    ----------
    names : str or sequence of str, optional
        "top" is the last of `layers`, "layers" each of them, "mix.K" the mix of the first K + 1, "mix" that of all,
        "mixes" every mix, "lex" the lexical baseline, and any other name the layer of this name. A string may hold
        several names with commas between. Default: layers, mixes, and lex if there is a table.
    layers : sequence of str
        Names of the layers, the embeddings first.
    seeds : iterable of int
        Each seed trains every probe once.
    lexical : bool
        Whether there is a table of word pieces.

    Raises
    ------
    LayerError
        If a name is none of these.
    OptionError
        If no names or seeds are given, or a seed is not valid.

    Examples
    --------
    >>> from pyrepsim.probing.edge import choose_members
    >>> [member.sources for member in choose_members("top,mix", ["embeddings", "layer.0"], [0], lexical=False)]
    [('layer.0',), ('embeddings', 'layer.0')]
    """
    if names is None:
        names = ["layers", "mixes", *([LEXICAL] if lexical else [])]
    sources: dict[str, tuple[str, ...]] = {}
    for name in split_names(names):
        sources |= _sources(name, tuple(layers), lexical)
    seeds = tuple(seeds)
    if not sources or not seeds:
        raise OptionError(f"A probing needs members and seeds: got {len(sources)} members, {len(seeds)} seeds.")
    for seed in seeds:
        if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
            raise OptionError(f"A seed must be a whole number of at least 0: got {seed!r}.")
    if len(set(seeds)) != len(seeds):
        raise OptionError(f"Each seed trains its own probes, so all must differ: got {list(seeds)}.")
    members = [Member(name, read, seed, name.startswith("mix.")) for name, read in sources.items() for seed in seeds]
    return tuple(sorted(members, key=lambda member: member.is_mix))


def _sources(name: str, layers: tuple[str, ...], lexical: bool) -> dict[str, tuple[str, ...]]:
    """Return the members that one name stands for, with the layers that each reads."""
    mixes = {f"mix.{last}": layers[: last + 1] for last in range(len(layers))}
    if name == "top":
        return {layers[-1]: layers[-1:]}
    if name == "layers":
        return {layer: (layer,) for layer in layers}
    if name == "mixes":
        return mixes
    if name == "mix":
        last = f"mix.{len(layers) - 1}"
        return {last: mixes[last]}
    if name in mixes:
        return {name: mixes[name]}
    if name == LEXICAL:
        if not lexical:
            raise OptionError('The member "lex" reads the table of word pieces: got none. Pass lex=, an encoder.')
        return {LEXICAL: (LEXICAL,)}
    if name in layers:
        return {name: (name,)}
    raise LayerError(
        f"A member must be top, layers, mix, mixes, mix.0 to mix.{len(layers) - 1}, lex, or one of the layers "
        f"{', '.join(layers)}: got {name!r}."
    )


def _check_count(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OptionError(f"{name} must be a whole number of at least 1: got {value!r}.")

"""How an edge probe is built and trained: the published settings, each of which may be changed."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from ...core.errors import OptionError

FAMILIES = ("mlp", "linear")
LOSSES = ("sigmoid", "softmax")
MONITORS = ("f1", "loss")
_SMALL = (
    "spr",
    "spr1",
    "spr2",
    "dpr",
    "relations",
)  # few sentences: more validations, less training


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Edge probe and training of Tenney et al. (2019, "What do you learn from context?", section 3 and appendix)."""

    projection: int | None = 256
    """Features of a token after its linear projection, one for each span; None: tokens are not projected."""
    hidden: int = 256
    """Hidden units of the classifier."""
    family: str = "mlp"
    """"mlp": linear, tanh, layer norm, dropout, linear; "linear": one linear map from the pooled spans."""
    dropout: float = 0.3
    """Probability that a hidden unit is dropped in training."""
    loss: str = "sigmoid"
    """"sigmoid": binary cross-entropy, averaged over targets and labels; "softmax": cross-entropy of one label."""
    monitor: str = "f1"
    """What is watched on the development set: "f1" (micro, of all labels; higher is better) or "loss"."""
    learning_rate: float = 1e-4
    """First learning rate of Adam (AMSGrad, betas 0.9 and 0.999, eps 1e-8)."""
    batch: int = 32
    """Sentences in a batch."""
    clip: float = 5.0
    """Largest Euclidean norm of a probe's gradient."""
    validate_every: int = 1000
    """Steps between validations."""
    max_validations: int = 250
    """Validations after which training ends in any case."""
    halve_after: int = 5
    """Validations without improvement after which the learning rate is halved."""
    stop_after: int = 20
    """Validations without improvement after which training ends."""
    threshold: float = 1e-4
    """What a better value must gain to count as an improvement."""
    min_learning_rate: float = 1e-6
    """Training ends when the learning rate falls below."""
    dev_sentences: int | None = 5000
    """The first so many sentences of the development set are used for validations; None: all."""

    def __post_init__(self) -> None:
        for name, choices in (("family", FAMILIES), ("loss", LOSSES), ("monitor", MONITORS)):
            if getattr(self, name) not in choices:
                raise OptionError(f"{name} must be one of {', '.join(choices)}: got {getattr(self, name)!r}.")
        for name in ("hidden", "batch", "validate_every", "max_validations", "halve_after", "stop_after"):
            _check_whole(name, getattr(self, name))
        for name in ("projection", "dev_sentences"):
            if getattr(self, name) is not None:
                _check_whole(name, getattr(self, name))
        for name in ("learning_rate", "clip", "min_learning_rate"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and 0 < value < math.inf):
                raise OptionError(f"{name} must be a positive number: got {value!r}.")
        if not 0 <= self.dropout < 1:
            raise OptionError(f"dropout must lie in [0, 1): got {self.dropout!r}.")
        if not 0 <= self.threshold < math.inf:
            raise OptionError(f"threshold must not be negative: got {self.threshold!r}.")

    @classmethod
    def for_task(cls, task: str, **changes: Any) -> Recipe:
        """The published schedule of a task: every 1000 steps and at most 250 validations, or 100 and 100 for the
        small ones (SPR, DPR, relations).
        """
        small = {"validate_every": 100, "max_validations": 100} if task.lower() in _SMALL else {}
        return cls(**(small | changes))

    def but(self, **changes: Any) -> Recipe:
        """The same recipe with some settings changed."""
        return dataclasses.replace(self, **changes)


def _check_whole(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OptionError(f"{name} must be a whole number of at least 1: got {value!r}.")

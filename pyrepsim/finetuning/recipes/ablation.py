"""Ablations: layers frozen, removed or re-initialised before fine-tuning."""

# Annotations are types, not strings: a subclass in another module could not look the strings up.
from dataclasses import dataclass
from typing import Literal

from ...core.errors import OptionError

__all__ = ["Ablation"]


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """A change to the layers of a pre-trained encoder before it is fine-tuned. Without options, nothing changes.

    Layers are removed first, then re-initialised, then frozen. ``Ablation(layers=k, freeze=k)`` trains only the head,
    on the output of block k.

    Parameters
    ----------
    freeze : int, default 0
        Number of blocks from the bottom that keep their pre-trained weights.
    layers : int, optional
        Number of blocks to keep, from the bottom. Default: all.
    reinit : int, default 0
        Number of blocks to re-initialise.
    reinit_end : {"top", "bottom"}, default "top"
        The end from which re-initialised blocks are counted.

    Raises
    ------
    OptionError
        If a number is out of range, or frozen blocks would be re-initialised.

    Examples
    --------
    >>> import pyrepsim as rs
    >>> rs.Ablation(freeze=8)
    Ablation(freeze=8, layers=None, reinit=0, reinit_end='top')
    >>> bool(rs.Ablation())
    False
    """

    freeze: int = 0
    """Number of blocks from the bottom whose weights do not change, together with the embeddings (Merchant et al. 2020,
    section 5; Lee et al. 2019). With all blocks, only the head is trained. Frozen blocks have no dropout in training:
    their output is a constant of the input."""
    layers: int | None = None
    """Number of blocks to keep, from the bottom; the head uses the output of the last one."""
    reinit: int = 0
    """Number of blocks to re-initialise by the model's own rule (Zhang et al. 2021; Tamkin et al. 2020)."""
    reinit_end: Literal["top", "bottom"] = "top"
    """The end from which re-initialised blocks are counted."""

    def __post_init__(self) -> None:
        for name, least in (("freeze", 0), ("layers", 1), ("reinit", 0)):
            value = getattr(self, name)
            if (name, value) == ("layers", None):
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise OptionError(f"{name} must be a number of blocks, {least} or more: got {value!r}.")
        if self.reinit_end not in ("top", "bottom"):
            raise OptionError(f"reinit_end must be 'top' or 'bottom': got {self.reinit_end!r}.")
        if self.layers is not None:
            self.check(self.layers)
        if self.freeze and self.reinit and self.reinit_end == "bottom":
            raise OptionError(
                f"A block is frozen or re-initialised, not both: freeze={self.freeze} and reinit={self.reinit} both "
                "start at the bottom. Use one of them, or reinit_end='top'."
            )

    def __bool__(self) -> bool:
        """Whether anything changes."""
        return bool(self.freeze or self.reinit or self.layers is not None)

    def check(self, depth: int) -> None:
        """Raise OptionError if a model with `depth` blocks has too few."""
        if self.layers is not None and self.layers > depth:
            raise OptionError(f"layers must be at most the model's {depth} blocks: got {self.layers}.")
        kept = depth if self.layers is None else self.layers
        for name, value in (("freeze", self.freeze), ("reinit", self.reinit)):
            if value > kept:
                raise OptionError(f"{name} must be at most the {kept} blocks that are kept: got {value}.")
        if self.freeze + self.reinit > kept:
            raise OptionError(
                f"A block is frozen or re-initialised, not both: freeze={self.freeze} and reinit={self.reinit} overlap "
                f"in {kept} blocks. Make their sum at most {kept}."
            )

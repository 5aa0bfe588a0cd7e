"""What is withheld from fine-tuning: frozen, removed or re-initialised layers."""

# Types stand here as they are, not as strings: a string would be looked up in the module of the command that inherits.
from dataclasses import dataclass
from typing import Literal

from ...core.errors import OptionError

__all__ = ["Ablation"]


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """A change to a pre-trained encoder before it is fine-tuned; without options, none.

    Layers are removed first, then re-initialised, then frozen. The head alone on layer k is
    ``Ablation(layers=k, freeze=k)``.

    Raises
    ------
    OptionError
        For a number out of range, and where frozen blocks would be re-initialised.
    """

    freeze: int = 0
    """Blocks from the bottom that keep their pre-trained weights bit for bit, the embeddings with them where it is at
    least 1 (Merchant et al. 2020, section 5; Lee et al. 2019), and whatever else decides their output. With all blocks,
    every weight of the encoder: the head alone is trained. Dropout acts in frozen blocks as in the others."""
    layers: int | None = None
    """Blocks kept, from the bottom; the head stands on the last of them."""
    reinit: int = 0
    """Blocks drawn anew by the model's own initialisation (Zhang et al. 2021; Tamkin et al. 2020)."""
    reinit_end: Literal["top", "bottom"] = "top"
    """From which end they are counted."""

    def __post_init__(self) -> None:
        for name, least in (("freeze", 0), ("layers", 1), ("reinit", 0)):
            value = getattr(self, name)
            if (name, value) == ("layers", None):
                continue
            if not isinstance(value, int) or isinstance(value, bool) or value < least:
                raise OptionError(f"{name} counts blocks, from {least}: got {value!r}.")
        if self.reinit_end not in ("top", "bottom"):
            raise OptionError(f"reinit_end is 'top' or 'bottom': got {self.reinit_end!r}.")
        if self.layers is not None:
            self.check(self.layers)
        if self.freeze and self.reinit and self.reinit_end == "bottom":
            raise OptionError(
                f"Frozen blocks keep pre-trained weights: freeze={self.freeze} and reinit={self.reinit} both begin at "
                "the bottom. Use one of them, or reinit_end='top'."
            )

    def __bool__(self) -> bool:
        """Whether anything is withheld."""
        return bool(self.freeze or self.reinit or self.layers is not None)

    def check(self, depth: int) -> None:
        """OptionError if a model of `depth` blocks has too few for this."""
        if self.layers is not None and self.layers > depth:
            raise OptionError(f"layers keeps at most the {depth} blocks that the model has: got {self.layers}.")
        kept = depth if self.layers is None else self.layers
        for name, value in (("freeze", self.freeze), ("reinit", self.reinit)):
            if value > kept:
                raise OptionError(f"{name} counts blocks of the {kept} there are: got {value}.")
        if self.freeze + self.reinit > kept:
            raise OptionError(
                f"Frozen blocks keep pre-trained weights: freeze={self.freeze} and reinit={self.reinit} overlap in "
                f"{kept} blocks. Make their sum at most {kept}."
            )

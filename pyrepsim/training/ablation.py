"""What is withheld from fine-tuning: frozen, removed or re-initialised layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from ..errors import OptionError
from ..models.blocks import find_blocks
from ..models.reinitialisation import reinitialise
from ..models.truncation import truncate

__all__ = ["Ablation", "apply"]


@dataclass(frozen=True, kw_only=True)
class Ablation:
    """A change to a pre-trained encoder before it is fine-tuned; without options, none.

    Layers are removed first, then re-initialised, then frozen. The head alone on layer k is
    ``Ablation(layers=k, freeze=k)``.

    Parameters
    ----------
    freeze : int
        Blocks from the bottom that keep their pre-trained weights, the embeddings with them where it is at least 1
        (Merchant et al. 2020, section 5; Lee et al. 2019), and whatever else decides their output. With all blocks,
        every weight of the encoder: the head alone is trained. Frozen weights stay bit for bit; dropout acts in
        frozen blocks as in the others.
    layers : int, optional
        Blocks kept, from the bottom; the head stands on the last of them.
    reinit : int
        Blocks drawn anew by the model's own initialisation (Zhang et al. 2021; Tamkin et al. 2020).
    reinit_end : {"top", "bottom"}
        From which end they are counted.

    Raises
    ------
    OptionError
        For a number out of range, and where frozen blocks would be re-initialised.
    """

    freeze: int = 0
    layers: int | None = None
    reinit: int = 0
    reinit_end: Literal["top", "bottom"] = "top"

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


def apply(module: torch.nn.Module, ablation: Ablation, *, seed: int) -> None:
    """Change `module`, an encoder without head, in place; `seed` draws re-initialised weights.

    No random state but that of the drawing is touched: with the defaults, training goes as without an ablation.

    Raises
    ------
    OptionError
        If the model has too few blocks.
    ModelError
        If its blocks cannot be told apart, or it cannot be cut or drawn anew.
    """
    if not ablation:
        return
    ablation.check(len(find_blocks(module)))
    if ablation.layers is not None:
        truncate(module, ablation.layers)
    depth = len(find_blocks(module))
    if ablation.reinit:
        bottom = ablation.reinit_end == "bottom"
        drawn = range(ablation.reinit) if bottom else range(depth - ablation.reinit, depth)
        reinitialise(module, drawn, seed=seed)
    if ablation.freeze:
        for parameter in find_blocks(module).below(ablation.freeze).values():
            parameter.requires_grad_(False)

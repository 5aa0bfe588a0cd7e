"""The lengths of the online codes of a task's labels, one for each probe."""

from __future__ import annotations

import math
import os
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..core.errors import OptionError
from ..core.text import printable
from ..results import Score, Scores
from ..results.tables import write_csv
from .edge.localisation import centre_of_gravity

__all__ = ["CodeLength", "CodeLengths"]


@dataclass(frozen=True)
class CodeLength:
    """The code of one probe.

    Attributes
    ----------
    member, seed : the probe.
    bits : length of the online code.
    uniform_bits : length without a model: targets times log2 of the number of labels (with the sigmoid loss: targets
        times the number of labels, one bit each).
    n_targets : number of targets.
    blocks : bits of each block; the first is coded uniformly.
    """

    member: str
    seed: int
    bits: float
    uniform_bits: float
    n_targets: int
    blocks: tuple[float, ...]

    @property
    def compression(self) -> float:
        """uniform_bits / bits: 1 if nothing was learnt, larger is better."""
        return self.uniform_bits / self.bits

    @property
    def kbits(self) -> float:
        """bits / 1024, the unit of the published tables."""
        return self.bits / 1024


@dataclass(frozen=True)
class CodeLengths:
    """The codes of all members and seeds.

    Attributes
    ----------
    task : str
    layers : tuple of str
        All layers of the store.
    records : tuple of CodeLength
    """

    task: str
    layers: tuple[str, ...]
    records: tuple[CodeLength, ...]

    def compression(self, member: str) -> float:
        """Return the mean compression of a member over its seeds."""
        values = [record.compression for record in self.records if record.member == member]
        if not values:
            known = ", ".join(dict.fromkeys(record.member for record in self.records))
            raise OptionError(f"member must be one of {known}: got {member!r}.")
        return float(np.mean(values))

    @property
    def centre_of_gravity(self) -> float:
        """sum_l l c_l / sum_l c_l over the layers l = 0, ..., L with compressions c; NaN unless all were coded."""
        coded = {record.member for record in self.records}
        if not coded.issuperset(self.layers):
            return math.nan
        return centre_of_gravity([self.compression(layer) for layer in self.layers])

    def scores(self) -> Scores:
        """Return the compression of each layer that was coded."""
        coded = {record.member for record in self.records}
        n_targets = self.records[0].n_targets
        return Scores(
            Score(self.compression(layer), f"{self.task} compression", n_targets, layer_x=layer, layer_y=layer)
            for layer in self.layers
            if layer in coded
        )

    def table(self) -> str:
        """Return the codes as text, a line per probe."""
        width = max(len(record.member) for record in self.records)
        lines = [f"{self.task}: online code of {self.records[0].n_targets:,} targets"]
        lines += [
            f"{record.member:<{width}}  seed {record.seed}  {record.kbits:10.2f} kbit  "
            f"compression {record.compression:7.2f}"
            for record in self.records
        ]
        if not math.isnan(self.centre_of_gravity):
            lines.append(f"centre of gravity of the compression: layer {self.centre_of_gravity:.2f}")
        return "\n".join(map(printable, lines))

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write one line per probe, without the blocks."""
        records = [asdict(one) | {"compression": one.compression, "kbits": one.kbits} for one in self.records]
        return write_csv(path, [name for name in records[0] if name != "blocks"], records)

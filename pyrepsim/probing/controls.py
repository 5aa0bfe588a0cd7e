"""Control tasks: labels that a probe can only learn by heart, to tell what it knows from what it reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import OptionError, TextError
from .edge.result import EdgeResult

__all__ = ["Selectivity", "control_records", "selectivity"]

Record = dict[str, Any]


def control_records(*splits: Iterable[Mapping[str, Any]], seed: int = 0) -> list[list[Record]]:
    """The same records with control labels: a random one for each type, the same wherever the type occurs.

    A type is the words of a target's span, or of both its spans. Its label is drawn from the distribution of labels
    in the first split (Hewitt and Liang, 2019, section 2.1). All splits of a task must be given in one call.
    """
    records = [[dict(record) for record in split] for split in splits]
    if not records or not any(record.get("targets") for record in records[0]):
        raise TextError("A control task draws its labels from those of the first split: it has no targets.")
    counts = Counter(_label(target) for record in records[0] for target in record["targets"])
    labels = sorted(counts)
    shares = np.array([counts[label] for label in labels], np.float64)
    types = sorted(
        {_type(record, target) for split in records for record in split for target in record.get("targets", ())}
    )
    drawn = np.random.default_rng(seed).choice(len(labels), size=len(types), p=shares / shares.sum())
    label_of = {kind: list(labels[index]) for kind, index in zip(types, drawn, strict=True)}
    for split in records:
        for record in split:
            targets = record.get("targets", ())
            record["targets"] = [{**target, "label": label_of[_type(record, target)]} for target in targets]
    return records


@dataclass(frozen=True)
class Selectivity:
    """F1 of a probe on a task and on its control, mean over seeds, in [0, 1]. With the softmax loss and one label a
    target, F1 is accuracy.
    """

    member: str
    task: float
    control: float

    @property
    def selectivity(self) -> float:
        """Task minus control: small where the probe could have learnt by heart."""
        return self.task - self.control


def selectivity(task: EdgeResult, control: EdgeResult, *, split: str | None = None) -> list[Selectivity]:
    """The selectivity of every probe that both results have; OptionError if there is none."""
    split = task.split if split is None else split
    names = [name for name in dict.fromkeys(m.name for m in task.members) if name in {m.name for m in control.members}]
    if not names:
        raise OptionError("Selectivity compares a probe with itself on the control task: no member is in both results.")
    return [Selectivity(name, task.f1(name, split=split), control.f1(name, split=split)) for name in names]


def _label(target: Mapping[str, Any]) -> tuple[str, ...]:
    label = target["label"]
    return (label,) if isinstance(label, str) else tuple(label)


def _type(record: Mapping[str, Any], target: Mapping[str, Any]) -> tuple[str, ...]:
    words = record["text"].split(" ")
    spans = [target["span1"], *([target["span2"]] if target.get("span2") is not None else [])]
    return tuple(" ".join(words[start:end]) for start, end in spans)

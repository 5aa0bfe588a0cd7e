"""Control tasks: random labels that a probe can only memorise, to separate memorising from reading (selectivity)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..core.errors import OptionError, TextError
from .edge.result import EdgeResult

__all__ = ["Selectivity", "control_records", "selectivity"]


def control_records(*splits: Iterable[Mapping[str, Any]], seed: int = 0) -> list[list[dict[str, Any]]]:
    """Return the same records with control labels: one random label per type, the same wherever the type occurs.

    The type of a target is the words of its span, or of its two spans. Its label is drawn from the distribution of
    labels in the first split (Hewitt and Liang, 2019, section 2.1).

    Parameters
    ----------
    *splits : iterables of records
        All splits of a task, train first. They must be given in one call, so that a type has one label in all of them.
    seed : int, default 0
        Seed of the labels.

    Returns
    -------
    list of list of dict
        The records of each split.

    Raises
    ------
    TextError
        If the first split has no targets.

    Examples
    --------
    >>> from pyrepsim.probing.controls import control_records
    >>> words = ["a", "b", "a", "b"]
    >>> targets = [{"span1": [i, i + 1], "label": label} for i, label in enumerate("XYXY")]
    >>> (control,) = control_records([{"text": " ".join(words), "targets": targets}])
    >>> labels = [target["label"] for target in control[0]["targets"]]
    >>> labels[0] == labels[2], labels[1] == labels[3]
    (True, True)
    """
    records = [[dict(record) for record in split] for split in splits]
    if not records or not any(record.get("targets") for record in records[0]):
        raise TextError("A control task draws its labels from those of the first split: it has no targets.")
    counts = Counter(_labels(target) for record in records[0] for target in record["targets"])
    labels = sorted(counts)
    frequencies = np.array([counts[label] for label in labels], np.float64)
    types = sorted(
        {_type(record, target) for split in records for record in split for target in record.get("targets", ())}
    )
    drawn = np.random.default_rng(seed).choice(len(labels), size=len(types), p=frequencies / frequencies.sum())
    label_of = {kind: list(labels[index]) for kind, index in zip(types, drawn, strict=True)}
    for split in records:
        for record in split:
            targets = record.get("targets", ())
            record["targets"] = [{**target, "label": label_of[_type(record, target)]} for target in targets]
    return records


@dataclass(frozen=True)
class Selectivity:
    """F1 of a probe on a task and on its control task, in [0, 1], mean over seeds.

    With the softmax loss and one label per target, F1 is accuracy.
    """

    member: str
    task: float
    control: float

    @property
    def selectivity(self) -> float:
        """Task minus control: small if the probe could have memorised the labels."""
        return self.task - self.control


def selectivity(task: EdgeResult, control: EdgeResult, *, split: str | None = None) -> list[Selectivity]:
    """Return the selectivity of every probe that both results have (Hewitt and Liang, 2019).

    Parameters
    ----------
    task, control : EdgeResult
        Results of the same probes on the task and on its control task.
    split : str, optional
        The split to score. Default: ``task.split``.

    Returns
    -------
    list of Selectivity

    Raises
    ------
    OptionError
        If no member is in both results.

    Examples
    --------
    The labels follow from the layer, and the control labels of the two types can be memorised as well:

    >>> import numpy as np, pyrepsim as rs
    >>> from pyrepsim.probing.controls import control_records, selectivity
    >>> from pyrepsim.probing.edge import EdgeProbeRecipe, fit_edge_probes
    >>> words = np.random.default_rng(0).integers(2, size=(100, 4))
    >>> records = [
    ...     {"text": " ".join("nv"[k] for k in row),
    ...      "targets": [{"span1": [i, i + 1], "label": "NV"[k]} for i, k in enumerate(row)]} for row in words
    ... ]
    >>> starts = np.tile(np.arange(4) * 2, 100)
    >>> store = rs.write_store(
    ...     "acts", {"a": np.eye(2, dtype="float32")[words.ravel()]},
    ...     columns={"doc_id": np.repeat(np.arange(100), 4), "position": np.tile(np.arange(4), 100),
    ...              "token_id": words.ravel(), "char_start": starts, "char_end": starts + 1})
    >>> recipe = EdgeProbeRecipe(projection=4, hidden=4, learning_rate=0.01, validate_every=20, max_validations=5)
    >>> (control,) = control_records(records)
    >>> results = [
    ...     fit_edge_probes(store, labels, dev=(store, labels), members="top", recipe=recipe, progress=False)
    ...     for labels in (records, control)
    ... ]
    >>> selectivity(*results)[0].selectivity
    0.0
    """
    split = task.split if split is None else split
    controls = {member.name for member in control.members}
    names = [name for name in dict.fromkeys(member.name for member in task.members) if name in controls]
    if not names:
        raise OptionError("Selectivity compares a probe with itself on the control task: no member is in both results.")
    return [Selectivity(name, task.f1(name, split=split), control.f1(name, split=split)) for name in names]


def _labels(target: Mapping[str, Any]) -> tuple[str, ...]:
    label = target["label"]
    return (label,) if isinstance(label, str) else tuple(label)


def _type(record: Mapping[str, Any], target: Mapping[str, Any]) -> tuple[str, ...]:
    words = record["text"].split(" ")
    spans = [target["span1"], *([target["span2"]] if target.get("span2") is not None else [])]
    return tuple(" ".join(words[start:end]) for start, end in spans)

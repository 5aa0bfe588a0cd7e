"""The interface of a task: reading examples, making features, naming the head, scoring predictions."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self

if TYPE_CHECKING:
    from ..items import ItemScores

__all__ = ["Feature", "Task"]


@dataclass(frozen=True)
class Feature:
    """One sequence for the model. ``inputs`` are padded and batched; the rest is kept for `Task.read_out`.

    Attributes
    ----------
    inputs : mapping
        ``"input_ids"``, ``"token_type_ids"`` if the tokenizer makes them, and the targets: lists of integers, which are
        padded, or single numbers, which are stacked.
    example : int
        Index of the example it was made from. A long document gives several features.
    extra : object
        Whatever the task needs to interpret the outputs, such as offsets or the number of words.

    Examples
    --------
    >>> feature = Feature({"input_ids": [101, 2023, 102], "label": 1}, example=0)
    >>> len(feature)
    3
    """

    inputs: Mapping[str, Any]
    example: int
    extra: Any = None

    def __len__(self) -> int:
        return len(self.inputs["input_ids"])


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """One supervised task. A subclass holds its options; `fit` sets `labels`.

    An example passes `read` -> `encode` -> the model -> `read_out` -> `predict` -> `score`.

    Examples
    --------
    >>> from pyrepsim.finetuning.tasks import get_task
    >>> task = get_task("sst2")
    >>> task.metric, task.labels, task.hub["dev"]
    ('accuracy', ('negative', 'positive'), 'hub:nyu-mll/glue:sst2:validation')
    """

    name: ClassVar[str]
    metric: ClassVar[str]
    """The main score of a run, a key of the result of `score`."""
    hub: ClassVar[Mapping[str, str]]
    """Sources of "train", "dev" and, if it exists, "test" on the hub: ``hub:owner/name:config:split``."""
    suffix: ClassVar[str] = ".jsonl"
    """Suffix of the files that `write` writes."""

    labels: tuple[str, ...] = ()

    @abstractmethod
    def read(self, source: str | os.PathLike[str]) -> list[Any]:
        """Read the examples of a file or of ``hub:owner/name[:config[:split]]``, each with its location `where`."""

    @abstractmethod
    def fit(self, examples: Sequence[Any]) -> Self:
        """Return the task with the labels of these training examples."""

    @abstractmethod
    def head(self) -> dict[str, Any]:
        """Return the kind and sizes of the head, the options of `pyrepsim.finetuning.heads.build_head`."""

    @abstractmethod
    def encode(self, examples: Sequence[Any], tokenizer: Any, *, max_length: int) -> list[Feature]:
        """Make token ids and targets. TextError, with file and line, for an example that does not fit."""

    def separator(self, tokenizer: Any) -> str | None:
        """Return the token that `encode` puts between two texts because the tokenizer puts none there, or None."""
        del tokenizer
        return None

    @abstractmethod
    def read_out(self, feature: Feature, outputs: Mapping[str, Any]) -> Any:
        """Read the result for one feature from the head's outputs: NumPy arrays, padded to the batch."""

    def predict(self, examples: Sequence[Any], features: Sequence[Feature], read_outs: Sequence[Any]) -> list[Any]:
        """Return one prediction per example; by default, the read-out of its only feature."""
        del features
        if len(read_outs) != len(examples):
            raise NotImplementedError(f"{type(self).__name__} makes several features per example and must join them")
        return list(read_outs)

    @abstractmethod
    def score(self, examples: Sequence[Any], predictions: Sequence[Any]) -> dict[str, float]:
        """Return scores by name, among them `metric`: fractions in [0, 1], correlations in [-1, 1]."""

    def items(self, examples: Sequence[Any], predictions: Sequence[Any]) -> ItemScores | None:
        """Return the scores of each item, if a score is a mean over items: `pyrepsim.finetuning.items.ItemScores`."""
        del examples, predictions

    def constant_guess(self, examples: Sequence[Any]) -> tuple[str, list[Any]] | None:
        """Return the predictions of a guess that does not read the examples, with its name, or None."""
        del examples

    @abstractmethod
    def write(self, examples: Sequence[Any], predictions: Sequence[Any], path: str | os.PathLike[str]) -> None:
        """Write the predictions in the task's own format."""

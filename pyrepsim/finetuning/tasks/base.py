"""What a task is: how examples are read and become features, which head it needs, how predictions are scored."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

__all__ = ["Feature", "Task"]


@dataclass(frozen=True)
class Feature:
    """One sequence for the model: ``inputs`` are padded and batched, the rest stays behind for `Task.read_out`.

    Attributes
    ----------
    inputs
        ``"input_ids"``, ``"token_type_ids"`` where the tokenizer makes them, and the targets: lists of integers, which
        are padded, or single numbers, which are stacked.
    example
        Index of the example it was made from. A long document gives several features.
    extra
        What the task needs to read its outputs: offsets, numbers of words.
    """

    inputs: Mapping[str, Any]
    example: int
    extra: Any = None

    def __len__(self) -> int:
        return len(self.inputs["input_ids"])


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """One supervised task. A subclass holds its options; `labels` is filled by `fit`.

    The way of an example: `read` -> `encode` -> the model -> `read_out` -> `predict` -> `score`.
    """

    name: ClassVar[str]
    metric: ClassVar[str]
    """The score that headlines a run: a key of what `score` returns."""
    hub: ClassVar[Mapping[str, str]]
    """Where "train", "dev" and, if there is one, "test" lie on the hub: ``hub:owner/name:config:split``."""
    suffix: ClassVar[str] = ".jsonl"
    """The ending of the files that `write` writes."""

    labels: tuple[str, ...] = ()

    @abstractmethod
    def read(self, source: str | os.PathLike[str]) -> list[Any]:
        """Examples of a file or of ``hub:owner/name[:config[:split]]``, each with `.where`: its file and line."""

    @abstractmethod
    def fit(self, examples: Sequence[Any]) -> Self:
        """The same task with the labels of these training examples."""

    @abstractmethod
    def head(self) -> dict[str, Any]:
        """Kind and sizes of the head, as `models.heads.build_head` takes them."""

    @abstractmethod
    def encode(self, examples: Sequence[Any], tokenizer: Any, *, max_length: int) -> list[Feature]:
        """Token ids and targets. TextError, with file and line, for an example that does not fit."""

    @abstractmethod
    def read_out(self, feature: Feature, outputs: Mapping[str, Any]) -> Any:
        """What is kept of the head's outputs for one feature: NumPy arrays, still padded to their batch."""

    def predict(self, examples: Sequence[Any], features: Sequence[Feature], read_outs: Sequence[Any]) -> list[Any]:
        """One prediction an example. As it stands: each example has one feature, whose read-out it is."""
        del features
        if len(read_outs) != len(examples):
            raise NotImplementedError(f"{type(self).__name__} makes several features an example and must join them")
        return list(read_outs)

    @abstractmethod
    def score(self, examples: Sequence[Any], predictions: Sequence[Any]) -> dict[str, float]:
        """Scores as fractions in [0, 1], correlations in [-1, 1]; `metric` is one of them."""

    @abstractmethod
    def write(self, examples: Sequence[Any], predictions: Sequence[Any], path: str | os.PathLike[str]) -> None:
        """The predictions in the task's own format."""

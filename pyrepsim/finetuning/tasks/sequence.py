"""A label or a grade for a sentence or a pair of sentences. The GLUE tasks are in `glue`."""

from __future__ import annotations

import json
import logging
import os
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np

from ...core.errors import OptionError, TextError
from ...core.outputs import replacing
from ...data.records import records
from .agreement import classification_scores, regression_scores
from .base import Feature, Task

__all__ = ["SequenceClassification", "SequenceExample", "SequenceRegression", "SequenceTask"]

log = logging.getLogger("pyrepsim.finetuning.tasks")

_BLOCK = 1000  # examples tokenized at a time: the tokenizer's own records of a text are large


@dataclass(frozen=True, slots=True)
class SequenceExample:
    """A sentence or a pair (`second` is None for one sentence), with its label or grade and its file and line."""

    first: str
    second: str | None
    label: str | float
    where: str


@dataclass(frozen=True, kw_only=True)
class SequenceTask(Task):
    """What classification and regression share: reading, encoding, writing."""

    first: str = "sentence"
    """Column of the sentence, or of the first one of a pair."""
    second: str | None = None
    """Column of the second sentence of a pair; None for single sentences."""
    label: str = "label"
    """Column of the label or the grade."""
    pooling: Literal["cls", "mean"] = "cls"
    """What the head reads: the first token, or the mean of all, as encoders of sentence vectors are trained."""
    bad_rows: Literal["refuse", "skip"] = "refuse"
    """A row without one of the columns, or with an empty sentence: raise an error, or leave it out and count it."""

    def __post_init__(self) -> None:
        for option, allowed in (("bad_rows", ("refuse", "skip")), ("pooling", ("cls", "mean"))):
            if getattr(self, option) not in allowed:
                raise OptionError(f"{option} is one of {', '.join(allowed)}: got {getattr(self, option)!r}.")

    synonyms: ClassVar[Mapping[str, Sequence[str]]] = {}
    """Column -> the names it has in other editions of the data."""
    header: ClassVar[tuple[str, ...] | None] = None
    """Columns of the official TSV files where these have no header."""
    unlabelled: ClassVar[str | None] = None
    """The label that says that there is none: the annotators were of no one mind."""

    def read(self, source: str | os.PathLike[str]) -> list[SequenceExample]:
        """Examples of a file (JSON lines, TSV, CSV) or of ``hub:owner/name[:config[:split]]``.

        Rows without a gold label (`unlabelled`; -1 on the hub) are left out, and counted in the log.

        Raises
        ------
        TextError
            With file and line: a column is missing, a sentence is empty, a label is no label; no labelled row at all.
        """
        columns = {
            wanted: (column, *self.synonyms.get(column, ()))
            for wanted, column in (("first", self.first), ("second", self.second), ("label", self.label))
            if column is not None
        }
        problems: list[TextError] = []

        def on_bad(problem: TextError) -> None:
            if self.bad_rows == "refuse":
                raise problem
            problems.append(problem)

        examples, no_label = [], 0
        for where, row in records(source, columns, header=self.header, on_bad=on_bad):
            if row["label"] is None or row["label"] == self.unlabelled:
                no_label += 1
                continue
            try:
                example = SequenceExample(
                    _text(row["first"], self.first, where),
                    None if self.second is None else _text(row["second"], self.second, where),
                    self._target(row["label"], where),
                    where,
                )
            except _EmptyTextError as problem:
                on_bad(problem)
            else:
                examples.append(example)
        if no_label:
            log.info("%s: %d rows without a gold label are left out", source, no_label)
        if problems:
            log.warning("%s: %d bad rows are left out; the first: %s", source, len(problems), problems[0])
        if not examples and problems:
            raise problems[0]
        if not examples:
            raise TextError(
                f"Some rows must have a gold label: none of the {no_label} of {source} has. Those of a test set may be "
                "hidden: take a split that has them."
            )
        return examples

    @abstractmethod
    def _target(self, label: Any, where: str) -> str | float:
        """The label or grade of a row, checked."""

    @abstractmethod
    def _number(self, example: SequenceExample) -> int | float:
        """The target as the head's loss takes it."""

    def encode(self, examples: Sequence[SequenceExample], tokenizer: Any, *, max_length: int) -> list[Feature]:
        """Token ids and target ``label`` of each example. Of a pair that is too long, the longer sentence is cut first.

        Raises
        ------
        TextError
            With file and line: a label that the training examples do not have.
        OptionError
            `max_length` leaves no room for a text.
        """
        specials = tokenizer.num_special_tokens_to_add(pair=self.second is not None)
        needed = specials + (1 if self.second is None else 2)
        if max_length < needed:
            raise OptionError(
                f"max_length must leave room for a token a sentence beside {specials} special ones: at least {needed}, "
                f"got {max_length}."
            )
        features: list[Feature] = []
        n_cut = 0
        for start in range(0, len(examples), _BLOCK):
            block = examples[start : start + _BLOCK]
            targets = [self._number(example) for example in block]
            encoded = tokenizer(
                [example.first for example in block],
                None if self.second is None else [example.second for example in block],
                truncation="longest_first",
                max_length=max_length,
                return_attention_mask=False,
            )
            n_cut += sum(bool(encoding.overflowing) for encoding in encoded.encodings)
            kept = [name for name in ("input_ids", "token_type_ids") if name in encoded]
            for i, target in enumerate(targets):
                inputs = {name: encoded[name][i] for name in kept}
                features.append(Feature({**inputs, "label": target}, example=start + i))
        if n_cut:
            log.info("%d of %d examples are cut to %d tokens", n_cut, len(examples), max_length)
        return features

    def write(
        self, examples: Sequence[SequenceExample], predictions: Sequence[str | float], path: str | os.PathLike[str]
    ) -> None:
        """JSON lines: where the example stands, its gold label or grade, and the prediction."""
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            for example, prediction in zip(examples, predictions, strict=True):
                line = {"where": example.where, "label": example.label, "prediction": prediction}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


class _EmptyTextError(TextError):
    """A sentence without a character to read."""


def _text(entry: Any, column: str, where: str) -> str:
    if isinstance(entry, str) and entry.strip():
        return entry
    if isinstance(entry, str) or entry is None:
        raise _EmptyTextError(
            f"A sentence must not be empty: {column!r} of {where} is. Fill it in, or leave such rows out with "
            "bad_rows='skip'."
        )
    raise TextError(f"A sentence must be text: {column!r} of {where} is {type(entry).__name__}. Check the column.")


@dataclass(frozen=True, kw_only=True)
class SequenceClassification(SequenceTask):
    """One of a closed set of labels for each sentence or pair: softmax over a linear layer, cross-entropy."""

    name: ClassVar[str] = "sequence"
    metric: ClassVar[str] = "accuracy"
    hub: ClassVar[Mapping[str, str]] = {}

    spellings: ClassVar[Mapping[str, str]] = {}
    """Label of another edition of the data -> the label."""

    def _target(self, label: Any, where: str) -> str:
        if isinstance(label, str | int) and not isinstance(label, bool) and str(label).strip():
            label = str(label).strip()
            return self.spellings.get(label, label)
        raise TextError(
            f"A label must be a word or an integer: {where} has {label!r}. Check the column {self.label!r}."
        )

    def _number(self, example: SequenceExample) -> int:
        try:
            return self.labels.index(str(example.label))
        except ValueError:
            raise TextError(
                f"Labels must be among those of the training data, {', '.join(self.labels)}: {example.where} has "
                f"{example.label!r}. Correct it, or add examples with this label to the training data."
            ) from None

    def fit(self, examples: Sequence[SequenceExample]) -> Self:
        """With the labels of these examples, in alphabetical order; labels that are given already stay.

        Raises TextError if all examples have one label.
        """
        labels = self.labels or tuple(sorted({str(example.label) for example in examples}))
        if len(labels) < 2:
            raise TextError(
                f"A classifier needs two labels or more: the training data has {', '.join(labels) or 'none'}. Check "
                f"the column {self.label!r}."
            )
        return replace(self, labels=labels)

    def head(self) -> dict[str, Any]:
        """A linear layer over the pooled sequence: kind, number of labels, pooling."""
        return {"kind": "sequence", "labels": len(self.labels), "pooling": self.pooling}

    def read_out(self, feature: Feature, outputs: Mapping[str, Any]) -> str:
        """The label of the largest of ``outputs["logits"]`` (labels,)."""
        del feature
        return self.labels[int(np.argmax(outputs["logits"]))]

    def score(self, examples: Sequence[SequenceExample], predictions: Sequence[str]) -> dict[str, float]:
        """``accuracy``, ``mcc``, and ``f1`` of the second of two labels or ``macro_f1`` of more: `agreement`."""
        return classification_scores([str(example.label) for example in examples], predictions, self.labels)


@dataclass(frozen=True, kw_only=True)
class SequenceRegression(SequenceTask):
    """A grade for each sentence or pair: one linear output, squared error."""

    name: ClassVar[str] = "regression"
    metric: ClassVar[str] = "pearson"
    hub: ClassVar[Mapping[str, str]] = {}

    def _target(self, label: Any, where: str) -> float:
        try:
            grade = float("nan") if isinstance(label, bool) else float(label)
        except (TypeError, ValueError):
            grade = float("nan")
        if not np.isfinite(grade):
            raise TextError(f"A grade must be a number: {where} has {label!r}. Check the column {self.label!r}.")
        return grade

    def _number(self, example: SequenceExample) -> float:
        return float(example.label)

    def fit(self, examples: Sequence[SequenceExample]) -> Self:
        """Itself: grades have no vocabulary."""
        del examples
        return self

    def head(self) -> dict[str, Any]:
        """One output over the pooled sequence."""
        return {"kind": "sequence", "labels": 1, "pooling": self.pooling}

    def read_out(self, feature: Feature, outputs: Mapping[str, Any]) -> float:
        """The one number in ``outputs["logits"]``."""
        del feature
        return float(np.asarray(outputs["logits"]).item())

    def score(self, examples: Sequence[SequenceExample], predictions: Sequence[float]) -> dict[str, float]:
        """``pearson`` and ``spearman``, in [-1, 1]: `agreement`."""
        return regression_scores([float(example.label) for example in examples], predictions)

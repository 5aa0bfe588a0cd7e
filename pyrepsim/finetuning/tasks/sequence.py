"""Classification and regression of sentences and pairs of sentences. The GLUE tasks are in `glue`."""

from __future__ import annotations

import json
import logging
import math
import os
import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np

from ...core.errors import OptionError, TextError
from ...core.outputs import replacing
from ...data.lines import BLANKS
from ...data.records import records
from ...data.tokenizing import Template, cut_pair, encode, pair_template, text_template
from ...inference.groups import group_numbers
from ..items import ItemScores
from .base import Feature, Task
from .scores import classification_scores, regression_scores

__all__ = ["SequenceClassification", "SequenceExample", "SequenceRegression", "SequenceTask"]

log = logging.getLogger("pyrepsim.finetuning.tasks")

_GRADE = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_BLOCK = 1000  # examples tokenized at once, because the tokenizer returns far more than is kept


@dataclass(frozen=True, slots=True)
class SequenceExample:
    """A sentence or a pair (`second` is None for a single sentence), with its label or grade and its location."""

    first: str
    second: str | None
    label: str | float
    where: str


@dataclass(frozen=True, kw_only=True)
class SequenceTask(Task):
    """The part that classification and regression share: reading, encoding, writing."""

    first: str = "sentence"
    """Column of the sentence, or of the first one of a pair."""
    second: str | None = None
    """Column of the second sentence of a pair; None for single sentences."""
    label: str = "label"
    """Column of the label or the grade."""
    pooling: Literal["cls", "last", "mean"] = "cls"
    """The head's input: the first token; the last one, which causal models need, because their first token has read
    nothing else; or the mean over all tokens, as encoders of sentence vectors are trained."""
    bad_rows: Literal["refuse", "skip"] = "refuse"
    """For a row without one of the columns, or with an empty sentence: raise an error, or skip it with a warning."""

    def __post_init__(self) -> None:
        for option, allowed in (("bad_rows", ("refuse", "skip")), ("pooling", ("cls", "last", "mean"))):
            if getattr(self, option) not in allowed:
                raise OptionError(f"{option} must be one of {', '.join(allowed)}: got {getattr(self, option)!r}.")

    synonyms: ClassVar[Mapping[str, Sequence[str]]] = {}
    """Column -> its names in other editions of the data."""
    header: ClassVar[tuple[str, ...] | None] = None
    """Columns of the official TSV files if these have no header."""
    unlabelled: ClassVar[str | None] = None
    """The label of examples without a gold label, because the annotators did not agree."""

    def read(self, source: str | os.PathLike[str]) -> list[SequenceExample]:
        """Read the examples of a file (JSON lines, TSV, CSV) or of ``hub:owner/name[:config[:split]]``.

        Rows without a gold label (`unlabelled`; -1 on the hub) are skipped; the log has their number.

        Raises
        ------
        TextError
            If a column is missing, a sentence is empty, a label is invalid (with file and line), or no row has a label.
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
            log.info("%s: skipped %d rows without a gold label", source, no_label)
        if problems:
            log.warning("%s: skipped %d invalid rows; the first: %s", source, len(problems), problems[0])
        if not examples and problems:
            raise problems[0]
        if not examples:
            raise TextError(
                f"Some rows must have a gold label: none of the {no_label} of {source} has one. The labels of a test "
                "set may be hidden: take another split."
            )
        return examples

    @abstractmethod
    def _target(self, label: Any, where: str) -> str | float:
        """Check the label or grade of a row."""

    @abstractmethod
    def _number(self, example: SequenceExample) -> int | float:
        """Return the target as the loss of the head needs it."""

    def encode(self, examples: Sequence[SequenceExample], tokenizer: Any, *, max_length: int) -> list[Feature]:
        """Make token ids and the target ``label`` of each example; of a long pair, the longer sentence is cut first.

        Raises
        ------
        TextError
            If a label is not in the training examples, or a sentence is not valid Unicode. The message has the file
            and line.
        ModelError
            If the tokenizer of a pair has no token to put between the two sentences.
        OptionError
            If `max_length` is too small for one token per sentence.
        """
        template = self._template(tokenizer)
        needed = template.n_special + (1 if self.second is None else 2)
        if max_length < needed:
            raise OptionError(
                f"max_length must allow one token per sentence and {template.n_special} special tokens: at least "
                f"{needed}, got {max_length}."
            )
        longest = max_length - template.n_special
        features: list[Feature] = []
        n_cut = 0
        for start in range(0, len(examples), _BLOCK):
            block = examples[start : start + _BLOCK]
            targets = [self._number(example) for example in block]
            where = [example.where for example in block]
            sides = [[example.first for example in block], [example.second or "" for example in block]]
            firsts, seconds = (encode(texts, tokenizer, where, special_tokens=False) for texts in sides)
            for i, (first, second, target) in enumerate(zip(firsts, seconds, targets, strict=True)):
                n_first, n_second = cut_pair(len(first.ids), len(second.ids), longest)
                n_cut += n_first + n_second < len(first.ids) + len(second.ids)
                inputs = template.join(first.ids[:n_first], second.ids[:n_second], where=where[i])
                inputs = _not_empty(inputs, tokenizer, block[i])
                features.append(Feature({**inputs, "label": target}, example=start + i))
        if n_cut:
            log.info("%d of %d examples are cut to %d tokens", n_cut, len(examples), max_length)
        return features

    def separator(self, tokenizer: Any) -> str | None:
        return self._template(tokenizer).separator

    def _template(self, tokenizer: Any) -> Template:
        return text_template(tokenizer) if self.second is None else pair_template(tokenizer)

    def write(
        self, examples: Sequence[SequenceExample], predictions: Sequence[str | float], path: str | os.PathLike[str]
    ) -> None:
        """Write JSON lines with the location of the example, its gold label or grade, and the prediction."""
        with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
            for example, prediction in zip(examples, predictions, strict=True):
                line = {"where": example.where, "label": example.label, "prediction": prediction}
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _not_empty(inputs: dict[str, list[int]], tokenizer: Any, example: SequenceExample) -> dict[str, list[int]]:
    """Inputs of at least one token: a text without any, such as a zero-width space, is the unknown token."""
    if inputs["input_ids"]:
        return inputs
    token = next((t for t in (tokenizer.unk_token_id, tokenizer.eos_token_id) if t is not None), None)
    if token is None:
        raise TextError(
            f"A sentence must have tokens: the tokenizer makes none of {example.first!r} at {example.where}, and has "
            "no unknown token. Correct the sentence."
        )
    return {name: [int(token) if name == "input_ids" else 0] for name in inputs}


class _EmptyTextError(TextError):
    """A sentence without a visible character."""


def _text(entry: Any, column: str, where: str) -> str:
    if isinstance(entry, str) and entry.strip():
        return entry
    if isinstance(entry, str) or entry is None:
        raise _EmptyTextError(
            f"A sentence must not be empty: {column!r} of {where} is. Correct it, or skip such rows with "
            "bad_rows='skip'."
        )
    raise TextError(f"A sentence must be text: {column!r} of {where} is {type(entry).__name__}. Check the column.")


@dataclass(frozen=True, kw_only=True)
class SequenceClassification(SequenceTask):
    r"""Classification of sentences or pairs: softmax over a linear layer, trained with cross-entropy.

    Parameters
    ----------
    first, second : str, default "sentence" and None
        Columns of the sentence, or of both sentences of a pair.
    label : str, default "label"
        Column of the label.
    labels : tuple of str, optional
        By default those of the training data, in alphabetical order.
    pooling : {"cls", "last", "mean"}, default "cls"
        Causal models (GPT) need "last" or "mean".
    bad_rows : {"refuse", "skip"}, default "refuse"

    Examples
    --------
    >>> with open("train.tsv", "w") as file:
    ...     _ = file.write("sentence\tlabel\nA river runs.\tyes\nNo keys.\tno\n")
    >>> task = SequenceClassification()
    >>> examples = task.read("train.tsv")
    >>> examples[0].first, examples[0].label, task.fit(examples).labels
    ('A river runs.', 'yes', ('no', 'yes'))
    """

    name: ClassVar[str] = "sequence"
    metric: ClassVar[str] = "accuracy"
    hub: ClassVar[Mapping[str, str]] = {}

    spellings: ClassVar[Mapping[str, str]] = {}
    """Label in another edition of the data -> label here."""

    def _target(self, label: Any, where: str) -> str:
        if isinstance(label, str | int) and not isinstance(label, bool) and str(label).strip(BLANKS):
            label = str(label).strip(BLANKS)
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
        """Return the task with the labels of these examples in alphabetical order, unless it has labels.

        TextError if all examples have the same label.
        """
        labels = self.labels or tuple(sorted({str(example.label) for example in examples}))
        if len(labels) < 2:
            raise TextError(
                f"A classifier needs at least two labels: the training data has {', '.join(labels) or 'none'}. Check "
                f"the column {self.label!r}."
            )
        return replace(self, labels=labels)

    def head(self) -> dict[str, Any]:
        """Return the head's options: a linear layer over the pooled sequence."""
        return {"kind": "sequence", "labels": len(self.labels), "pooling": self.pooling}

    def read_out(self, feature: Feature, outputs: Mapping[str, Any]) -> str:
        """Return the label with the largest of ``outputs["logits"]`` (labels,)."""
        del feature
        return self.labels[int(np.argmax(outputs["logits"]))]

    def score(self, examples: Sequence[SequenceExample], predictions: Sequence[str]) -> dict[str, float]:
        """Return ``accuracy``, ``mcc``, and ``f1`` or ``macro_f1``: `scores.classification_scores`."""
        return classification_scores([str(example.label) for example in examples], predictions, self.labels)

    def items(self, examples: Sequence[SequenceExample], predictions: Sequence[str]) -> ItemScores:
        """Return ``accuracy`` by example; examples with the same first sentence, such as a premise, are one group."""
        pairs = zip(examples, predictions, strict=True)
        correct = np.array([str(example.label) == prediction for example, prediction in pairs], dtype=np.float64)
        groups = group_numbers(example.first for example in examples)
        return ItemScores({"accuracy": correct}, np.ones(len(correct)), groups)

    def constant_guess(self, examples: Sequence[SequenceExample]) -> tuple[str, list[str]]:
        """Return the most frequent label of the examples for each of them."""
        (label, _), *_ = Counter(str(example.label) for example in examples).most_common(1)
        return f"the most frequent label, {label!r},", [label] * len(examples)


@dataclass(frozen=True, kw_only=True)
class SequenceRegression(SequenceTask):
    r"""Regression of a grade for sentences or pairs: one linear output, trained with squared error.

    Parameters are those of `SequenceClassification`; the column `label` holds a number.

    Examples
    --------
    >>> with open("train.tsv", "w") as file:
    ...     _ = file.write("sentence\tlabel\nA river runs.\t1.5\nNo keys.\t4\n")
    >>> [example.label for example in SequenceRegression().read("train.tsv")]
    [1.5, 4.0]
    """

    name: ClassVar[str] = "regression"
    metric: ClassVar[str] = "pearson"
    hub: ClassVar[Mapping[str, str]] = {}

    def _target(self, label: Any, where: str) -> float:
        written = isinstance(label, str) and _GRADE.fullmatch(label.strip(BLANKS))
        try:
            grade = float(label) if written or type(label) in (int, float) else math.nan
        except OverflowError:
            grade = math.inf
        if not math.isfinite(grade):
            raise TextError(f"A grade must be a number: {where} has {label!r}. Check the column {self.label!r}.")
        return grade

    def _number(self, example: SequenceExample) -> float:
        return float(example.label)

    def fit(self, examples: Sequence[SequenceExample]) -> Self:
        """Return the task itself: grades have no labels."""
        del examples
        return self

    def head(self) -> dict[str, Any]:
        """Return the head's options: one output over the pooled sequence."""
        return {"kind": "sequence", "labels": 1, "pooling": self.pooling}

    def read_out(self, feature: Feature, outputs: Mapping[str, Any]) -> float:
        """Return the single number in ``outputs["logits"]``."""
        del feature
        return float(np.asarray(outputs["logits"]).item())

    def score(self, examples: Sequence[SequenceExample], predictions: Sequence[float]) -> dict[str, float]:
        """Return ``pearson`` and ``spearman``, in [-1, 1]: `scores.regression_scores`."""
        return regression_scores([float(example.label) for example in examples], predictions)

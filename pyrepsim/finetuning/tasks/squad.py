"""SQuAD 1.1: the words of a text that answer a question (Rajpurkar et al. 2016; Devlin et al. 2019, section 4.2)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, get_args

from ...core.errors import OptionError, ShapeError, TextError
from ...core.outputs import replacing
from .base import Feature, Task
from .squad_answers import Answer, Span, join_spans, window_spans
from .squad_data import Misplaced, SquadExample, place_answers, read_questions
from .squad_scoring import evaluate, score_answers
from .squad_windows import context_windows

__all__ = ["Answer", "Squad", "SquadExample", "evaluate"]


@dataclass(frozen=True, kw_only=True)
class Squad(Task):
    """Extractive question answering, scored by exact match and F1.

    Parameters
    ----------
    doc_stride : int
        Tokens from the start of one window of a long context to that of the next.
    max_query : int
        Tokens kept of a question.
    n_best : int
        Answers kept of a question.
    max_answer : int
        Tokens of the longest answer predicted.
    misplaced : {"error", "nearest", "drop"}
        What `read` does with an answer that does not stand at its answer_start: see `squad_data.place_answers`.
    """

    name: ClassVar[str] = "squad"
    metric: ClassVar[str] = "f1"
    suffix: ClassVar[str] = ".json"
    hub: ClassVar[Mapping[str, str]] = {
        "train": "hub:rajpurkar/squad:plain_text:train",
        "dev": "hub:rajpurkar/squad:plain_text:validation",
    }

    doc_stride: int = 128
    max_query: int = 64
    n_best: int = 20
    max_answer: int = 30
    misplaced: Misplaced = "error"

    def __post_init__(self) -> None:
        for option in ("doc_stride", "max_query", "n_best", "max_answer"):
            if getattr(self, option) < 1:
                raise OptionError(f"{option} must be at least 1: got {getattr(self, option)}.")
        if self.misplaced not in get_args(Misplaced):
            raise OptionError(f"misplaced is one of {', '.join(get_args(Misplaced))}: got {self.misplaced!r}.")

    def read(self, source: str | os.PathLike[str]) -> list[SquadExample]:
        """Questions of an official JSON file or of ``hub:owner/name[:config[:split]]``, their answers in place."""
        return place_answers(read_questions(source), self.misplaced)

    def fit(self, examples: Sequence[SquadExample]) -> Self:
        """The task itself: its answers are places, not labels."""
        del examples
        return self

    def head(self) -> dict[str, Any]:
        """A start and an end score at each token."""
        return {"kind": "span"}

    def encode(self, examples: Sequence[SquadExample], tokenizer: Any, *, max_length: int) -> list[Feature]:
        """One feature a window, with its `Window` as `extra`.

        The targets ``"start"`` and ``"end"`` are the positions of the first and the last token of the first gold
        answer; both are 0, the position of [CLS], in a window that does not hold all of it.
        """
        made = context_windows(
            examples, tokenizer, max_length=max_length, doc_stride=self.doc_stride, max_query=self.max_query
        )
        features = []
        for i, (example, windows) in enumerate(zip(examples, made, strict=True)):
            gold = example.answers[0]
            tokens = windows.tokens_of(gold.start, gold.start + len(gold.text))
            if tokens is None:
                raise TextError(
                    f"An answer must have tokens: the tokenizer makes none of {gold.text[:60]!r} at {example.where}. "
                    "Remove the question."
                )
            for inputs, window in zip(windows.inputs, windows.windows, strict=True):
                start, end = window.target(*tokens)
                features.append(Feature({**inputs, "start": start, "end": end}, i, window))
        return features

    def read_out(self, feature: Feature, outputs: Mapping[str, Any]) -> list[Span]:
        """The best spans of one window, from ``"start"`` and ``"end"`` scores of shape (n_positions,)."""
        return window_spans(
            feature.extra, outputs["start"], outputs["end"], n_best=self.n_best, max_answer=self.max_answer
        )

    def predict(
        self, examples: Sequence[SquadExample], features: Sequence[Feature], read_outs: Sequence[list[Span]]
    ) -> list[tuple[Answer, ...]]:
        """The n best answers of each question over all its windows, best first."""
        spans: list[list[Span]] = [[] for _ in examples]
        for feature, found in zip(features, read_outs, strict=True):
            spans[feature.example].extend(found)
        pairs = zip(examples, spans, strict=True)
        return [join_spans(example.context, found, n_best=self.n_best) for example, found in pairs]

    def score(self, examples: Sequence[SquadExample], predictions: Sequence[tuple[Answer, ...]]) -> dict[str, float]:
        """``"exact_match"`` and ``"f1"`` of the best answers, in [0, 1]; `evaluate` counts alike, in percent."""
        golds = ((example.id, [gold.text for gold in example.answers]) for example in examples)
        return score_answers(golds, self._best(examples, predictions))

    def write(
        self,
        examples: Sequence[SquadExample],
        predictions: Sequence[tuple[Answer, ...]],
        path: str | os.PathLike[str],
    ) -> None:
        """The best answers as the official JSON, which `evaluate` reads: ``{id: answer}``."""
        best = self._best(examples, predictions)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(best, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    def _best(self, examples: Sequence[SquadExample], predictions: Sequence[tuple[Answer, ...]]) -> dict[str, str]:
        if len(predictions) != len(examples):
            raise ShapeError(
                f"There must be one prediction a question: got {len(predictions)} for {len(examples)} questions."
            )
        pairs = zip(examples, predictions, strict=True)
        return {example.id: answers[0].text if answers else "" for example, answers in pairs}

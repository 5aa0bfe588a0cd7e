"""SQuAD 1.1: the span of a text that answers a question (Rajpurkar et al. 2016; Devlin et al. 2019, section 4.2)."""

from __future__ import annotations

import json
import logging
import os
import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self, get_args

import numpy as np

from ...core.errors import OptionError, ShapeError, TextError
from ...core.outputs import replacing
from ...data.squad import Misplaced, SquadExample, json_questions, load_json, place_answers, read_questions
from ...data.tokenizing import pair_template
from ...inference.groups import group_numbers
from ..items import ItemScores
from .base import Feature, Task
from .squad_windows import Answer, Span, context_windows, join_spans, window_spans

__all__ = ["Answer", "Squad", "SquadExample", "evaluate"]

log = logging.getLogger("pyrepsim.finetuning.tasks")

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True, kw_only=True)
class Squad(Task):
    """Extractive question answering, scored by exact match and F1.

    Parameters
    ----------
    doc_stride : int, default 128
        Number of tokens from the start of one window of a long context to the start of the next.
    max_query : int, default 64
        Number of tokens kept of a question.
    n_best : int, default 20
        Number of answers kept for each question.
    max_answer : int, default 30
        Number of tokens of the longest answer predicted.
    misplaced : {"error", "nearest", "drop"}, default "error"
        What `read` does with an answer whose text is not at its answer_start: raise TextError; move it to the nearest
        occurrence of its text; or leave it out.

    Examples
    --------
    >>> from pyrepsim.finetuning.tasks import get_task
    >>> task = get_task("squad(doc_stride=64)")
    >>> task.doc_stride, task.metric, task.head()
    (64, 'f1', {'kind': 'span'})
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
            raise OptionError(f"misplaced must be one of {', '.join(get_args(Misplaced))}: got {self.misplaced!r}.")

    def read(self, source: str | os.PathLike[str]) -> list[SquadExample]:
        """Read questions of an official JSON file or of ``hub:owner/name[:config[:split]]`` and check their answers."""
        return place_answers(read_questions(source), self.misplaced)

    def fit(self, examples: Sequence[SquadExample]) -> Self:
        """Return the task itself: it has no labels."""
        del examples
        return self

    def head(self) -> dict[str, Any]:
        """Return the head's options: a start score and an end score for each token."""
        return {"kind": "span"}

    def encode(self, examples: Sequence[SquadExample], tokenizer: Any, *, max_length: int) -> list[Feature]:
        """Make one feature for each window of a context, with its `Window` as `extra`.

        The targets ``"start"`` and ``"end"`` are the positions of the first and last token of the first gold answer.
        Both are 0, the position of [CLS], in a window that does not hold the whole answer. Without such a token in
        front, 0 is the question's first token, or the separator after an empty question: no answer begins there.

        A question whose context or answer has no tokens is left out: it is not trained on, and its predicted answer is
        empty. A warning in the log counts and names them.
        """
        contexts = context_windows(
            examples, tokenizer, max_length=max_length, doc_stride=self.doc_stride, max_query=self.max_query
        )
        features: list[Feature] = []
        left_out: list[str] = []
        for i, (example, context) in enumerate(zip(examples, contexts, strict=True)):
            gold = example.answers[0]
            tokens = context.tokens_of(gold.start, gold.start + len(gold.text))
            if tokens is None:
                left_out.append(example.where)
                continue
            for inputs, window in zip(context.inputs, context.windows, strict=True):
                start, end = window.target(*tokens)
                features.append(Feature({**inputs, "start": start, "end": end}, i, window))
        if left_out:
            log.warning(
                "left out %d of %d questions: the tokenizer makes no tokens of their answer (first: %s)",
                len(left_out), len(examples), left_out[0],
            )  # fmt: skip
        if left_out and not features:
            raise TextError(
                f"Some answers must have tokens: the tokenizer makes none of all {len(left_out)} answers (first: "
                f"{left_out[0]}). Check the data."
            )
        return features

    def separator(self, tokenizer: Any) -> str | None:
        return pair_template(tokenizer).separator

    def read_out(self, feature: Feature, outputs: Mapping[str, Any]) -> list[Span]:
        """Return the best spans of one window, from ``"start"`` and ``"end"`` scores of shape (n_positions,)."""
        return window_spans(
            feature.extra, outputs["start"], outputs["end"], n_best=self.n_best, max_answer=self.max_answer
        )

    def predict(
        self, examples: Sequence[SquadExample], features: Sequence[Feature], read_outs: Sequence[list[Span]]
    ) -> list[tuple[Answer, ...]]:
        """Return the `n_best` answers of each question over all its windows, best first."""
        spans: list[list[Span]] = [[] for _ in examples]
        for feature, window in zip(features, read_outs, strict=True):
            spans[feature.example].extend(window)
        pairs = zip(examples, spans, strict=True)
        return [join_spans(example.context, own, n_best=self.n_best) for example, own in pairs]

    def score(self, examples: Sequence[SquadExample], predictions: Sequence[tuple[Answer, ...]]) -> dict[str, float]:
        """Return ``"exact_match"`` and ``"f1"`` of the best answers, in [0, 1]; `evaluate` has them in percent."""
        golds = ((example.id, [gold.text for gold in example.answers]) for example in examples)
        return score_answers(golds, self._best(examples, predictions))

    def items(self, examples: Sequence[SquadExample], predictions: Sequence[tuple[Answer, ...]]) -> ItemScores:
        """Return ``exact_match`` and ``f1`` by question; the questions about one article are one group."""
        best = self._best(examples, predictions)
        golds = [(best[example.id], [gold.text for gold in example.answers]) for example in examples]
        scores = {"exact_match": exact_match, "f1": f1}
        return ItemScores(
            {
                name: np.array([max(score(answer, text) for text in texts) for answer, texts in golds], np.float64)
                for name, score in scores.items()
            },
            np.ones(len(examples)),
            group_numbers(example.title or example.context for example in examples),
        )

    def constant_guess(self, examples: Sequence[SquadExample]) -> tuple[str, list[tuple[Answer, ...]]]:
        """Return the empty answer to each question."""
        return "empty answers", [()] * len(examples)

    def write(
        self,
        examples: Sequence[SquadExample],
        predictions: Sequence[tuple[Answer, ...]],
        path: str | os.PathLike[str],
    ) -> None:
        """Write the best answers as the official JSON, ``{id: answer}``, which `evaluate` reads."""
        best = self._best(examples, predictions)
        with replacing(path) as temporary:
            temporary.write_text(json.dumps(best, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")

    def _best(self, examples: Sequence[SquadExample], predictions: Sequence[tuple[Answer, ...]]) -> dict[str, str]:
        if len(predictions) != len(examples):
            raise ShapeError(
                f"There must be one prediction per question: got {len(predictions)} for {len(examples)} questions."
            )
        pairs = zip(examples, predictions, strict=True)
        return {example.id: answers[0].text if answers else "" for example, answers in pairs}


def evaluate(dataset_json: str | os.PathLike[str], predictions_json: str | os.PathLike[str]) -> dict[str, float]:
    """Score a file of predictions like the official script of SQuAD 1.1, in percent.

    Parameters
    ----------
    dataset_json : str or path
        SQuAD 1.1: ``{"data": [{"paragraphs": [{"context", "qas": [{"id", "question", "answers"}]}]}]}``.
    predictions_json : str or path
        ``{id: answer}``. A question without a prediction scores 0, with a warning in the log; other ids are ignored.

    Returns
    -------
    dict
        ``"exact_match"`` and ``"f1"`` in percent: means over the questions of the best score over the gold answers
        (Rajpurkar et al. 2016, section 6.1).

    Raises
    ------
    TextError
        If a file cannot be read or has another format, such as SQuAD 2.0.

    Notes
    -----
    Texts are compared in lower case, without ASCII punctuation and without the words a, an and the. As in the official
    script, an answer of which nothing remains has F1 0 even against an equal answer; torchmetrics gives 1.

    Examples
    --------
    >>> import json
    >>> qa = {"id": "q1", "question": "Where?", "answers": [{"text": "in the north", "answer_start": 4}]}
    >>> data = {"data": [{"paragraphs": [{"context": "Far in the north.", "qas": [qa]}]}]}
    >>> with open("dev.json", "w") as dev, open("predictions.json", "w") as predictions:
    ...     json.dump(data, dev)
    ...     json.dump({"q1": "the north"}, predictions)
    >>> scores = evaluate("dev.json", "predictions.json")
    >>> {name: round(value, 2) for name, value in scores.items()}
    {'exact_match': 0.0, 'f1': 66.67}
    """
    name = os.fspath(predictions_json)
    predictions = load_json(predictions_json)
    if not isinstance(predictions, dict):
        raise TextError(
            f"Predictions must map ids to answers: {name} holds a {type(predictions).__name__}. Check the file."
        )
    for key, text in predictions.items():
        if not isinstance(text, str):
            raise TextError(f"An answer must be a string: {name} has {text!r:.60} for {key!r}. Give one per question.")
    questions = json_questions(load_json(dataset_json), os.fspath(dataset_json))
    golds = ((question.id, [gold.text for gold in question.answers]) for question in questions)
    return score_answers(golds, predictions, scale=100.0)


def score_answers(
    golds: Iterable[tuple[str, Sequence[str]]], predictions: Mapping[str, str], *, scale: float = 1.0
) -> dict[str, float]:
    """Return mean exact match and F1, times `scale`, from pairs of id and gold answers and from predictions by id."""
    n, n_exact, total = 0, 0, 0.0
    missing: list[str] = []
    for key, texts in golds:
        n += 1
        if key in predictions:
            n_exact += max(exact_match(predictions[key], text) for text in texts)
            total += max(f1(predictions[key], text) for text in texts)
        else:
            missing.append(key)
    if n == 0:
        raise TextError("There must be at least one question to score: got none. Check the data set.")
    if missing:
        some = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        log.warning("%d of %d questions have no prediction and score 0: %s.", len(missing), n, some)
    return {"exact_match": scale * n_exact / n, "f1": scale * total / n}


def exact_match(prediction: str, gold: str) -> bool:
    """Return whether two texts are equal except for case, punctuation, articles and white space."""
    return _words(prediction) == _words(gold)


def f1(prediction: str, gold: str) -> float:
    """Return F1 of the bags of words, in [0, 1]: 2 c / (p + g), with c common, p predicted and g gold words."""
    predicted, true = _words(prediction), _words(gold)
    common = (Counter(predicted) & Counter(true)).total()
    return 2 * common / (len(predicted) + len(true)) if common else 0.0


def _words(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()

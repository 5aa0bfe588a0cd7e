"""Exact match and F1 as the official script of SQuAD 1.1 counts them (Rajpurkar et al. 2016, section 6.1)."""

from __future__ import annotations

import logging
import os
import re
import string
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from ...core.errors import TextError
from .squad_data import json_questions, load_json

__all__ = ["evaluate", "exact_match", "f1", "score_answers"]

log = logging.getLogger("pyrepsim.finetuning.tasks")

_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def evaluate(dataset_json: str | os.PathLike[str], predictions_json: str | os.PathLike[str]) -> dict[str, float]:
    """Score a file of predictions against a data set, both in the official format.

    Parameters
    ----------
    dataset_json
        SQuAD 1.1: ``{"data": [{"paragraphs": [{"context", "qas": [{"id", "question", "answers"}]}]}]}``.
    predictions_json
        ``{id: answer}``. A question without a prediction scores 0, which is logged as a warning; other ids are ignored.

    Returns
    -------
    dict
        ``"exact_match"`` and ``"f1"``: means over the questions, in percent, of the best score over the gold answers.

    Raises
    ------
    TextError
        For a file that cannot be read or has another format (SQuAD 2.0 among them).

    Notes
    -----
    Texts are compared in lower case, without ASCII punctuation and the words a, an, the. An answer of which nothing
    is left scores F1 0 even against its like, as in the official script; torchmetrics gives it 1.
    """
    name = os.fspath(predictions_json)
    predictions = load_json(predictions_json)
    if not isinstance(predictions, dict):
        raise TextError(f"Predictions map ids to answers: {name} holds a {type(predictions).__name__}. Check the file.")
    for key, text in predictions.items():
        if not isinstance(text, str):
            raise TextError(f"An answer is a string: {name} has {text!r:.60} for {key!r}. Give one text a question.")
    questions = json_questions(load_json(dataset_json), os.fspath(dataset_json))
    golds = ((item.id, [gold.text for gold in item.answers]) for item in questions)
    return score_answers(golds, predictions, unit=100.0)


def score_answers(
    golds: Iterable[tuple[str, Sequence[str]]], predictions: Mapping[str, str], *, unit: float = 1.0
) -> dict[str, float]:
    """Exact match and F1 of ids with gold answers and predictions by id: fractions, times `unit`."""
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
    return {"exact_match": unit * n_exact / n, "f1": unit * total / n}


def exact_match(prediction: str, gold: str) -> bool:
    """Whether the two are the same text but for case, punctuation, articles and white space."""
    return _words(prediction) == _words(gold)


def f1(prediction: str, gold: str) -> float:
    """F1 of the bags of words: 2 c / (p + g), with c words in common, p predicted and g gold; in [0, 1]."""
    predicted, true = _words(prediction), _words(gold)
    common = (Counter(predicted) & Counter(true)).total()
    return 2 * common / (len(predicted) + len(true)) if common else 0.0


def _words(text: str) -> list[str]:
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()

"""SQuAD 1.1 questions: from the official JSON or from the hub, each answer at its place in the context."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from ...core.errors import TextError
from ...data.records import HUB, hub_records

__all__ = ["GoldAnswer", "Misplaced", "SquadExample", "json_questions", "load_json", "place_answers", "read_questions"]

log = logging.getLogger("pyrepsim.finetuning.tasks")

Misplaced = Literal["error", "nearest", "drop"]


@dataclass(frozen=True)
class GoldAnswer:
    """A gold answer: its text, and the character of the context at which it starts."""

    text: str
    start: int


@dataclass(frozen=True)
class SquadExample:
    """One question about one context, with at least one gold answer."""

    id: str
    question: str
    context: str
    answers: tuple[GoldAnswer, ...]
    where: str
    """``dev-v1.1.json: data[0].paragraphs[3].qas[1] (id '57...')``: a place in the JSON, or a record of the hub."""


def read_questions(source: str | os.PathLike[str]) -> list[SquadExample]:
    """Questions of an official JSON file or of ``hub:owner/name[:config[:split]]``: no blank texts, no id twice."""
    if isinstance(source, str) and source.startswith(HUB):
        questions = [_hub_question(record, where) for where, record in hub_records(source)]
    else:
        questions = list(json_questions(load_json(source), os.fspath(source)))
    seen: dict[str, str] = {}
    for question in questions:
        for what, text in (("question", question.question), ("context", question.context)):
            if not text.strip():
                raise TextError(f"A {what} must not be empty: {question.where} has a blank one. Remove the question.")
        if question.id in seen:
            raise TextError(
                f"Each question has an id of its own: {question.where} has that of {seen[question.id]}. Remove one."
            )
        seen[question.id] = question.where
    return questions


def load_json(path: str | os.PathLike[str]) -> Any:
    """The content of a JSON file, or TextError with what is wrong with it."""
    name = os.fspath(path)
    try:
        return json.loads(Path(path).read_text(encoding="utf-8-sig"))
    except json.JSONDecodeError as error:
        raise TextError(f"{name} must be JSON: {error}. Check the file.") from error
    except UnicodeDecodeError as error:
        raise TextError(f"{name} must be UTF-8: byte {error.start} is not. Convert it, e.g. with iconv.") from error
    except OSError as error:
        raise TextError(f"{name} must be a file one can read: {error.strerror or error}. Check the path.") from error


def json_questions(content: Any, name: str) -> Iterator[SquadExample]:
    """Walk ``{"data": [{"paragraphs": [{"context", "qas": [{"id", "question", "answers"}]}]}]}``."""
    articles = _take(content, "data", list, name)
    if not articles:
        raise TextError(f"SQuAD needs at least one article: 'data' of {name} is empty. Check the file.")
    for i, article in enumerate(articles):
        for j, paragraph in enumerate(_take(article, "paragraphs", list, f"{name}: data[{i}]")):
            where = f"{name}: data[{i}].paragraphs[{j}]"
            context = _take(paragraph, "context", str, where)
            for k, item in enumerate(_take(paragraph, "qas", list, where)):
                at = f"{where}.qas[{k}]"
                key = _take(item, "id", str, at)
                at += f" (id {key!r})"
                if item.get("is_impossible"):
                    raise _unanswerable(at)
                answers = [
                    GoldAnswer(_take(answer, "text", str, at), _take(answer, "answer_start", int, at))
                    for answer in _take(item, "answers", list, at)
                ]
                yield _question(key, _take(item, "question", str, at), context, answers, at)


def _hub_question(record: Any, where: str) -> SquadExample:
    """A question from a record in which the texts and the starts of its answers are two lists side by side."""
    key = _take(record, "id", str, where)
    where += f" (id {key!r})"
    answers = _take(record, "answers", dict, where)
    texts, starts = _take(answers, "text", list, where), _take(answers, "answer_start", list, where)
    if len(texts) != len(starts):
        raise TextError(f"Each answer has a start: {where} has {len(texts)} texts and {len(starts)} starts.")
    golds = [GoldAnswer(text, start) for text, start in zip(texts, starts, strict=True)]
    return _question(key, _take(record, "question", str, where), _take(record, "context", str, where), golds, where)


def _question(key: str, question: str, context: str, answers: list[GoldAnswer], where: str) -> SquadExample:
    if not answers:
        raise _unanswerable(where)
    return SquadExample(key, question, context, tuple(answers), where)


def _unanswerable(where: str) -> TextError:
    return TextError(
        f"SQuAD 1.1 answers every question: {where} has no answer, as in SQuAD 2.0, which is not supported. Give "
        "SQuAD 1.1, or remove the questions that are impossible."
    )


def _take(record: Any, key: str, kind: type, where: str) -> Any:
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, kind):
        found = (
            f"{key!r} is a {type(value).__name__}" if isinstance(record, dict) and key in record else "there is none"
        )
        raise TextError(f"SQuAD 1.1 has {key!r}, of type {kind.__name__}, in {where}: {found}. Check the format.")
    return value


def place_answers(examples: Iterable[SquadExample], misplaced: Misplaced) -> list[SquadExample]:
    """The same questions, with each answer's text at its start in the context.

    Parameters
    ----------
    misplaced : {"error", "nearest", "drop"}
        What becomes of an answer that is not where it is said to be: TextError; the nearest place of the same text,
        the earlier of two; or it is left out, and with its last answer the question. What was
        moved or left out is counted in the log.

    Raises
    ------
    TextError
        For a blank answer, one that is misplaced ("error"), or one that stands nowhere in its context ("nearest").
    """
    placed, n_answers, n_misplaced, n_questions = [], 0, 0, 0
    for example in examples:
        starts = [_place(example, answer, misplaced) for answer in example.answers]
        n_answers += len(starts)
        n_questions += 1
        wrong = sum(start != answer.start for start, answer in zip(starts, example.answers, strict=True))
        if wrong:
            n_misplaced += wrong
            pairs = zip(example.answers, starts, strict=True)
            answers = tuple(GoldAnswer(answer.text, start) for answer, start in pairs if start is not None)
            example = replace(example, answers=answers)
        if example.answers:
            placed.append(example)
    if n_misplaced:
        fate = "moved to the nearest place of the same text" if misplaced == "nearest" else "left out"
        log.warning(
            "%d of %d answers did not stand at their answer_start and were %s; %d of %d questions are kept.",
            n_misplaced,
            n_answers,
            fate,
            len(placed),
            n_questions,
        )
    return placed


def _place(example: SquadExample, answer: GoldAnswer, misplaced: Misplaced) -> int | None:
    """Where the answer starts; None if it is to be left out."""
    context, text = example.context, answer.text
    if not text.strip():
        raise TextError(f"An answer must not be empty: {example.where} has a blank one. Remove it.")
    if answer.start >= 0 and context.startswith(text, answer.start):
        return answer.start
    if misplaced == "drop":
        return None
    places = [start for start in range(len(context)) if context.startswith(text, start)]
    if misplaced == "nearest" and places:
        return min(places, key=lambda start: abs(start - answer.start))
    there = context[max(0, answer.start) : max(0, answer.start) + len(text)]
    remedy = "Correct the file, or leave such answers out: misplaced='drop'."
    if places:
        remedy = "Correct the file, or choose misplaced='nearest' (moves such answers) or 'drop' (leaves them out)."
    raise TextError(
        f"An answer must stand in its context at answer_start: {example.where} has {text[:60]!r} at {answer.start}, "
        f"where the context has {there[:60]!r}; it stands {f'at {places[0]}' if places else 'nowhere in it'}. {remedy}"
    )

"""Questions of SQuAD 1.1, from the official JSON or from the hub, with checked positions of the answers."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from ..core.errors import TextError
from ..core.json_files import OTHERS, loads
from ..core.paths import as_path, read_regular
from .hub import HUB, hub_records
from .lines import without_mark

__all__ = ["GoldAnswer", "Misplaced", "SquadExample", "json_questions", "load_json", "place_answers", "read_questions"]

log = logging.getLogger("pyrepsim.data")

Misplaced = Literal["error", "nearest", "drop"]


@dataclass(frozen=True)
class GoldAnswer:
    """A gold answer: its text and its first character in the context."""

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
    """Location for messages: ``dev-v1.1.json: data[0].paragraphs[3].qas[1] (id '57...')`` or a record of the hub."""
    title: str = ""
    """Title of the article; "" if it has none."""


def read_questions(source: str | os.PathLike[str]) -> list[SquadExample]:
    """Read questions of an official JSON file or of ``hub:owner/name[:config[:split]]``.

    TextError if a question or context is blank, or two questions have the same id.
    """
    if isinstance(source, str) and source.startswith(HUB):
        questions = [_hub_question(record, where) for where, record in hub_records(source)]
    else:
        questions = list(json_questions(load_json(source), os.fspath(source)))
    seen: dict[str, str] = {}
    for question in questions:
        for part, text in (("question", question.question), ("context", question.context)):
            if not text.strip():
                raise TextError(f"A {part} must not be empty: {question.where} has a blank one. Remove the question.")
        if question.id in seen:
            raise TextError(
                f"Each question must have its own id: {question.where} has that of {seen[question.id]}. Remove one."
            )
        seen[question.id] = question.where
    return questions


def load_json(path: str | os.PathLike[str]) -> Any:
    """Return the content of a JSON file; raise TextError if it cannot be read."""
    name = os.fspath(as_path(path, "A source", error=TextError))
    try:
        return loads(without_mark(read_regular(name, OTHERS.n_bytes).decode("utf-8")), OTHERS)
    except UnicodeDecodeError as error:
        raise TextError(f"{name} must be UTF-8: byte {error.start} is not. Convert it, e.g. with iconv.") from error
    except ValueError as error:
        raise TextError(f"{name} must be JSON: {error}. Check the file.") from error
    except OSError as error:
        raise TextError(f"{name} must be a readable file: {error.strerror or error}. Check the path.") from error


def json_questions(content: Any, name: str) -> Iterator[SquadExample]:
    """Yield the questions of ``{"data": [{"paragraphs": [{"context", "qas": [{"id", "question", "answers"}]}]}]}``."""
    articles = _take(content, "data", list, name)
    _check_version(content.get("version"), name)
    if not articles:
        raise TextError(f"SQuAD must have at least one article: 'data' of {name} is empty. Check the file.")
    for i, article in enumerate(articles):
        title = _title(article)
        for j, paragraph in enumerate(_take(article, "paragraphs", list, f"{name}: data[{i}]")):
            where = f"{name}: data[{i}].paragraphs[{j}]"
            context = _take(paragraph, "context", str, where)
            for k, item in enumerate(_take(paragraph, "qas", list, where)):
                location = f"{where}.qas[{k}]"
                key = _take(item, "id", str, location)
                location += f" (id {key!r})"
                if item.get("is_impossible"):
                    raise _unanswerable(location)
                answers = [
                    GoldAnswer(_take(answer, "text", str, location), _take(answer, "answer_start", int, location))
                    for answer in _take(item, "answers", list, location)
                ]
                yield _question(key, _take(item, "question", str, location), context, answers, location, title)


def _check_version(version: Any, name: str) -> None:
    """Refuse a version after 2, whose layout is unknown. Some data sets have their own name there."""
    major = re.match(r"v?([0-9]+)(?![0-9A-Za-z])", str(version))
    if major and int(major[1]) not in (1, 2):
        raise TextError(
            f"SQuAD must have version 1.1, or 2.0 with an answer to each question: {name} states {version!r:.40}. "
            "Convert it to SQuAD 1.1."
        )


def _hub_question(record: Any, where: str) -> SquadExample:
    """Make a question of a hub record, which holds the texts and the starts of its answers as two lists."""
    key = _take(record, "id", str, where)
    where += f" (id {key!r})"
    answers = _take(record, "answers", dict, where)
    found, starts = _take(answers, "text", list, where), _take(answers, "answer_start", list, where)
    if len(found) != len(starts):
        raise TextError(f"Each answer must have a start: {where} has {len(found)} texts and {len(starts)} starts.")
    golds = [GoldAnswer(text, start) for text, start in zip(found, starts, strict=True)]
    question, context = (_take(record, part, str, where) for part in ("question", "context"))
    return _question(key, question, context, golds, where, _title(record))


def _question(key: str, question: str, context: str, answers: list[GoldAnswer], where: str, title: str) -> SquadExample:
    if not answers:
        raise _unanswerable(where)
    return SquadExample(key, question, context, tuple(answers), where, title)


def _title(record: Any) -> str:
    title = record.get("title") if isinstance(record, dict) else None
    return title if isinstance(title, str) else ""


def _unanswerable(where: str) -> TextError:
    return TextError(
        f"Every question of SQuAD 1.1 must have an answer: {where} has no answer, as in SQuAD 2.0, which is not "
        "supported. Give SQuAD 1.1, or remove the questions without an answer."
    )


def _take(record: Any, key: str, kind: type, where: str) -> Any:
    value = record.get(key) if isinstance(record, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        present = isinstance(record, dict) and key in record
        problem = f"{key!r} is a {type(value).__name__}" if present else "there is none"
        raise TextError(
            f"SQuAD 1.1 must have {key!r}, of type {kind.__name__}, in {where}: {problem}. Check the format."
        )
    return value


def place_answers(examples: Iterable[SquadExample], misplaced: Misplaced) -> list[SquadExample]:
    """Return the questions with every answer at its start in the context.

    Parameters
    ----------
    misplaced : {"error", "nearest", "drop"}
        What to do with an answer whose text is not at its start: raise TextError; move it to the nearest occurrence of
        its text, the earlier of two; or leave it out, and the question if no answer is left. The log says how many were
        moved or left out.

    Raises
    ------
    TextError
        If an answer is blank, is misplaced (with "error"), or does not occur in its context (with "nearest").
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
        outcome = "moved to the nearest occurrence of their text" if misplaced == "nearest" else "left out"
        log.warning(
            "%d of %d answers were not at their answer_start and were %s; %d of %d questions are kept.",
            n_misplaced,
            n_answers,
            outcome,
            len(placed),
            n_questions,
        )
    return placed


def _place(example: SquadExample, answer: GoldAnswer, misplaced: Misplaced) -> int | None:
    """Return where the answer starts; None to leave it out."""
    context, text = example.context, answer.text
    if not text.strip():
        raise TextError(f"An answer must not be empty: {example.where} has a blank one. Remove it.")
    if answer.start >= 0 and context.startswith(text, answer.start):
        return answer.start
    if misplaced == "drop":
        return None
    starts = [start for start in range(len(context)) if context.startswith(text, start)]
    if misplaced == "nearest" and starts:
        return min(starts, key=lambda start: abs(start - answer.start))
    text_at_start = context[max(0, answer.start) : max(0, answer.start) + len(text)]
    remedy = "Correct the file, or leave such answers out: misplaced='drop'."
    if starts:
        remedy = "Correct the file, or choose misplaced='nearest' (moves such answers) or 'drop' (leaves them out)."
    raise TextError(
        f"An answer must be in its context at answer_start: {example.where} has {text[:60]!r} at {answer.start}, where "
        f"the context has {text_at_start[:60]!r}; it is {f'at {starts[0]}' if starts else 'nowhere in it'}. {remedy}"
    )

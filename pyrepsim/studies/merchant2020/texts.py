"""Generated data, and the texts on which models are compared: drawn once, and kept in the cell's folder."""

from __future__ import annotations

import bisect
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core.json_files import read
from ..runner import Cell, Cost
from .documents import Text, documents_of, plain_texts, texts_of
from .plan import DATA, Plan
from .scales import Corpus

__all__ = [
    "corpus_columns",
    "data_cells",
    "read_documents_of_cell",
    "read_texts_of_cell",
    "task_of",
    "text_cell",
    "text_cells",
]

_FORMAT = 2
_FILE = "texts.json"
_POOL = 2  # texts of given lengths are chosen among this many times their words, drawn evenly from the documents
_SENTENCE_END = re.compile(r"(?<=[.!?]) +(?=[\"'(A-Z])")


def data_cells(plan: Plan) -> list[Cell]:
    """The cell that writes generated data; none if the scale reads files or the hub."""
    sizes = plan.scale.synthetic
    if sizes is None:
        return []

    def run(folder: Path, _needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        from ..synthetic import write_synthetic

        write_synthetic(folder, **sizes)
        return []

    experiment, _, name = DATA.partition("/")
    return [
        Cell(experiment=experiment, name=name, request=dict(sizes), run=run, format=_FORMAT, cost=lambda: Cost(2.0))
    ]


def text_cell(corpus: str) -> str:
    """The id of the cell that draws the texts of a corpus."""
    return f"texts/{corpus}"


def text_cells(plan: Plan) -> list[Cell]:
    """One cell for each corpus. A corpus that matches the lengths of another one comes after it."""
    ordered = sorted(plan.scale.corpora.items(), key=lambda item: item[1].like is not None)
    return [_text_cell(plan, name, corpus) for name, corpus in ordered]


def corpus_columns(plan: Plan, name: str, task: str | None = None) -> dict[str, Any]:
    """The columns of rows that name a corpus, and its domain for a task."""
    corpus = plan.scale.corpora[name]
    domain = None if task is None else corpus.domain.get(task)
    return {"corpus": name, "form": corpus.form, "domain": domain}


def read_texts_of_cell(folder: Path) -> list[Any]:
    """The texts that a cell has drawn; in the form ``training``, positions of examples in their file."""
    return read(folder / _FILE)["texts"]


def read_documents_of_cell(folder: Path) -> list[str]:
    """The document of each text that a cell has drawn."""
    return read(folder / _FILE)["documents"]


def task_of(plan: Plan, corpus: Corpus) -> Any:
    """The task whose examples a corpus holds."""
    from ...finetuning.tasks import get_task

    return get_task(plan.scale.tasks[str(corpus.task)].task)


def _text_cell(plan: Plan, name: str, corpus: Corpus) -> Cell:
    def run(folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        source = plan.locate(corpus.source, needed)
        if corpus.form == "training":
            examples = task_of(plan, corpus).read(source)
            texts = [
                Text(" ".join(texts_of(one)), name) for one, name in zip(examples, documents_of(examples), strict=True)
            ]
        else:
            texts = _sentences(plan, corpus, source)
        wanted = None if corpus.like is None else read_texts_of_cell(needed[text_cell(corpus.like)])
        chosen = choose(texts, corpus, None if wanted is None else [len(text.split()) for text in wanted])
        kept = {"texts": [i if corpus.form == "training" else texts[i].text for i in chosen]}
        kept["documents"] = [texts[i].document for i in chosen]
        (folder / _FILE).write_text(json.dumps(kept, ensure_ascii=False), encoding="utf-8")
        return []

    task = None if corpus.task is None else plan.scale.tasks[corpus.task].task
    request = {"source": plan.digests([corpus.source]), "task": task, "form": corpus.form, "words": corpus.words}
    request |= {"documents": corpus.documents, "without": corpus.without}
    needs = (*plan.data_needs, *([] if corpus.like is None else [text_cell(corpus.like)]))
    return Cell(
        experiment="texts", name=name, request=request, run=run, needs=needs, format=_FORMAT, cost=lambda: Cost(1.0)
    )


def _sentences(plan: Plan, corpus: Corpus, source: str) -> list[Text]:
    """Single sentences without duplicates: both of a pair, and longer texts cut at full stops."""
    if corpus.task is None:
        whole = plain_texts(source)
    else:
        examples = task_of(plan, corpus).read(source)
        named = zip(examples, documents_of(examples), strict=True)
        whole = [Text(text, name) for example, name in named for text in texts_of(example)]
    sentences: dict[str, str] = {}
    for text, document in whole:
        for sentence in _SENTENCE_END.split(text):
            if len(sentence.split()) > 2:
                sentences.setdefault(sentence.strip(), document)
    return [Text(sentence, document) for sentence, document in sentences.items()]


def choose(texts: Sequence[Text], corpus: Corpus, wanted: Sequence[int] | None = None) -> list[int]:
    """Positions of the texts of a corpus, in order: drawn at random, or of about the `wanted` numbers of words."""
    allowed = [i for i, one in enumerate(texts) if not any(part in one.document for part in corpus.without)]
    sizes = {i: len(texts[i].text.split()) for i in allowed}
    if corpus.documents is not None:
        words: Counter[str] = Counter()
        for i in allowed:
            words[texts[i].document] += sizes[i]
        longest = {name for name, _ in words.most_common(corpus.documents)}
        allowed = [i for i in allowed if texts[i].document in longest]
    n_words = corpus.words if wanted is None else _POOL * sum(wanted)
    drawn = draw([sizes[i] for i in allowed], n_words, [texts[i].document for i in allowed])
    pool = [allowed[k] for k in drawn]
    return pool if wanted is None else [pool[k] for k in match_sizes([sizes[i] for i in pool], wanted)]


def draw(sizes: Sequence[int], words: int, documents: Sequence[str]) -> list[int]:
    """Draw texts at random until they have this many words; return their positions, in order.

    In each round, one text of each document is drawn, so that documents have about equally many words.
    """
    order = np.random.default_rng(0).permutation(len(sizes))
    seen: Counter[str] = Counter()
    rounds = []
    for i in order:
        rounds.append(seen[documents[i]])
        seen[documents[i]] += 1
    order = order[np.argsort(rounds, kind="stable")]
    total = np.cumsum(np.array(sizes)[order])
    return sorted(int(i) for i in order[: int(np.searchsorted(total, words)) + 1])


def match_sizes(sizes: Sequence[int], wanted: Sequence[int]) -> list[int]:
    """For each wanted size, take the remaining text whose size is nearest; return their positions, in order."""
    order = np.random.default_rng(0).permutation(len(sizes))  # texts of equal size are taken in random order
    free = sorted((sizes[i], place) for place, i in enumerate(order))
    taken = []
    for size in np.random.default_rng(1).permutation(wanted):
        if not free:
            break
        at = bisect.bisect_left(free, (int(size), -1))
        below, above = max(at - 1, 0), min(at, len(free) - 1)
        nearest = min((below, above), key=lambda k: abs(free[k][0] - size))
        taken.append(int(order[free.pop(nearest)[1]]))
    return sorted(taken)

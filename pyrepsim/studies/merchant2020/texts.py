"""Generated data, and the texts on which models are compared: drawn once, and kept in the cell's folder."""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...core.json_files import read
from ..runner import Cell, Cost
from .plan import DATA, Plan
from .scales import Corpus

__all__ = ["corpus_columns", "data_cells", "read_texts_of_cell", "task_of", "text_cell", "text_cells"]

_FORMAT = 1
_FILE = "texts.json"
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
    return read(folder / _FILE)


def task_of(plan: Plan, corpus: Corpus) -> Any:
    """The task whose examples a corpus holds."""
    from ...finetuning.tasks import get_task

    return get_task(plan.scale.tasks[str(corpus.task)].task)


def _text_cell(plan: Plan, name: str, corpus: Corpus) -> Cell:
    def run(folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        source = plan.locate(corpus.source, needed)
        if corpus.form == "training":
            sizes = [_n_words(example) for example in task_of(plan, corpus).read(source)]
            chosen: list[Any] = draw(sizes, corpus.words)
        else:
            texts = _sentences(plan, corpus, source)
            sizes = [len(text.split()) for text in texts]
            if corpus.like is None:
                chosen = [texts[i] for i in draw(sizes, corpus.words)]
            else:
                wanted = [len(text.split()) for text in read_texts_of_cell(needed[text_cell(corpus.like)])]
                chosen = [texts[i] for i in match_sizes(sizes, wanted)]
        (folder / _FILE).write_text(json.dumps(chosen, ensure_ascii=False), encoding="utf-8")
        return []

    task = None if corpus.task is None else plan.scale.tasks[corpus.task].task
    request = {"source": plan.digests([corpus.source]), "task": task, "form": corpus.form, "words": corpus.words}
    needs = (*plan.data_needs, *([] if corpus.like is None else [text_cell(corpus.like)]))
    return Cell(
        experiment="texts", name=name, request=request, run=run, needs=needs, format=_FORMAT, cost=lambda: Cost(1.0)
    )


def _sentences(plan: Plan, corpus: Corpus, source: str) -> list[str]:
    """Single sentences without duplicates: both of a pair, and longer texts cut at full stops."""
    if corpus.task is None:
        whole = _plain_texts(source)
    else:
        whole = [text for example in task_of(plan, corpus).read(source) for text in _texts_of(example)]
    sentences = (sentence.strip() for text in whole for sentence in _SENTENCE_END.split(text))
    return list(dict.fromkeys(sentence for sentence in sentences if len(sentence.split()) > 2))


def _plain_texts(source: str) -> list[str]:
    from ...data import read_texts

    if source.startswith("hub:"):
        name, config, split = (*source.removeprefix("hub:").split(":"), None, None)[:3]
        corpus = read_texts(name, config=config, split=split)
    elif Path(source).is_dir():
        files = sorted(path for path in Path(source).rglob("*") if path.suffix in (".conllu", ".txt", ".jsonl"))
        return [document.text for file in files for document in read_texts(file)]
    else:
        corpus = read_texts(Path(source))
    return [document.text for document in corpus if not document.text.lstrip().startswith("=")]  # WikiText's headings


def _texts_of(example: Any) -> list[str]:
    """The texts of an example of any task."""
    for names in (("first", "second"), ("context", "question")):
        if hasattr(example, names[0]):
            return [text for name in names if (text := getattr(example, name)) is not None]
    return [example.text if getattr(example, "text", None) else " ".join(example.words)]


def _n_words(example: Any) -> int:
    return sum(len(text.split()) for text in _texts_of(example))


def draw(sizes: Sequence[int], words: int) -> list[int]:
    """Draw texts at random until they have this many words; return their positions, in order."""
    order = np.random.default_rng(0).permutation(len(sizes))
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

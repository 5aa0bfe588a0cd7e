"""The texts on which models are compared, drawn once and written down; and the stores of their activations."""

from __future__ import annotations

import bisect
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..runner import Cell, Cost
from .costs import Clock
from .plan import Plan
from .scales import Corpus
from .subjects import BASE, Subject, floors, tuned

if TYPE_CHECKING:
    from ...models import Encoder
    from ...store import ActivationStore

__all__ = ["cells", "corpus_columns", "extract_texts", "read_chosen", "store_cell", "subjects_on", "text_cell"]

_FORMAT = 1
_CHOSEN = "texts.json"
_LONGEST = 256  # tokens of a sequence: longer ones are cut
_SENTENCE_END = re.compile(r"(?<=[.!?]) +(?=[\"'(A-Z])")


def text_cell(name: str) -> str:
    return f"texts/{name}"


def store_cell(subject: Subject, name: str) -> str:
    """The cell whose folder holds the activations of a model on a corpus, as ``store``."""
    return f"stores/{subject.label}-{name}"


def corpus_columns(plan: Plan, name: str, task: str | None = None) -> dict[str, Any]:
    corpus = plan.scale.corpora[name]
    domain = None if task is None else corpus.domain.get(task)
    return {"corpus": name, "form": corpus.form, "domain": domain}


def subjects_on(plan: Plan, name: str) -> list[Subject]:
    """All models whose activations on a corpus are wanted, the base first."""
    tasks = plan.scale.corpora[name].domain
    return [BASE, *floors(plan), *(subject for task in tasks for subject in tuned(plan, task))]


def cells(plan: Plan, clock: Clock) -> list[Cell]:
    """One a corpus, and one a model and corpus, whose store goes once nobody needs it any more."""
    ordered = sorted(plan.scale.corpora.items(), key=lambda item: item[1].like is not None)
    found = [_draw_cell(plan, name, corpus) for name, corpus in ordered]
    for name in plan.scale.corpora:
        found += [_store_cell(plan, clock, subject, name) for subject in subjects_on(plan, name)]
    return found


def _draw_cell(plan: Plan, name: str, corpus: Corpus) -> Cell:
    def run(folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        source = plan.place(corpus.source, needed)
        if corpus.form == "training":
            sizes = [_size(example) for example in _task_of(plan, corpus).read(source)]
            chosen: list[Any] = _drawn(sizes, corpus.words)
        else:
            texts = _sentences(plan, corpus, source)
            sizes = [len(text.split()) for text in texts]
            if corpus.like is None:
                chosen = [texts[i] for i in _drawn(sizes, corpus.words)]
            else:
                wanted = [len(text.split()) for text in read_chosen(needed[text_cell(corpus.like)])]
                chosen = [texts[i] for i in _matched(sizes, wanted)]
        (folder / _CHOSEN).write_text(json.dumps(chosen, ensure_ascii=False), encoding="utf-8")
        return []

    task = None if corpus.task is None else plan.scale.tasks[corpus.task].task
    request = {"source": plan.sources([corpus.source]), "task": task, "form": corpus.form, "words": corpus.words}
    needs = (*plan.data_needs, *([] if corpus.like is None else [text_cell(corpus.like)]))
    return Cell(experiment="texts", name=name, request=request, run=run, needs=needs, format=_FORMAT, cost=_soon)


def _soon() -> Cost:
    return Cost(1.0)


def read_chosen(folder: Path) -> list[Any]:
    """Texts, or, in the form of training, the places of examples in their file."""
    return json.loads((folder / _CHOSEN).read_text(encoding="utf-8"))


def _task_of(plan: Plan, corpus: Corpus) -> Any:
    from ...finetuning.tasks import get_task

    return get_task(plan.scale.tasks[str(corpus.task)].task)


def _sentences(plan: Plan, corpus: Corpus, source: str) -> list[str]:
    """Single sentences, each once: of pairs both, of longer texts what full stops separate."""
    if corpus.task is None:
        whole = _plain_texts(source)
    else:
        whole = [text for example in _task_of(plan, corpus).read(source) for text in _parts(example)]
    pieces = (piece.strip() for text in whole for piece in _SENTENCE_END.split(text))
    return list(dict.fromkeys(piece for piece in pieces if len(piece.split()) > 2))


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


def _parts(example: Any) -> list[str]:
    """The texts of an example of any task."""
    for names in (("first", "second"), ("context", "question")):
        if hasattr(example, names[0]):
            return [text for name in names if (text := getattr(example, name)) is not None]
    return [example.text if getattr(example, "text", None) else " ".join(example.words)]


def _size(example: Any) -> int:
    return sum(len(text.split()) for text in _parts(example))


def _drawn(sizes: Sequence[int], words: int) -> list[int]:
    """Places of texts drawn at random until they have so many words, in their own order."""
    order = np.random.default_rng(0).permutation(len(sizes))
    total = np.cumsum(np.array(sizes)[order])
    return sorted(int(i) for i in order[: int(np.searchsorted(total, words)) + 1])


def _matched(sizes: Sequence[int], wanted: Sequence[int]) -> list[int]:
    """For each wanted size the free text that is nearest to it, in the texts' own order."""
    order = np.random.default_rng(0).permutation(len(sizes))  # which of several of one size is chance
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


def _store_cell(plan: Plan, clock: Clock, subject: Subject, name: str) -> Cell:
    def run(folder: Path, needed: Mapping[str, Path]) -> list[dict[str, Any]]:
        extract_texts(plan, name, subject.encoder(plan, needed), folder / "store", needed)
        return []

    return Cell(
        experiment="stores",
        name=f"{subject.label}-{name}",
        request={**subject.request(plan), "longest": _longest(plan, plan.scale.corpora[name])},
        run=run,
        needs=(*plan.data_needs, text_cell(name), *subject.needs),
        scratch=("store",),
        format=_FORMAT,
        cost=lambda: clock.extraction(name),
    )


def _longest(plan: Plan, corpus: Corpus) -> int:
    return _LONGEST if corpus.form == "sentences" else plan.recipe(str(corpus.task), 0).max_length


def extract_texts(plan: Plan, name: str, encoder: Encoder, out: Path, needed: Mapping[str, Path]) -> ActivationStore:
    """The activations of an encoder on a corpus, one row a token; `needed` has the cell of its texts."""
    import pyrepsim as rs

    corpus, chosen = plan.scale.corpora[name], read_chosen(needed[text_cell(name)])
    if corpus.form == "training":
        from .pairs import extract_features

        task = _task_of(plan, corpus)
        examples = task.read(plan.place(corpus.source, needed))
        picked = [examples[i] for i in chosen]
        return extract_features(encoder, task, picked, out, max_length=_longest(plan, corpus))
    longest = min(_longest(plan, corpus), encoder.max_length or _LONGEST)
    how = {"long": "truncate", "max_length": longest, "worker": "0/1", "progress": False}
    found = rs.extract(encoder, chosen, out=out, **how)
    assert found is not None  # one worker of one seals what it writes
    return found

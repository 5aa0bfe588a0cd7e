"""Words and annotations in columns, trees in brackets, tables. The first byte chooses the format."""

from __future__ import annotations

from pathlib import Path

from pyrepsim.data.entity_tags import as_iob2
from pyrepsim.data.tagged import read_tagged_columns
from pyrepsim.data.texts import read_texts
from pyrepsim.finetuning.tasks import get_task
from pyrepsim.finetuning.tasks.sequence import SequenceRegression
from pyrepsim.probing import corpora
from tests.fuzz.running import tolerate

SUFFIXES = (".conll", ".tsv", ".csv", ".ptb", ".txt", ".gold_conll")
_CONLL_2012 = (
    "#begin document (d); part 000\n"
    "d 0 0 Ann NNP (S(NP*) - - - ann (PERSON) (ARG0*) (1)\nd 0 1 runs VBZ (VP*)) run 01 - - * (V*) -\n\n#end document\n"
)
_PROPBANK = "d 0 0 Ann NNP (S(NP*) - - (ARG0*)\nd 0 1 runs VBZ (VP*)) run run.01 (V*)\n\n"
_SEMEVAL = '1\t"The <e1>audit</e1> was about <e2>waste</e2>."\nMessage-Topic(e1,e2)\nComment:\n\n'


def examples() -> list[bytes]:
    texts = [
        (0, "-DOCSTART- O\n\nNew\tB-place\nYork\tI-place\nis O\n\nAnn S-person\n"),
        (0, _CONLL_2012),
        (1, "sentence\tlabel\tsentence1\tsentence2\na b\t1\tc\td\n"),
        (1, "gj04\t1\t\tA sentence.\n"),
        (2, 'sentence,label\n"a, ""b""\nc",0.5\nd,1\n'),
        (3, "( (S (NP (NNP Ann) (-NONE- *T*)) (VP (VBZ runs)\n (. \\/))))\n"),
        (4, "One text.\n\n  Two  \n"),
        (4, _SEMEVAL),
        (5, _PROPBANK),
    ]
    return [bytes([kind]) + text.encode() for kind, text in texts]


def read(data: bytes, folder: Path) -> None:
    kind = SUFFIXES[data[0] % len(SUFFIXES)] if data else ".txt"
    path = folder / f"a{kind}"
    path.write_bytes(data[1:])
    sentences = tolerate(lambda: read_tagged_columns(path, word=0, tag=-1))
    if sentences is not None:
        tolerate(as_iob2, sentences)
    tolerate(read_texts, path)
    for task in (get_task("cola"), get_task("mnli"), SequenceRegression()):
        tolerate(task.read, path)
    for task in ("pos", "constituents", "entities", "srl", "coref", "relations"):
        tolerate(lambda: list(corpora.read(path, task)))  # noqa: B023

"""Treebanks in CoNLL-U and CoNLL-U Plus."""

from __future__ import annotations

from pathlib import Path

from pyrepsim.data.conllu import read_conllu, with_tree
from pyrepsim.data.texts import read_texts
from pyrepsim.probing import corpora
from tests.fuzz.running import tolerate
from tests.helpers.treebank import TREEBANK

PLUS = "# global.columns = ID FORM HEAD DEPREL UPOS\n\n1\ta b\t2\tdet\tX\n2\tc\t0\troot\tX\n\n"
GUM = (
    "# global.Entity = GRP-etype\n# newdoc id = d\n"
    "1\tAnn\t_\tNOUN\tNN\t_\t2\tnsubj\t2:nsubj\tEntity=(1-person(2-x)\n2\truns\t_\tVERB\tVB\t_\t0\troot\t_\tEntity=1)\n"
    "2.1\truns\t_\tVERB\tVB\t_\t_\t_\t0:root\t_\n\n"
)


def examples() -> list[bytes]:
    return [text.encode() for text in (TREEBANK, "\ufeff" + TREEBANK.replace("\n", "\r\n"), PLUS, GUM, TREEBANK + GUM)]


def read(data: bytes, folder: Path) -> None:
    path = folder / "a.conllu"
    path.write_bytes(data)
    for sentence in tolerate(read_conllu, path) or ():
        assert len(sentence.words) == len(sentence.heads) == len(sentence.numbers)
        with_tree(sentence, sentence.heads, sentence.relations)
    for document in tolerate(read_texts, path) or ():
        assert all(document.text[start:end] for start, end in document.words or ())
    for task in ("pos", "dependencies", "entities", "coref"):
        tolerate(lambda: list(corpora.read(path, task)))  # noqa: B023

"""A treebank of three sentences with a range, an empty node and subtypes."""

from __future__ import annotations

from pathlib import Path

__all__ = ["TREEBANK", "conllu", "write_treebank"]


def conllu(*rows: str, comments: tuple[str, ...] = ()) -> str:
    """A sentence: each row "id form upos head relation", the other columns empty."""
    lines = [f"# {comment}" for comment in comments]
    for row in rows:
        number, form, upos, head, relation = row.split()
        xpos = "." if form == "." else "_"
        lines.append("\t".join([number, form, form.lower(), upos, xpos, "_", head, relation, "_", "_"]))
    return "\n".join(lines) + "\n\n"


TREEBANK = (
    conllu(
        "1 The DET 2 det",
        "2 river NOUN 3 nsubj",
        "3 flows VERB 0 root",
        "4 . PUNCT 3 punct",
        comments=("sent_id = s1", "text = The river flows."),
    )
    + conllu(
        "1 Keys NOUN 4 nsubj:pass",
        "2-3 don't _ _ _",
        "2 do AUX 4 aux",
        "3 n't PART 4 advmod",
        "4 run VERB 0 root",
        "4.1 here ADV _ _",
        comments=("sent_id = s2", "text = Keys don't run"),
    )
    + conllu("1 unplayable ADJ 0 root")
)


def write_treebank(folder: Path, text: str = TREEBANK, name: str = "dev.conllu") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path

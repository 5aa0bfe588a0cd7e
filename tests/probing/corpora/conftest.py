"""Small corpora written by hand, one in each format; their annotation is known."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

File = Callable[[str, str], Path]


@pytest.fixture
def file(tmp_path: Path) -> File:
    """Writes a file of the corpus and returns its path."""

    def written(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return written


def conllu(*rows: str, comments: str = "") -> str:
    """A CoNLL-U sentence of rows "id form upos xpos head deprel misc"."""
    lines = []
    for row in rows:
        number, form, upos, xpos, head, deprel, misc = row.split(" ")
        lines.append("\t".join([number, form, "_", upos, xpos, "_", head, deprel, "_", misc]))
    return f"{comments}{chr(10).join(lines)}\n\n"


def columns(*rows: str, tab: str = "\t") -> str:
    return "\n".join(tab.join(row.split()) for row in rows) + "\n\n"

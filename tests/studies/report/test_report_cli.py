"""The command `report`: from a study's files to a page, and its messages without files."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("jinja2")
pytest.importorskip("matplotlib")

from pyrepsim.cli import main
from tests.studies.study_rows import study_rows, write_study


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    kept = [row for row in study_rows(("mnli",), layers=2, seeds=1) if row["experiment"] in ("freezing", "finetuning")]
    return write_study(tmp_path / "study", kept)


def test_a_report_is_written_and_its_path_is_printed(folder: Path, capsys):
    assert main(["report", str(folder), "--formats", "csv,tex", "--title", "What changed"]) == 0
    printed = capsys.readouterr()
    page = folder / "report" / "index.html"
    assert printed.out.splitlines()[0] == str(page)
    assert "not in these results: similarity_by_layer" in printed.out
    assert "<h1>What changed</h1>" in page.read_text(encoding="utf-8")
    assert sorted(path.suffix for path in (folder / "report" / "tables").glob("freezing.*")) == [".csv", ".tex"]
    assert f"study_report({str(folder)!r}, formats=('csv', 'tex'), title='What changed')" in printed.err


def test_missing_files_and_unknown_formats_are_errors_with_a_remedy(folder: Path, tmp_path: Path, capsys):
    assert main(["report", str(tmp_path / "nowhere")]) == 2
    assert "rows.jsonl" in capsys.readouterr().err
    assert main(["report", str(folder), "--formats", "svg,docx"]) == 2
    assert "got docx" in capsys.readouterr().err

"""The verb that turns a study's result files into figures, tables and a page."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .transcript import Transcript

__all__ = ["Report"]

_FORMATS = "svg,png,csv,tex"


@dataclass(frozen=True)
class Report:
    """Draw a study's report anew from its result files: one page, every figure, every table. Computes nothing."""

    out: str
    """The study's folder, as given to `pyrepsim study ... --out`."""
    formats: list[str] | str = _FORMATS
    """With commas between, of svg, png, csv, tex (LaTeX with booktabs) and parquet."""
    title: str | None = None
    """The page's heading; by default it names the model."""

    def run(self, say: Transcript) -> int:
        listed = self.formats.split(",") if isinstance(self.formats, str) else self.formats
        formats = tuple(name.strip() for name in listed if name.strip())
        made = say("report", "studies.study_report", self.out, formats=formats, title=self.title)
        print(made.page)
        print(f"{len(made.files)} files of figures and tables beside it")
        if made.missing:
            print(f"not in these results: {', '.join(made.missing)}")
        return 0

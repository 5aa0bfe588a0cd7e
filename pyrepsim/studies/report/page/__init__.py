"""The page of the report: one HTML file that includes its figures, without scripts or network access."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....results.figures import THEME, themed_svg
from ....results.page import render_html
from .. import methods
from ..drawing import draw_panel, is_cut
from ..plots import Plot, Style
from ..rows import StudyFiles
from ..sections import SECTIONS
from ..tables import Table, numbers
from ..text import bands_in_words, effect_in_words, task_name

__all__ = ["page"]

_VERDICTS = {"holds": "✓", "does not hold": "✗", "undecided": "?", "not tested": "–"}


def page(files: StudyFiles, plots: Mapping[str, Plot], tables: Mapping[str, Table], *, title: str | None = None) -> str:
    """Return the page as HTML text, with `plots` and `tables` in the order of `SECTIONS`.

    Raises MissingExtraError without jinja2.
    """
    figures = {name: _figure(plot) for name, plot in plots.items()}
    shown = {*figures, *tables}
    sections = [section for section in SECTIONS if shown & {*section.figures, *section.folded, *section.tables}]
    return render_html(
        "pyrepsim.studies.report.page",
        "report.html",
        title=title or methods.default_title(files),
        summary=methods.summary(files),
        claims=[_claim(claim, figures) for claim in files.claims],
        verdict_counts=_verdict_counts(files),
        sections=sections,
        figures=figures,
        tables=tables,
        theme=THEME,
        sentences=methods.methods(files.rows),
        references=methods.references(files.rows),
        facts=methods.facts(files),
        experiments=methods.experiment_summaries(files),
        without_result=methods.cells_without_result(files),
        facts_of_trainings=methods.facts_of_trainings(files),
        not_run=methods.sections_without_rows(shown),
        unknown=methods.unknown_experiments(files),
        n_rows=len(files.rows),
        digest=files.digest,
    )


def _figure(plot: Plot) -> dict[str, Any]:
    names = [f"{plot.title}{f': {panel.title}' if panel.title else ''}" for panel in plot.panels]
    svgs = []
    for place, name in enumerate(names):
        alt = f"{name}. {plot.alt}" if len(names) == 1 else name
        svgs.append(themed_svg(draw_panel(plot, place), salt=f"{plot.name}-{place}", alt=alt))
    mapped = any(panel.heat_map for panel in plot.panels)
    caption = plot.caption if mapped else f"{plot.caption} {bands_in_words(plot.points())}"
    if not mapped and is_cut(plot):
        caption += " Some bands extend beyond their panel; the table of numbers has their ends."
    return {
        "name": plot.name,
        "title": plot.title,
        "panels": svgs,
        "shape": "rows" if plot.panels[0].categories else {1: "one", 2: "two", 4: "two"}.get(len(svgs), "many"),
        "legend": [_legend_entry(style) for style in plot.legend()],
        "caption": caption,
        "alt": plot.alt,
        "numbers": numbers(plot) if plot.listed and not mapped else None,
    }


def _legend_entry(style: Style) -> dict[str, Any]:
    """Return a sample of the line for the legend: its stroke, and its marker as the path of a shape."""
    colour = next(name for name, (light, _) in THEME.items() if light.lower() == style.colour.lower())
    dashes = {"-": "", "--": "7 3", "-.": "7 3 1.5 3", ":": "1.5 2.5"}
    dash = dashes[style.dash] if isinstance(style.dash, str) else " ".join(f"{2 * part:g}" for part in style.dash[1])
    shapes = {
        "o": "M14 3a4 4 0 1 0 .01 0z", "s": "M10.5 3.5h7v7h-7z", "^": "M14 2.5l4.5 8h-9z", "D": "M14 2l5 5-5 5-5-5z",
        "v": "M14 11.5l4.5-8h-9z", "P": "M12 3h4v2h2v4h-2v2h-4v-2h-2v-4h2z", "X": "M10 3h8v8h-8z",
    }  # fmt: skip
    return {
        "label": style.label, "colour": colour, "dash": dash, "width": style.width, "opacity": style.opacity,
        "shape": shapes.get(style.marker, ""), "hollow": style.hollow,
    }  # fmt: skip


def _claim(claim: Mapping[str, Any], figures: Mapping[str, Any]) -> dict[str, Any]:
    figure = claim.get("figure") if claim.get("figure") in figures else None
    return _verdict(claim, claim) | {
        "name": str(claim.get("claim") or ""),
        "statement": str(claim.get("statement") or ""),
        "rule": str(claim.get("rule") or ""),
        "figure": figure,
        "figure_title": figures[figure]["title"] if figure else "",
        "tasks": [_task_verdict(part, claim) for part in claim.get("tasks") or []],
    }


def _task_verdict(part: Mapping[str, Any], claim: Mapping[str, Any]) -> dict[str, Any]:
    counted = part.get("counted") is not False
    return _verdict(part, claim) | {"task": task_name(str(part.get("task") or "")), "counted": counted}


def _verdict(item: Mapping[str, Any], claim: Mapping[str, Any]) -> dict[str, Any]:
    verdict = str(item.get("verdict") or "not tested")
    effect, interval, unit = effect_in_words(item, claim)
    return {
        "verdict": verdict,
        "kind": verdict.replace(" ", "-") if verdict in _VERDICTS else "not-tested",
        "sign": _VERDICTS.get(verdict, "–"),
        "effect": {"value": effect, "interval": interval, "unit": unit},
        "why": str(item.get("why") or ""),
    }


def _verdict_counts(files: StudyFiles) -> list[tuple[str, str, int]]:
    """Return sign, name and number of claims for each verdict that occurs."""
    verdicts = [str(claim.get("verdict") or "not tested") for claim in files.claims]
    return [(sign, name, verdicts.count(name)) for name, sign in _VERDICTS.items() if name in verdicts]

"""The page: one file of HTML, with its figures inside. No script, no network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ....results.figures import THEME, themed_svg
from ....results.page import render_html
from .. import provenance
from ..catalogue import SECTIONS
from ..drawing import draw_panel, is_cut
from ..methods import methods, references
from ..plots import Look, Plot
from ..reading import Evidence
from ..tables import Table, numbers
from ..words import bands_in_words, digits_for, interval, number, task_name

if TYPE_CHECKING:
    from markupsafe import Markup

__all__ = ["page"]

_VERDICTS = {"holds": "✓", "does not hold": "✗", "undecided": "?", "not tested": "–"}


def page(
    evidence: Evidence, plots: Mapping[str, Plot], tables: Mapping[str, Table], *, title: str | None = None
) -> str:
    """Return the page as text, with what is in `plots` and `tables` under the headings of `SECTIONS`.

    Raises MissingExtraError without jinja2.
    """
    figures = {name: _figure(plot) for name, plot in plots.items()}
    shown = {*figures, *tables}
    sections = [section for section in SECTIONS if shown & {*section.figures, *section.folded, *section.tables}]
    return render_html(
        "pyrepsim.studies.report.page",
        "report.html",
        title=title or provenance.default_title(evidence),
        summary=provenance.summary(evidence),
        claims=[_claim(claim, figures) for claim in evidence.claims],
        tally=_tally(evidence),
        sections=sections,
        figures=figures,
        tables=tables,
        theme=THEME,
        sentences=methods(evidence.rows),
        references=references(evidence.rows),
        facts=provenance.facts(evidence),
        efforts=provenance.efforts(evidence),
        troubles=provenance.troubles(evidence),
        not_run=provenance.not_run(shown),
        unknown=provenance.unknown_experiments(evidence),
        n_rows=len(evidence.rows),
        digest=evidence.digest,
    )


def _figure(plot: Plot) -> dict[str, Any]:
    from markupsafe import Markup

    names = [f"{plot.title}{f': {panel.title}' if panel.title else ''}" for panel in plot.panels]
    svgs: list[Markup] = []
    for place, name in enumerate(names):
        alt = f"{name}. {plot.alt}" if len(names) == 1 else name
        svgs.append(Markup(themed_svg(draw_panel(plot, place), salt=f"{plot.name}-{place}", alt=alt)))
    looks = plot.looks()
    mapped = any(panel.grid for panel in plot.panels)
    caption = plot.caption if mapped else f"{plot.caption} {bands_in_words(plot.points())}"
    if not mapped and is_cut(plot):
        caption += " Where a band reaches beyond its panel, the numbers have its ends."
    return {
        "name": plot.name,
        "title": plot.title,
        "panels": svgs,
        "shape": "rows" if plot.panels[0].categories else {1: "one", 2: "two", 4: "two"}.get(len(svgs), "many"),
        "keys": [_key(look) for look in looks],
        "caption": caption,
        "alt": plot.alt,
        "numbers": numbers(plot) if plot.listed and not mapped else None,
    }


def _key(look: Look) -> dict[str, Any]:
    """A legend's sample: a stroke as the line is drawn, and its marker as a shape that CSS need not know."""
    colour = next(name for name, (light, _) in THEME.items() if light.lower() == look.colour.lower())
    dashes = {"-": "", "--": "7 3", "-.": "7 3 1.5 3", ":": "1.5 2.5"}
    dash = dashes[look.dash] if isinstance(look.dash, str) else " ".join(f"{2 * part:g}" for part in look.dash[1])
    shapes = {
        "o": "M14 3a4 4 0 1 0 .01 0z", "s": "M10.5 3.5h7v7h-7z", "^": "M14 2.5l4.5 8h-9z", "D": "M14 2l5 5-5 5-5-5z",
        "v": "M14 11.5l4.5-8h-9z", "P": "M12 3h4v2h2v4h-2v2h-4v-2h-2v-4h2z", "X": "M10 3h8v8h-8z",
    }  # fmt: skip
    return {
        "label": look.label, "colour": colour, "dash": dash, "width": look.width, "opacity": look.opacity,
        "shape": shapes.get(look.marker, ""), "hollow": look.hollow,
    }  # fmt: skip


def _claim(claim: Mapping[str, Any], figures: Mapping[str, Any]) -> dict[str, Any]:
    verdict = str(claim.get("verdict") or "not tested")
    return {
        "name": str(claim.get("claim") or ""),
        "statement": str(claim.get("statement") or ""),
        "verdict": verdict,
        "kind": verdict.replace(" ", "-") if verdict in _VERDICTS else "not-tested",
        "sign": _VERDICTS.get(verdict, "–"),
        "effect": _effect(claim),
        "why": str(claim.get("why") or ""),
        "rule": str(claim.get("rule") or ""),
        "figure": claim.get("figure") if claim.get("figure") in figures else None,
        "figure_title": figures[claim["figure"]]["title"] if claim.get("figure") in figures else "",
        "tasks": [_part(part, claim.get("unit")) for part in claim.get("tasks") or []],
    }


def _part(part: Mapping[str, Any], unit: str | None) -> dict[str, Any]:
    verdict = str(part.get("verdict") or "not tested")
    return {
        "task": task_name(str(part.get("task") or "")),
        "verdict": verdict,
        "sign": _VERDICTS.get(verdict, "–"),
        "kind": verdict.replace(" ", "-") if verdict in _VERDICTS else "not-tested",
        "effect": _effect({"unit": unit, **part}),
        "why": str(part.get("why") or ""),
        "counted": part.get("counted") is not False,
    }


def _effect(item: Mapping[str, Any]) -> dict[str, str]:
    value = item.get("effect")
    if not isinstance(value, int | float):
        return {"value": "", "ends": "", "unit": ""}
    digits = 2 if "point" in str(item.get("unit")) else min(3, digits_for([value]))
    ends = interval(item.get("low"), item.get("high"), digits, signed=True)
    return {"value": number(value, digits, signed=True), "ends": ends, "unit": str(item.get("unit") or "")}


def _tally(evidence: Evidence) -> list[tuple[str, str, int]]:
    """How many claims have each verdict: its sign, its name, their number."""
    verdicts = [str(claim.get("verdict") or "not tested") for claim in evidence.claims]
    return [(sign, name, verdicts.count(name)) for name, sign in _VERDICTS.items() if name in verdicts]

"""What was run on what, said in words and in small tables."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...core.memory import format_bytes
from .catalogue import SECTIONS
from .reading import Evidence
from .selecting import distinct, pick, tasks_of
from .words import count, in_prose, joined

__all__ = ["Effort", "default_title", "efforts", "facts", "not_run", "summary", "troubles", "unknown_experiments"]

_KNOWN = {"finetuning", "similarity", "domains", "edge", "structural", "freezing", "truncation", "exit", "weights",
          "profiles", "attention", "trajectories"}  # fmt: skip


@dataclass(frozen=True)
class Effort:
    """One experiment's cells: how many stand how, and what the finished ones cost."""

    experiment: str
    states: str
    seconds: str
    size: str


def default_title(evidence: Evidence) -> str:
    """What fine-tuning did to the model; or the study's own name."""
    models = _models(evidence)
    return f"What fine-tuning does to {joined(models)}" if models else str(evidence.study.get("study", "A study"))


def summary(evidence: Evidence) -> str:
    """One paragraph: which model, tasks, seeds, texts, experiments."""
    rows = evidence.rows
    tasks = joined(in_prose(task) for task in tasks_of(rows))
    seeds = len(distinct(pick(rows, experiment="finetuning"), "seed"))
    layers = distinct(rows, "layer")
    shape = f", an encoder of {count(int(max(layers)), 'block')}," if layers else ""
    models = joined(_models(evidence)) or "An encoder"
    each = f" ({count(seeds, 'seed')} each)" if seeds else ""
    said = f"{models}{shape} was fine-tuned on {tasks}{each}." if tasks else f"{models}{shape} as it is."
    texts = distinct(pick(rows, experiment=("similarity", "domains", "profiles")), "corpus")
    if texts:
        said += f" Its layers were compared on {joined(texts)}."
    if probes := distinct(pick(rows, experiment="edge"), "probe_task"):
        said += f" Edge probes read {count(len(probes), 'kind')} of annotation off them."
    name, scale = evidence.study.get("study"), evidence.study.get("scale")
    if name:
        said += f" This is the study {name}{f' at the scale {scale}' if scale else ''}."
    return said


def facts(evidence: Evidence) -> list[tuple[str, list[tuple[str, str]]]]:
    """Named lists of key and value: arguments, versions, digests."""
    study = evidence.study
    groups = []
    for name, key in (("Arguments", "arguments"), ("Versions", "versions"), ("Digests", "digests")):
        items = list(_flat(study.get(key)))
        if name == "Digests":
            items.append(("rows.jsonl (SHA-256)", evidence.digest))
        if items:
            groups.append((name, items))
    return groups


def efforts(evidence: Evidence) -> list[Effort]:
    """One line an experiment, in the order of the cells."""
    by_experiment: dict[str, list[Mapping[str, Any]]] = {}
    for cell in _cells(evidence):
        by_experiment.setdefault(str(cell.get("experiment", "")), []).append(cell)
    found = []
    for experiment, cells in by_experiment.items():
        states = [str(cell.get("state", "unknown")) for cell in cells]
        said = joined((f"{states.count(state):,} {state}" for state in dict.fromkeys(states)), ",")
        seconds = [cell["seconds"] for cell in cells if _is_number(cell.get("seconds"))]
        sizes = [cell["bytes"] for cell in cells if _is_number(cell.get("bytes"))]
        size = format_bytes(int(sum(sizes))) if sizes else ""
        found.append(Effort(experiment, said, _duration(sum(seconds)) if seconds else "", size))
    return found


def troubles(evidence: Evidence) -> list[tuple[str, str, str]]:
    """The cells that failed or wait for one that did: name, state, what it said."""
    return [
        (f"{cell.get('experiment', '')}/{cell.get('name', '')}", str(cell["state"]), _short(cell.get("error")))
        for cell in _cells(evidence)
        if cell.get("state") in ("failed", "blocked")
    ]


def unknown_experiments(evidence: Evidence) -> list[tuple[str, int]]:
    """Experiments that no figure knows, with their number of rows."""
    names = [row["experiment"] for row in evidence.rows if row["experiment"] not in _KNOWN]
    return [(name, names.count(name)) for name in dict.fromkeys(names)]


def not_run(shown: set[str]) -> list[str]:
    """Titles of the sections without a figure or a table."""
    return [section.title for section in SECTIONS if not shown & {*section.figures, *section.folded, *section.tables}]


def _models(evidence: Evidence) -> list[str]:
    told = evidence.study.get("model")
    return distinct(evidence.rows, "model") or ([str(told)] if told else [])


def _cells(evidence: Evidence) -> list[Mapping[str, Any]]:
    cells = evidence.study.get("cells")
    return [cell for cell in cells if isinstance(cell, Mapping)] if isinstance(cells, list) else []


def _flat(found: Any, prefix: str = "") -> list[tuple[str, str]]:
    if not isinstance(found, Mapping):
        return [] if found is None or not prefix else [(prefix.rstrip("."), _plain(found))]
    return [pair for key, item in found.items() for pair in _flat(item, f"{prefix}{key}.")]


def _plain(found: Any) -> str:
    return joined((str(item) for item in found), ",") if isinstance(found, list) else str(found)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _short(error: Any, most: int = 400) -> str:
    text = "" if error is None else str(error)
    return text if len(text) <= most else f"{text[:most]}…"


def _duration(seconds: float) -> str:
    hours, rest = divmod(round(seconds), 3600)
    minutes, left = divmod(rest, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {left:02d} s" if minutes else f"{seconds:.1f} s"

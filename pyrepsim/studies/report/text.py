"""Names, numbers and intervals as a page writes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .rows import WIDEST, Point

__all__ = [
    "CONTROLLED", "PROBES", "bands_in_words", "capital", "count", "digits_for", "effect_in_words", "in_prose",
    "interval", "is_percent", "joined", "measure_name", "mix_in_words", "number", "score_name", "spread", "task_name",
]  # fmt: skip

_TASKS = {"mnli": "MNLI", "squad": "SQuAD", "dependency": "Parsing", "sst2": "SST-2", "qqp": "QQP", "qnli": "QNLI",
          "cola": "CoLA", "mrpc": "MRPC", "rte": "RTE", "stsb": "STS-B", "pos": "Tagging", "ner": "NER"}  # fmt: skip
PROBES = {"pos": "Part of speech", "dependencies": "Dependencies", "constituents": "Constituents",
          "entities": "Entities", "ner": "Entities", "srl": "Semantic roles", "coref": "Coreference",
          "spr": "Proto-roles", "spr1": "Proto-roles (SPR1)", "spr2": "Proto-roles (SPR2)", "dpr": "Winograd (DPR)",
          "semeval": "Relations (SemEval)", "relations": "Relations"}  # fmt: skip
_SCORES = {
    "accuracy": "accuracy",
    "f1": "F1",
    "uas": "UAS",
    "las": "LAS",
    "uuas": "UUAS",
    "dspr": "DSpr.",
    "nspr": "NSpr.",
    "root": "root accuracy",
    "mcc": "MCC",
    "macro_f1": "macro F1",
    "weight_distance": "weight distance",
    "anisotropy": "anisotropy",
    "mean_norm": "mean norm",
    "norm": "mean norm",
    "effective_rank": "effective rank",
    "rogue_contribution": "share of the rogue dimensions",
    "rogue_share": "share of the rogue dimensions",
    "attention_js": "Jensen–Shannon divergence",
}
_MEASURES = {
    "DocumentRSA": "RSA between documents",
    "DocumentCKA": "CKA between documents",
    "LinearCKA(debiased=True)": "Debiased linear CKA",
    "LinearCKA": "Linear CKA",
    "attention_js": "Divergence of attention",
}
CONTROLLED = " minus other tasks"
"""Ending of the name of a difference of which that of the other tasks' models was subtracted."""
_BANDS = {
    "bootstrap of documents": "bootstrap intervals over documents",
    "bootstrap of sentences": "bootstrap intervals over sentences",
    "jackknife of documents": "delete-block jackknife intervals over documents",
    "jackknife of differences": "jackknife intervals of differences between independent texts",
    "jackknife of paired differences": "jackknife intervals of differences on the same documents",
    "jackknife of paired items": "jackknife intervals of scores paired by items",
    "t of seeds": "t intervals over seeds",
    "normal approximation": "intervals by normal approximation",
}


def task_name(task: str | None) -> str:
    """Return the usual name of a task, such as MNLI for `mnli`; an unknown task keeps its name."""
    return _TASKS.get(task or "", task or "")


def in_prose(task: str | None) -> str:
    """Return the name of a task within a sentence."""
    return "parsing" if task == "dependency" else task_name(task)


def score_name(metric: str) -> str:
    """Return the usual name of a score, such as UUAS for `uuas`; underscores of an unknown name become spaces."""
    return _SCORES.get(metric, metric.replace("_", " "))


def measure_name(name: str) -> str:
    """Return the title of a measure: `LinearCKA(debiased=True) to base` becomes Debiased linear CKA to base."""
    for short, title in _MEASURES.items():
        if name.startswith(short):
            return title + name[len(short) :]
    return name


def is_percent(experiment: str, metric: str) -> bool:
    """Return whether pages show a score in percent. In rows and files every score is a fraction."""
    if experiment == "structural":
        return metric not in ("dspr", "nspr")  # correlations
    return experiment in ("finetuning", "freezing", "longer", "truncation", "exit", "edge")


def digits_for(values: Iterable[float]) -> int:
    """Return how many decimals suit the largest of these: none from 1000, one from 10, two from 1.5, and up to five."""
    size = max((abs(value) for value in values), default=0.0)
    return next((digits for digits, least in enumerate((1000, 10, 1.5, 0.1, 0.01)) if size >= least), 5)


def number(value: float | None, digits: int | None = None, *, signed: bool = False) -> str:
    """Write a number with this many decimals, by default as many as suit it. The minus sign is a Unicode minus."""
    if value is None:
        return ""
    digits = digits_for([value]) if digits is None else digits
    return f"{value:{'+' if signed else ''},.{digits}f}".replace("-", "−")


def interval(low: float | None, high: float | None, digits: int | None = None, *, signed: bool = False) -> str:
    """Write an interval as `[low, high]`; the empty string if an end is missing."""
    if low is None or high is None:
        return ""
    digits = digits_for([low, high]) if digits is None else digits
    return f"[{number(low, digits, signed=signed)}, {number(high, digits, signed=signed)}]"


def mix_in_words(member: str | None) -> str:
    """Describe the member `mix.12` as the mix of layers 0 to 12."""
    kind, _, last = (member or "").rpartition(".")
    return f"the mix of layers 0 to {last}" if kind == "mix" else member or ""


def effect_in_words(item: Mapping[str, Any], claim: Mapping[str, Any]) -> tuple[str, str, str]:
    """Write the effect of a claim or of one of its tasks, its interval and its unit; score differences in points."""
    unit = claim.get("unit") or ""
    effect, low, high = (item.get(key) for key in ("effect", "low", "high"))
    digits = None if effect is None else min(3, digits_for([effect]))
    if claim.get("in_points"):
        effect, low, high = (None if value is None else 100 * value for value in (effect, low, high))
        digits, unit = 2, f"{unit} (points)"
    return number(effect, digits, signed=True), interval(low, high, digits, signed=True), unit


def spread(value: float, low: float | None, high: float | None, digits: int | None = None) -> str:
    """Write an interval as `±half` if it is symmetric around the value, else as `[low, high]`."""
    if low is None or high is None:
        return ""
    if abs((high - value) - (value - low)) < 0.1 * (high - low):
        half = (high - low) / 2
        return f"±{number(half, digits_for([value, half]) if digits is None else digits)}"
    return interval(low, high, digits)


def count(number: int, noun: str) -> str:
    """Write a number with its noun: `1 seed`, `2 seeds`."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def joined(items: Iterable[str], last: str = "and") -> str:
    """Join items to `a, b and c`."""
    *most, end = list(items) or [""]
    return f"{', '.join(most)} {last} {end}" if most else end


def bands_in_words(points: Iterable[Point]) -> str:
    """Describe the intervals of these points in a sentence, with their sample sizes."""
    by_band: dict[tuple[str, float | None], list[float]] = {}
    for point in points:
        if point.band is not None and point.low is not None:
            by_band.setdefault((point.band, point.confidence), []).extend([] if point.n is None else [point.n])
    bands = [_band(band, confidence, counts) for (band, confidence), counts in by_band.items()]
    return f"Bands: {joined(bands)}." if bands else "No bands: the rows have no intervals."


def _band(band: str, confidence: float | None, counts: list[float]) -> str:
    fewest, most = (int(min(counts)), int(max(counts))) if counts else (0, 0)
    n = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
    if band == "range of seeds":
        return f"lowest to highest of {n} seeds"
    plain = band.removesuffix(WIDEST)
    words = _BANDS.get(plain, plain) + band[len(plain) :]
    text = words if confidence is None else f"{100 * confidence:g} % {words}"
    if not counts:
        return text
    return text.replace("over seeds", f"over {n} seeds") if band == "t of seeds" else f"{text} (n = {n})"


def capital(text: str) -> str:
    """Write the first letter as a capital."""
    return text[:1].upper() + text[1:]

"""What the rows' short names are called on a page."""

from __future__ import annotations

from collections.abc import Iterable

from .selecting import WIDEST, Point

__all__ = [
    "PROBES", "bands_in_words", "count", "digits_for", "in_prose", "interval", "joined", "measure", "mix_in_words",
    "number", "score_name", "spread", "task_name",
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
    "em": "exact match",
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
    "LinearCKA(debiased=True)": "Debiased linear CKA",
    "LinearCKA": "Linear CKA",
    "attention_js": "Divergence of attention",
}
_BANDS = {
    "bootstrap of documents": "bootstrap intervals over documents",
    "bootstrap of sentences": "bootstrap intervals over sentences",
    "jackknife of documents": "delete-block jackknife intervals over documents",
    "jackknife of differences": "jackknife intervals of the paired differences",
    "t of seeds": "t intervals over seeds",
    "normal approximation": "intervals by normal approximation",
}


def task_name(task: str | None) -> str:
    """`mnli` is MNLI; what has no common name stays as it is."""
    return _TASKS.get(task or "", task or "")


def in_prose(task: str | None) -> str:
    """Write the task's name as within a sentence."""
    return "parsing" if task == "dependency" else task_name(task)


def score_name(metric: str) -> str:
    """`uuas` is UUAS; `rogue_share` loses its underscore."""
    return _SCORES.get(metric, metric.replace("_", " "))


def measure(name: str) -> str:
    """Name a measure for a panel's title: `LinearCKA(debiased=True) to base` is Debiased linear CKA to base."""
    for short, words in _MEASURES.items():
        if name.startswith(short):
            return words + name[len(short) :]
    return name


def digits_for(values: Iterable[float]) -> int:
    """Digits after the point that suit the largest of these: one from 10 on, three near 1, more for less."""
    size = max((abs(value) for value in values), default=0.0)
    return next((digits for digits, least in enumerate((1000, 10, 1.5, 0.1, 0.01)) if size >= least), 5)


def number(value: float | None, digits: int | None = None, *, signed: bool = False) -> str:
    """Write a number with so many digits after the point, or as many as suit it."""
    if value is None:
        return ""
    digits = digits_for([value]) if digits is None else digits
    return f"{value:{'+' if signed else ''},.{digits}f}".replace("-", "−")


def interval(low: float | None, high: float | None, digits: int | None = None, *, signed: bool = False) -> str:
    """`[low, high]`, or nothing."""
    if low is None or high is None:
        return ""
    digits = digits_for([low, high]) if digits is None else digits
    return f"[{number(low, digits, signed=signed)}, {number(high, digits, signed=signed)}]"


def mix_in_words(member: str | None) -> str:
    """`mix.12` is the mix of layers 0 to 12."""
    kind, _, last = (member or "").rpartition(".")
    return f"the mix of layers 0 to {last}" if kind == "mix" else member or ""


def spread(value: float, low: float | None, high: float | None, digits: int | None = None) -> str:
    """`±half` where an interval is as wide above as below, else `[low, high]`; nothing without one."""
    if low is None or high is None:
        return ""
    if abs((high - value) - (value - low)) < 0.1 * (high - low):
        half = (high - low) / 2
        return f"±{number(half, digits_for([value, half]) if digits is None else digits)}"
    return interval(low, high, digits)


def count(many: int, word: str) -> str:
    """`1 seed`, `2 seeds`."""
    return f"{many:,} {word}{'' if many == 1 else 's'}"


def joined(items: Iterable[str], last: str = "and") -> str:
    """`a, b and c`."""
    *most, end = list(items) or [""]
    return f"{', '.join(most)} {last} {end}" if most else end


def bands_in_words(found: Iterable[Point]) -> str:
    """Say what the bands of these points are, and what was counted; empty if there is none."""
    by_band: dict[tuple[str, float | None], list[float]] = {}
    for point in found:
        if point.band is not None and point.low is not None:
            by_band.setdefault((point.band, point.confidence), []).extend([] if point.n is None else [point.n])
    said = [_band(band, level, counts) for (band, level), counts in by_band.items()]
    return f"Bands: {joined(said)}." if said else "No bands: the rows have no intervals."


def _band(band: str, level: float | None, counts: list[float]) -> str:
    fewest, most = (int(min(counts)), int(max(counts))) if counts else (0, 0)
    many = f"{fewest:,}" if fewest == most else f"{fewest:,} to {most:,}"
    if band == "range of seeds":
        return f"lowest to highest of {many} seeds"
    plain = band.removesuffix(WIDEST)
    words = _BANDS.get(plain, plain) + band[len(plain) :]
    said = words if level is None else f"{100 * level:g} % {words}"
    if not counts:
        return said
    return said.replace("over seeds", f"over {many} seeds") if band == "t of seeds" else f"{said} (n = {many})"

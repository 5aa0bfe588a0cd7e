"""Before against after: did training change what can be probed, by a paired bootstrap over sentences."""

from __future__ import annotations

import csv
import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..core.errors import OptionError, RowMismatchError
from ..core.outputs import replacing
from .edge.members import LEXICAL
from .edge.result import EdgeResult

__all__ = ["Verdict", "Verdicts", "verdicts"]

_AT_ONCE = 128  # resamples that are weighed in one product


@dataclass(frozen=True)
class Verdict:
    """One probe before and after; F1 in [0, 1], mean over seeds."""

    member: str
    before: float
    after: float
    difference: float
    low: float
    high: float
    verdict: str
    """"gained" or "lost" if the interval of the difference leaves out 0, else "unchanged"."""
    of_context: float
    """Difference as a part of what stood above the lexical floor before; NaN without a floor, or nothing above it."""


@dataclass(frozen=True)
class Verdicts:
    """Verdicts on the probes that two results share."""

    task: str
    split: str
    confidence: float
    floor: float
    """F1 of the lexical probe; NaN if there is none."""
    rows: tuple[Verdict, ...]

    def __iter__(self) -> Iterator[Verdict]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def table(self) -> str:
        """As text, in percent."""
        width = max(len(row.member) for row in self.rows)
        floor = "no lexical floor" if math.isnan(self.floor) else f"lexical floor {100 * self.floor:.2f}"
        lines = [f"{self.task} on {self.split}: F1 in percent, {100 * self.confidence:g} % intervals, {floor}"]
        for row in self.rows:
            part = "" if math.isnan(row.of_context) else f"  {100 * row.of_context:+.1f} % of what context adds"
            before, after, difference, low, high = (
                100 * value for value in (row.before, row.after, row.difference, row.low, row.high)
            )
            change = f"{before:6.2f} -> {after:6.2f}  {difference:+6.2f} [{low:+.2f}, {high:+.2f}]"
            lines.append(f"{row.member:<{width}}  {change}  {row.verdict:<9}{part}".rstrip())
        return "\n".join(lines)

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write one row a probe."""
        with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, ["task", "split", *asdict(self.rows[0])])
            writer.writeheader()
            writer.writerows({"task": self.task, "split": self.split, **asdict(row)} for row in self.rows)
        return Path(path)


def verdicts(
    before: EdgeResult,
    after: EdgeResult,
    *,
    split: str | None = None,
    floor: float | None = None,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Verdicts:
    """Compare the probes that both results have, each with its namesake.

    Sentences are drawn with replacement, the same ones for both sides; the interval has the percentiles of
    mean_s F1_after(s) - mean_s F1_before(s), s over the seeds of each side. It holds the variation of sentences, not
    that of seeds: train several.

    floor : F1 of the lexical baseline. Default: that of the member "lex" of `before`, if there is one.

    Raises RowMismatchError if the results are not of the same records, OptionError for options out of range or if no
    member is in both.
    """
    split = before.split if split is None else split
    if not isinstance(n_resamples, int) or n_resamples < 1 or not 0 < confidence < 1:
        raise OptionError(
            f"A bootstrap needs n_resamples >= 1 and 0 < confidence < 1: got {n_resamples!r} and {confidence!r}."
        )
    _check_paired(before, after, split)
    names = list(dict.fromkeys(member.name for member in before.members))
    shared = [name for name in names if name in {member.name for member in after.members}]
    if not shared:
        raise OptionError("Before and after are compared probe by probe: these results share no member.")
    if floor is None:
        floor = before.f1(LEXICAL, split=split) if LEXICAL in names else math.nan
    drawn_before, drawn_after = (
        _resampled(result, split, shared, n_resamples, np.random.default_rng(seed)) for result in (before, after)
    )
    rows = []
    for place, name in enumerate(shared):
        ends = np.quantile(drawn_after[:, place] - drawn_before[:, place], [(1 - confidence) / 2, (1 + confidence) / 2])
        f1 = before.f1(name, split=split), after.f1(name, split=split)
        verdict = "gained" if ends[0] > 0 else "lost" if ends[1] < 0 else "unchanged"
        above = f1[0] - floor
        part = (f1[1] - f1[0]) / above if above > 0 else math.nan
        rows.append(Verdict(name, *f1, f1[1] - f1[0], float(ends[0]), float(ends[1]), verdict, part))
    return Verdicts(before.task, split, confidence, float(floor), tuple(rows))


def _check_paired(before: EdgeResult, after: EdgeResult, split: str) -> None:
    for name, result in (("before", before), ("after", after)):
        if split not in result.sentences:
            raise OptionError(f"split must be one of {', '.join(result.sentences)}: {name} has no {split!r}.")
    digests = [result.about.get("records", {}).get(split) for result in (before, after)]
    same = np.array_equal(before.records[split], after.records[split]) and np.array_equal(
        before.sentences[split][0, :, 2], after.sentences[split][0, :, 2]
    )
    if before.task != after.task or digests[0] != digests[1] or not same:
        raise RowMismatchError(
            f"Before and after are paired by sentence, so both must have scored the same targets: those of {split!r} "
            f"({before.task} and {after.task}) differ. Probe both on the same records."
        )


def _resampled(
    result: EdgeResult, split: str, names: list[str], n_resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """(n_resamples, names) mean F1 over seeds of each resample of the sentences."""
    counts = result.sentences[split].astype(np.float64)
    n_members, n_sentences, _ = counts.shape
    flat = counts.transpose(1, 0, 2).reshape(n_sentences, -1)
    groups = [[m for m, member in enumerate(result.members) if member.name == name] for name in names]
    found = np.empty((n_resamples, len(names)))
    for start in range(0, n_resamples, _AT_ONCE):
        n = min(_AT_ONCE, n_resamples - start)
        weights = rng.multinomial(n_sentences, np.full(n_sentences, 1 / n_sentences), size=n).astype(np.float64)
        right, said, gold = np.moveaxis((weights @ flat).reshape(n, n_members, 3), 2, 0)
        f1 = 2 * right / np.maximum(said + gold, 1)
        for place, group in enumerate(groups):
            found[start : start + n, place] = f1[:, group].mean(1)
    return found

"""Compare the probes of two models, such as base and fine-tuned, by a paired bootstrap over sentences."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..core.errors import OptionError, RowMismatchError
from ..core.text import printable
from ..results.tables import write_csv
from .edge.recipe import LEXICAL
from .edge.result import EdgeResult

__all__ = ["ProbeComparison", "ProbeDifference", "compare_probes"]

_BATCH = 128  # resamples that are computed in one product


@dataclass(frozen=True)
class ProbeDifference:
    """The difference between one probe on the base model and on the tuned one.

    Attributes
    ----------
    member : name of the probe.
    base, tuned : F1 in [0, 1], mean over seeds.
    difference, low, high : tuned minus base, and the ends of its interval.
    change : "gained" or "lost" if the interval does not include 0, otherwise "unchanged".
    share_of_context : the difference divided by what the base F1 is above the lexical baseline; NaN without a
        baseline, or if the base F1 is not above it.
    """

    member: str
    base: float
    tuned: float
    difference: float
    low: float
    high: float
    change: str
    share_of_context: float


@dataclass(frozen=True)
class ProbeComparison:
    """The differences of all probes that two results share. Made by `compare_probes`.

    Attributes
    ----------
    task, split : what was scored.
    confidence : confidence of the intervals.
    lexical_baseline : F1 of the lexical baseline in [0, 1]; NaN if there is none.
    records : tuple of ProbeDifference
    """

    task: str
    split: str
    confidence: float
    lexical_baseline: float
    records: tuple[ProbeDifference, ...]

    def __iter__(self) -> Iterator[ProbeDifference]:
        return iter(self.records)

    def __len__(self) -> int:
        return len(self.records)

    def table(self) -> str:
        """Return the differences as text, in percent."""
        width = max(len(record.member) for record in self.records)
        has_baseline = not math.isnan(self.lexical_baseline)
        baseline = f"lexical baseline {100 * self.lexical_baseline:.2f}" if has_baseline else "no lexical baseline"
        lines = [f"{self.task} on {self.split}: F1 in percent, {100 * self.confidence:g} % intervals, {baseline}"]
        for record in self.records:
            base, tuned, difference, low, high = (
                100 * value for value in (record.base, record.tuned, record.difference, record.low, record.high)
            )
            line = (
                f"{record.member:<{width}}  {base:6.2f} -> {tuned:6.2f}  {difference:+6.2f} [{low:+.2f}, {high:+.2f}]"
            )
            line += f"  {record.change:<9}"
            if not math.isnan(record.share_of_context):
                line += f"  {100 * record.share_of_context:+.1f} % of the gain over the lexical baseline"
            lines.append(line.rstrip())
        return "\n".join(map(printable, lines))

    def to_csv(self, path: str | os.PathLike[str]) -> Path:
        """Write one line per probe, F1 in [0, 1]."""
        columns = ["task", "split", *asdict(self.records[0])]
        return write_csv(path, columns, ({"task": self.task, "split": self.split, **asdict(r)} for r in self.records))


def compare_probes(
    base: EdgeResult,
    tuned: EdgeResult,
    *,
    split: str | None = None,
    lexical_baseline: float | None = None,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> ProbeComparison:
    """Test for each probe that two results share whether training changed its F1.

    Sentences are drawn with replacement, the same ones for both results. The interval has the percentiles of
    mean_s F1_tuned(s) - mean_s F1_base(s), where s are the seeds of each result. It covers the variation between
    sentences but not between seeds, so train several seeds.

    Parameters
    ----------
    base, tuned : EdgeResult
        Two results on the same records.
    split : str, optional
        The split to compare. Default: ``base.split``.
    lexical_baseline : float, optional
        F1 of the lexical baseline in [0, 1]. Default: that of the member "lex" of `base`, if there is one.
    n_resamples : int, default 1000
        Number of bootstrap resamples.
    confidence : float, default 0.95
        Confidence of the intervals, in (0, 1).
    seed : int, default 0
        Seed of the resampling.

    Returns
    -------
    ProbeComparison

    Raises
    ------
    RowMismatchError
        If the results are not of the same records.
    OptionError
        If an option is outside its domain, or no member is in both results.

    Examples
    --------
    Layer "b" of the tuned model has lost the feature that the labels depend on:

    >>> import numpy as np, pyrepsim as rs
    >>> from pyrepsim.probing.edge import EdgeProbeRecipe, fit_edge_probes
    >>> rng = np.random.default_rng(0)
    >>> words = rng.integers(2, size=(200, 5))
    >>> records = [
    ...     {"text": "w w w w w", "targets": [{"span1": [i, i + 1], "label": "NV"[k]} for i, k in enumerate(row)]}
    ...     for row in words
    ... ]
    >>> signal = np.stack([words.ravel(), 1 - words.ravel()], axis=1).astype("float32")
    >>> noise = rng.standard_normal(signal.shape).astype("float32")
    >>> starts = np.tile(np.arange(5) * 2, 200)
    >>> recipe = EdgeProbeRecipe(projection=4, hidden=4, learning_rate=0.01, validate_every=20, max_validations=5)
    >>> results = []
    >>> for name, layers in (("base", {"a": signal, "b": signal}), ("tuned", {"a": signal, "b": noise})):
    ...     store = rs.write_store(name, layers, columns={
    ...         "doc_id": np.repeat(np.arange(200), 5), "position": np.tile(np.arange(5), 200),
    ...         "token_id": words.ravel(), "char_start": starts, "char_end": starts + 1,
    ...     })
    ...     results.append(fit_edge_probes(store, records, dev=(store, records),
    ...                                    members="layers", recipe=recipe, progress=False))
    >>> comparison = rs.compare_probes(*results)
    >>> [(difference.member, difference.change) for difference in comparison]
    [('a', 'unchanged'), ('b', 'lost')]
    """
    split = base.split if split is None else split
    if not isinstance(n_resamples, int) or n_resamples < 1 or not 0 < confidence < 1:
        raise OptionError(
            f"A bootstrap needs n_resamples >= 1 and 0 < confidence < 1: got {n_resamples!r} and {confidence!r}."
        )
    _check_paired(base, tuned, split)
    names = list(dict.fromkeys(member.name for member in base.members))
    shared = [name for name in names if name in {member.name for member in tuned.members}]
    if not shared:
        raise OptionError("Base and tuned are compared probe by probe: these results share no member.")
    if lexical_baseline is None:
        lexical_baseline = base.f1(LEXICAL, split=split) if LEXICAL in names else math.nan
    resampled_base, resampled_tuned = (
        _resampled_f1(result, split, shared, n_resamples, np.random.default_rng(seed)) for result in (base, tuned)
    )
    records = []
    for place, name in enumerate(shared):
        differences = resampled_tuned[:, place] - resampled_base[:, place]
        low, high = np.quantile(differences, [(1 - confidence) / 2, (1 + confidence) / 2])
        f1_base, f1_tuned = base.f1(name, split=split), tuned.f1(name, split=split)
        change = "gained" if low > 0 else "lost" if high < 0 else "unchanged"
        above = f1_base - lexical_baseline
        share = (f1_tuned - f1_base) / above if above > 0 else math.nan
        difference = f1_tuned - f1_base
        records.append(ProbeDifference(name, f1_base, f1_tuned, difference, float(low), float(high), change, share))
    return ProbeComparison(base.task, split, confidence, float(lexical_baseline), tuple(records))


def _check_paired(base: EdgeResult, tuned: EdgeResult, split: str) -> None:
    """Raise unless both results have scored the same targets of `split`."""
    for name, result in (("base", base), ("tuned", tuned)):
        if split not in result.sentence_counts:
            raise OptionError(f"split must be one of {', '.join(result.sentence_counts)}: {name} has no {split!r}.")
    digests = [result.request.get("records", {}).get(split) for result in (base, tuned)]
    same = np.array_equal(base.record_index[split], tuned.record_index[split]) and np.array_equal(
        base.sentence_counts[split][0, :, 2], tuned.sentence_counts[split][0, :, 2]
    )
    if base.task != tuned.task or digests[0] != digests[1] or not same:
        raise RowMismatchError(
            f"Base and tuned are paired by sentence, so both must have scored the same targets: those of {split!r} "
            f"({base.task} and {tuned.task}) differ. Probe both on the same records."
        )


def _resampled_f1(
    result: EdgeResult, split: str, names: list[str], n_resamples: int, rng: np.random.Generator
) -> np.ndarray:
    """Mean F1 over seeds of each resample of the sentences, (n_resamples, names)."""
    counts = result.sentence_counts[split].astype(np.float64)
    n_members, n_sentences, _ = counts.shape
    flat = counts.transpose(1, 0, 2).reshape(n_sentences, -1)
    groups = [[m for m, member in enumerate(result.members) if member.name == name] for name in names]
    means = np.empty((n_resamples, len(names)))
    for start in range(0, n_resamples, _BATCH):
        n = min(_BATCH, n_resamples - start)
        weights = rng.multinomial(n_sentences, np.full(n_sentences, 1 / n_sentences), size=n).astype(np.float64)
        true_positives, predicted, gold = np.moveaxis((weights @ flat).reshape(n, n_members, 3), 2, 0)
        f1 = 2 * true_positives / np.maximum(predicted + gold, 1)
        for place, group in enumerate(groups):
            means[start : start + n, place] = f1[:, group].mean(1)
    return means

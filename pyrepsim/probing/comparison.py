"""Compare the probes of two models, such as base and fine-tuned, on the same documents."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..core.errors import OptionError, RowMismatchError
from ..core.text import printable
from ..results.tables import write_csv
from .documents import Jackknifed, jackknifed_f1
from .edge.recipe import LEXICAL
from .edge.result import EdgeResult

__all__ = ["ProbeComparison", "ProbeDifference", "check_paired", "compare_probes", "jackknifed_scores"]


@dataclass(frozen=True)
class ProbeDifference:
    """The difference between one probe on the base model and on the tuned one.

    Attributes
    ----------
    member : name of the probe.
    base, tuned : F1 in [0, 1], mean over seeds.
    difference, low, high : tuned minus base, and the ends of its interval; NaN for a single document.
    change : "gained" or "lost" if the interval does not include 0, otherwise "unchanged"; "unknown" for a single
        document.
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
    n_documents : number of documents, which the intervals take as independent.
    confidence : confidence of the intervals.
    lexical_baseline : F1 of the lexical baseline in [0, 1]; NaN if there is none.
    records : tuple of ProbeDifference
    """

    task: str
    split: str
    n_documents: int
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
        over = f"{100 * self.confidence:g} % intervals over {self.n_documents:,} documents"
        lines = [f"{self.task} on {self.split}: F1 in percent, {over}, {baseline}"]
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
    confidence: float = 0.95,
) -> ProbeComparison:
    """Test for each probe that two results share whether training changed its F1.

    The difference is mean_s F1_tuned(s) - mean_s F1_base(s), where s are the seeds of each result. Its interval,
    difference -+ t SE, is that of the jackknife over documents, each left out of both results at once; t has fewer
    degrees of freedom than documents where few of them are large or deviate. Where records name no document, each text
    is one. The interval covers the variation between documents but not between seeds, so train several seeds.

    Parameters
    ----------
    base, tuned : EdgeResult
        Two results on the same records.
    split : str, optional
        The split to compare. Default: ``base.split``.
    lexical_baseline : float, optional
        F1 of the lexical baseline in [0, 1]. Default: that of the member "lex" of `base`, if there is one.
    confidence : float, default 0.95
        Confidence of the intervals, in (0, 1).

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
    ...     {"text": " ".join("nv"[k] for k in row),
    ...      "targets": [{"span1": [i, i + 1], "label": "NV"[k]} for i, k in enumerate(row)]} for row in words
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
    if not 0 < confidence < 1:
        raise OptionError(f"confidence must be a fraction between 0 and 1, such as 0.95: got {confidence!r}.")
    check_paired(base, tuned, split)
    names = list(dict.fromkeys(member.name for member in base.members))
    shared = [name for name in names if name in {member.name for member in tuned.members}]
    if not shared:
        raise OptionError("Base and tuned are compared probe by probe: these results share no member.")
    if lexical_baseline is None:
        lexical_baseline = base.f1(LEXICAL, split=split) if LEXICAL in names else math.nan
    # Both read the documents of one result: those of an earlier version's file are unknown.
    scores = [jackknifed_scores(result, split, shared, tuned.documents[split]) for result in (base, tuned)]
    records = []
    for name in shared:
        f1_base, f1_tuned = base.f1(name, split=split), tuned.f1(name, split=split)
        low, high = (scores[1][name] - scores[0][name]).interval(confidence)
        change = "gained" if low > 0 else "lost" if high < 0 else "unchanged" if low <= high else "unknown"
        above = f1_base - lexical_baseline
        share = (f1_tuned - f1_base) / above if above > 0 else math.nan
        difference = f1_tuned - f1_base
        records.append(ProbeDifference(name, f1_base, f1_tuned, difference, low, high, change, share))
    n_documents = scores[0][shared[0]].n_documents
    return ProbeComparison(base.task, split, n_documents, confidence, float(lexical_baseline), tuple(records))


def jackknifed_scores(
    result: EdgeResult, split: str, names: Iterable[str], documents: np.ndarray | None = None
) -> dict[str, Jackknifed]:
    """Return F1 of these members, the mean over seeds, with its values without each document of a split.

    `documents` are the numbers of the documents of its sentences. Default: those of the result.
    """
    counts, documents = result.sentence_counts[split], result.documents[split] if documents is None else documents
    places = {name: [m for m, member in enumerate(result.members) if member.name == name] for name in names}
    return {name: jackknifed_f1(counts[own], documents) for name, own in places.items()}


def check_paired(base: EdgeResult, tuned: EdgeResult, split: str) -> None:
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
            f"Base and tuned are compared on the same documents, so both must have scored the same targets: those of "
            f"{split!r} ({base.task} and {tuned.task}) differ. Probe both on the same records."
        )

"""The README's table of what was measured: of each benchmark the latest run, and how far ratios varied on its day.

    python -m benchmarks.table                        # print it
    python -m benchmarks.table --readme README.md     # put it between the marks there
    python -m benchmarks.table --against OLD.json NEW.json      # exit 1 where a ratio got worse by more than --within

Ratios are compared, not seconds: machines differ, and so do their hours.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["Range", "latest_day", "markdown", "newest", "ratios", "results_of", "worse", "written"]

RESULTS = Path(__file__).parent / "results"
MARKS = ("<!-- measured -->\n", "<!-- /measured -->")

ROWS = {
    "test_moments_of_a_pair[fp64]": "moments of a pair, float16 rows, n = 50,000",
    "test_moments_of_a_pair[fp32]": 'the same, `precision="fp32"`',
    "test_moments_of_all_pairs": "moments of 26 x 26 layers, raw and unit rows",
    "test_finishing_of_all_pairs": "their 676 x 6 scores: CKA (2), SVCCA, PWCCA, Procrustes, RSA",
    "test_shape_distances_of_all_pairs": "Procrustes angles of 8 layers with each other, n = 8,192",
    "test_a_call_on_few_rows": "one call of `compare`, 100 rows of 16 features",
    "test_linear_cka[fp64]": "`LinearCKA()`, n = 50,000",
    "test_linear_cka[fp32]": 'the same, `precision="fp32"`',
    "test_linear_cka_of_few_rows[fp64]": "`LinearCKA()`, n = 2,000",
    "test_linear_cka_of_few_rows[fp32]": 'the same, `precision="fp32"`',
    "test_libraries[cka]": "the same, in float64",
    "test_libraries[debiased]": "`LinearCKA(debiased=True)`, n = 5,000",
    "test_debiased_cka_of_some_rows": "8 estimates of it, of 500 random rows each (theirs: all in batches of 256)",
    "test_libraries[cca]": "`CCA()`, n = 5,000",
    "test_svcca": "`SVCCA()`, n = 5,000",
    "test_rsa_cosine_pearson": "`RSA()`, n = 10,000: the closed form",
    "test_agreement_of_rdms[auto-correlation_pearson]": '`RSA(metric="correlation")`, n = 5,000: the closed form',
    "test_agreement_of_rdms[tiles-correlation_pearson]": "the same on tiles",
    "test_agreement_of_rdms[tiles-euclidean_pearson]": '`RSA(metric="euclidean")`, n = 5,000',
    "test_euclidean_rdms_of_few_rows": "the same, n = 2,000",
    "test_agreement_of_rdms[tiles-cosine_spearman]": '`RSA(compare="spearman")`, n = 5,000',
    "test_a_sweep_alone[fp32]": "sums over two RDMs, n = 20,000",
    "test_a_sweep_alone[fp64]": 'the same, `precision="fp64"`',
    "test_more_rows_than_fit": "Euclidean-Spearman RSA, n = 50,000",
    "test_a_bank_of_26_layers": "Euclidean RSA of 13 x 13 layers, n = 10,000",
    "test_manhattan": "all Manhattan distances, n = 5,000",
    "test_nearest_neighbours": "10 nearest of n = 20,000, exact",
    "test_tokens_per_second[float16]": "extraction, 6-layer MiniLM, float16 store",
    "test_tokens_per_second[float32]": "the same, float32 store",
    "test_fine_tuning": "fine-tuning",
    "test_probing_all_layers[d384]": "26 edge probes, 5 epochs, with extraction",
    "test_structural_probes": "13 layers' distance and depth probes, rank 64, 3 epochs",
    "test_writing": "a store of 4 layers x 65,536 x 768, written, checked and hashed",
    "test_reading[page cache]": "the same, read once from the page cache",
    "test_reading[cold]": "the same, from the disk",
    "test_reading_content_tokens": "the same, without every tenth row, from the page cache",
    "test_decode[trained-None]": "best trees of 10,000 sentences, a trained parser's scores",
    "test_decode[random-None]": "the same, random scores",
}
"""What the table shows, in this order: the name of a benchmark, and what it measures."""

RIVALS = {
    "fraction_of_bare": "bare loop",
    "times_naive": "loop in the corpus's order",
    "times_fixed_length": "padded to 128",
    "naive": "a loop a probe",
    "networkx_ratio": "networkx",
}
"""Ratios that have names of their own: their time as a multiple of ours."""

Facts = Mapping[str, Any]
Runs = Sequence[Facts]
"""Of one benchmark on one day, the latest last."""


class Range(NamedTuple):
    """The lowest and the highest of several runs."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Range:
        values = list(values)
        return cls(min(values), max(values))

    def shown(self, form: Callable[[float], str]) -> str:
        """Both where they differ by more than a tenth, else the middle."""
        if self.high > 1.1 * self.low:
            return f"{form(self.low)} to {form(self.high)}"
        return form((self.low + self.high) / 2)


def results_of(path: Path) -> dict[str, Runs]:
    """The facts of each benchmark in a result file of pytest-benchmark; {} for another file."""
    return {name: [facts] for name, facts in _facts(json.loads(path.read_text(encoding="utf-8"))).items()}


def _facts(told: Any) -> dict[str, Facts]:
    if not isinstance(told, dict) or "benchmarks" not in told:
        return {}
    return {one["name"]: {"seconds": one["stats"]["median"], **one["extra_info"]} for one in told["benchmarks"]}


def latest_day(folder: Path = RESULTS) -> dict[str, Runs]:
    """Each benchmark's runs on the last day that has any."""
    files = [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("*.json")]
    dated = [run for run in files if isinstance(run, dict) and "datetime" in run]
    found: dict[str, list[Facts]] = {}
    days: dict[str, str] = {}
    for run in sorted(dated, key=lambda run: run["datetime"]):
        for name, facts in _facts(run).items():
            if days.get(name) != run["datetime"][:10]:
                days[name], found[name] = run["datetime"][:10], []
            found[name].append(facts)
    return dict(found)


def newest(folder: Path = RESULTS) -> dict[str, Facts]:
    """Each benchmark's latest run."""
    return {name: runs[-1] for name, runs in latest_day(folder).items()}


def ratios(runs: Runs) -> dict[str, tuple[Range, float | None]]:
    """Of each rival its time as a multiple of ours, and its error. Of NumPy's two settings the faster counts."""
    found = [_ratios_of(facts) for facts in runs]
    return {
        name: (Range.of(one[name][0] for one in found if name in one), error) for name, (_, error) in found[-1].items()
    }


def _ratios_of(facts: Facts) -> dict[str, tuple[float, float | None]]:
    found: dict[str, tuple[float, float | None]] = {}
    for key, value in facts.items():
        name = RIVALS.get(key, key.removesuffix(" ratio") if key.endswith(" ratio") else None)
        if name is None:
            continue
        error = facts.get(f"{name} error")
        plain = re.sub(r"( numpy)? SkylakeX", "", name)
        if plain not in found or value < found[plain][0]:
            found[plain] = (value, error)
    return found


def _parts_of_peak(runs: Runs) -> Range | None:
    known = [facts["fraction_of_peak"] for facts in runs if "fraction_of_peak" in facts]
    return Range.of(known) if known else None


def markdown(found: Mapping[str, Runs]) -> str:
    """The table; a rival that was faster is set in bold."""
    lines = ["| | time | error | memory | of peak | rivals: their time as a multiple of ours (their error) |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    lines += [f"| {' | '.join(_cells(label, found[name]))} |" for name, label in ROWS.items() if name in found]
    return "\n".join(lines) + "\n"


def _cells(label: str, runs: Runs) -> Iterator[str]:
    facts, peak = runs[-1], _parts_of_peak(runs)
    yield label
    yield _seconds(facts)
    yield f"{facts['error']:.0e}" if facts.get("error") else ""
    yield f"{facts['peak_mb'] / 1000:.2f} GB" if "peak_mb" in facts else ""
    yield peak.shown("{:.2f}".format) if peak else ""
    yield ", ".join(_rival(name, *told) for name, told in ratios(runs).items())


def _seconds(facts: Facts) -> str:
    if "tokens_per_second" in facts:
        return f"{facts['tokens_per_second']:,.0f} tokens/s"
    seconds = facts.get("probing_s", facts["seconds"])
    if seconds < 0.01:
        return f"{1000 * seconds:.2g} ms"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"


def _rival(name: str, ratio: Range, error: float | None) -> str:
    told = f"{name} {ratio.shown(_two_digits)}" + (f" ({error:.0e})" if error else "")
    return f"**{told}**" if ratio.low < 1 else told


def _two_digits(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2g}"


def written(text: str, table: str) -> str:
    """A text with the table between its marks."""
    start, stop = (text.index(mark) for mark in MARKS)
    return text[: start + len(MARKS[0])] + table + text[stop:]


def worse(old: Mapping[str, Runs], new: Mapping[str, Runs], within: float) -> list[str]:
    """What fell behind: ratios to rivals and parts of the peak, by more than ``within`` below all old runs."""
    found = []
    for name in old.keys() & new.keys():
        before, after = ({rival: ratio for rival, (ratio, _) in ratios(one[name]).items()} for one in (old, new))
        for known, runs in ((before, old[name]), (after, new[name])):
            if peak := _parts_of_peak(runs):
                known["of peak"] = peak
        for rival in before.keys() & after.keys():
            least, now = before[rival].low, after[rival].low
            if now < (1 - within) * least:
                found.append(f"{name}: {rival} {least:.3g} before, {now:.3g} now")
    return sorted(found)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readme", type=Path)
    parser.add_argument("--against", type=Path, nargs=2, metavar=("OLD", "NEW"))
    parser.add_argument("--within", type=float, default=0.2)
    options = parser.parse_args()
    if options.against:
        fallen = worse(*map(results_of, options.against), options.within)
        print("\n".join(fallen) or f"nothing fell behind by more than {options.within:.0%}")
        return int(bool(fallen))
    table = markdown(latest_day())
    if options.readme:
        options.readme.write_text(written(options.readme.read_text(encoding="utf-8"), table), encoding="utf-8")
    else:
        print(table, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())

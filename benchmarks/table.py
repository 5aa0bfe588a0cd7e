"""The tables of benchmarks/README.md and clients.md: for each benchmark the latest result of one machine.

    python -m benchmarks.table                                     # print them
    python -m benchmarks.table --write                             # replace them in both pages
    python -m benchmarks.table --against OLD NEW                   # exit 1 if a ratio is worse in folder NEW

Ratios to other libraries are compared, not seconds: machines differ in speed.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.clients import ROWS as CLIENTS

__all__ = ["PAGES", "clients", "markdown", "ratios", "read_results", "replace_table", "worse"]

RESULTS = Path(__file__).parent / "results"
SHOWN = RESULTS / "amd-epyc-25-17"
"""The results that the page shows, of one machine; each machine has a folder with one file per bench_*.py."""
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
"""The rows of the table, in order: the name of a benchmark, and its label."""

RIVALS = {
    "fraction_of_bare": "bare loop",
    "times_naive": "loop in the corpus's order",
    "times_fixed_length": "padded to 128",
    "naive": "one loop per probe",
    "networkx_ratio": "networkx",
}
"""Labels of ratios whose key does not end in " ratio"; each is the time of a rival as a multiple of ours."""

Facts = Mapping[str, Any]
"""The seconds, errors, ratios and memory of one benchmark."""


def read_results(folder: Path) -> dict[str, Facts]:
    """The facts of every benchmark in the result files of one machine."""
    results: dict[str, Facts] = {}
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        for benchmark in content["benchmarks"]:
            results[benchmark["name"]] = {"seconds": benchmark["stats"]["median"], **benchmark["extra_info"]}
    return results


def ratios(facts: Facts) -> dict[str, tuple[float, float | None]]:
    """For each rival its time as a multiple of ours, and its error. Of NumPy's two settings the faster counts."""
    result: dict[str, tuple[float, float | None]] = {}
    for key, value in facts.items():
        name = RIVALS.get(key, key.removesuffix(" ratio") if key.endswith(" ratio") else None)
        if name is None:
            continue
        plain = re.sub(r"( numpy)? SkylakeX", "", name)
        if plain not in result or value < result[plain][0]:
            result[plain] = (value, facts.get(f"{name} error"))
    return result


def markdown(results: Mapping[str, Facts]) -> str:
    """The table; a rival that is faster than pyrepsim is set in bold."""
    lines = ["| | time | error | memory | fraction of peak | rivals: their time as a multiple of ours (their error) |"]
    lines.append("| --- | --- | --- | --- | --- | --- |")
    lines += [f"| {' | '.join(_cells(label, results[name]))} |" for name, label in ROWS.items() if name in results]
    return "\n".join(lines) + "\n"


def clients(results: Mapping[str, Facts]) -> str:
    """The table of other tools with pyrepsim underneath; where the tool is faster by itself, the ratio is bold."""
    lines = ["| tool | call | time | theirs / ours | difference |", "| --- | --- | --- | --- | --- |"]
    for row in CLIENTS:
        if facts := results.get(f"test_clients[{row}]"):
            tool, _, label = row.partition(": ")
            ratio = facts[f"{tool} ratio"]
            cells = [tool, label, _seconds({"seconds": facts["seconds"] / facts["calls"]}), _ratio(ratio)]
            lines.append(f"| {' | '.join(cells)} | {f'{error:.0e}' if (error := facts.get('error')) else ''} |")
    return "\n".join(lines) + "\n" if len(lines) > 2 else "No results yet.\n"


def _cells(label: str, facts: Facts) -> Iterator[str]:
    yield label
    yield _seconds(facts)
    yield f"{facts['error']:.0e}" if facts.get("error") else ""
    yield f"{facts['peak_mb'] / 1000:.2f} GB" if "peak_mb" in facts else ""
    yield f"{facts['fraction_of_peak']:.2f}" if "fraction_of_peak" in facts else ""
    yield ", ".join(_rival(name, *ratio) for name, ratio in ratios(facts).items())


def _seconds(facts: Facts) -> str:
    if "tokens_per_second" in facts:
        return f"{facts['tokens_per_second']:,.0f} tokens/s"
    seconds = facts.get("probing_s", facts["seconds"])
    if seconds < 0.01:
        return f"{1000 * seconds:.2g} ms"
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.2g} s"


def _rival(name: str, ratio: float, error: float | None) -> str:
    text = f"{name} {_digits(ratio)}" + (f" ({error:.0e})" if error else "")
    return f"**{text}**" if ratio < 1 else text


def _ratio(ratio: float) -> str:
    return f"**{_digits(ratio)}**" if ratio < 1 else _digits(ratio)


def _digits(ratio: float) -> str:
    return f"{ratio:.0f}" if ratio >= 10 else f"{ratio:.2g}"


def replace_table(page: str, table: str) -> str:
    """Return the page with `table` between the two marks."""
    start, stop = (page.index(mark) for mark in MARKS)
    return page[: start + len(MARKS[0])] + table + page[stop:]


def worse(old: Mapping[str, Facts], new: Mapping[str, Facts], within: float) -> list[str]:
    """List ratios to rivals and fractions of the peak that fell by more than the fraction ``within``."""
    lines = []
    for name in old.keys() & new.keys():
        before, after = ({rival: ratio for rival, (ratio, _) in ratios(one[name]).items()} for one in (old, new))
        for values, results in ((before, old), (after, new)):
            if "fraction_of_peak" in results[name]:
                values["fraction of peak"] = results[name]["fraction_of_peak"]
        lines += [
            f"{name}: {rival} {before[rival]:.3g} before, {after[rival]:.3g} now"
            for rival in before.keys() & after.keys()
            if after[rival] < (1 - within) * before[rival]
        ]
    return sorted(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--against", type=Path, nargs=2, metavar=("OLD", "NEW"))
    parser.add_argument("--within", type=float, default=0.2)
    options = parser.parse_args()
    if options.against:
        fallen = worse(*map(read_results, options.against), options.within)
        print("\n".join(fallen) or f"No ratio is worse by more than {options.within:.0%}.")
        return int(bool(fallen))
    results = read_results(SHOWN)
    for page, table in PAGES.items():
        if options.write:
            page.write_text(replace_table(page.read_text(encoding="utf-8"), table(results)), encoding="utf-8")
        else:
            print(table(results))
    return 0


PAGES = {RESULTS.parent / "README.md": markdown, RESULTS.parent / "clients.md": clients}


if __name__ == "__main__":
    sys.exit(main())

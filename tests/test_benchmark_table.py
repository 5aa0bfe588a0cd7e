"""The figures of benchmarks/README.md are those of benchmarks/results, and what becomes slower is reported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import machine
from benchmarks.scaling_figure import series_of, slope_mb_per_million_rows
from benchmarks.table import PAGES, ROWS, SHOWN, clients, markdown, ratios, read_results, replace_table, worse

ROOT = Path(__file__).parents[1]
SVCCA = {
    "seconds": 0.5,
    "error": 3e-15,
    "peak_mb": 250.0,
    "numpy float64 ratio": 12.0,
    "numpy float64 error": 0.0,
    "numpy SkylakeX float64 ratio": 11.0,
    "numpy SkylakeX float64 error": 0.0,
    "torch float32 ratio": 0.8,
    "torch float32 error": 1e-7,
    "keops float32 missing": "not installed",
}


def write_results(folder: Path, results: dict[str, dict]) -> Path:
    benchmarks = [{"name": name, "stats": {"median": 2.0}, "extra_info": facts} for name, facts in results.items()]
    folder.mkdir(exist_ok=True)
    (folder / "x.json").write_text(json.dumps({"benchmarks": benchmarks}), encoding="utf-8")
    return folder


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_show_the_committed_results(page: Path):
    text = page.read_text(encoding="utf-8")
    assert replace_table(text, PAGES[page](read_results(SHOWN))) == text, "run python -m benchmarks.table --write"


def test_a_row_of_a_tool_has_the_time_of_one_call():
    facts = {"seconds": 0.02, "calls": 10, "scipy ratio": 0.5, "error": 2e-16}
    assert clients({"test_clients[scipy: pdist euclidean 50 x 100]": facts}).splitlines()[2:] == [
        "| scipy | pdist euclidean 50 x 100 | 2 ms | **0.5** | 2e-16 |"
    ]


def test_a_row_has_time_error_memory_and_every_rival():
    row = markdown({"test_svcca": SVCCA, "test_unknown": SVCCA}).splitlines()[2:]
    assert row == [
        "| `SVCCA()`, n = 5,000 | 0.5 s | 3e-15 | 0.25 GB |  | numpy float64 11, **torch float32 0.8 (1e-07)** |"
    ]


def test_of_two_settings_the_faster_is_the_rival():
    assert ratios(SVCCA) == {"numpy float64": (11.0, 0.0), "torch float32": (0.8, 1e-7)}


def test_the_results_of_one_machine_are_read_from_its_folder(tmp_path: Path):
    folder = write_results(tmp_path / "machine", {"test_svcca": {"error": 1.0}, "test_decode": {}})
    assert read_results(folder) == {"test_svcca": {"seconds": 2.0, "error": 1.0}, "test_decode": {"seconds": 2.0}}


def test_a_machine_is_a_folder_name():
    assert machine()
    assert set(machine()) <= set("abcdefghijklmnopqrstuvwxyz0123456789-")


@pytest.mark.parametrize(("ratio", "peak", "n_worse"), [(10.0, 0.8, 0), (9.0, 0.75, 0), (8.0, 0.8, 1), (8.0, 0.5, 2)])
def test_what_is_worse_by_more_than_a_fifth_is_reported(tmp_path: Path, ratio: float, peak: float, n_worse: int):
    old = {"test_svcca": {"numpy ratio": 11.0, "fraction_of_peak": 0.8}}
    new = {"test_svcca": {"numpy ratio": ratio, "fraction_of_peak": peak}}
    assert len(worse(old, new, 0.2)) == n_worse
    folders = [write_results(tmp_path / name, results) for name, results in (("old", old), ("new", new))]
    command = [sys.executable, "-m", "benchmarks.table", "--against", *map(str, folders)]
    assert subprocess.run(command, cwd=ROOT, check=False, capture_output=True).returncode == bool(n_worse)


def test_every_row_of_the_table_is_a_benchmark():
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks").glob("bench_*.py"))
    assert [name for name in ROWS if f"def {name.split('[')[0]}(" not in sources] == []


def test_memory_that_grows_with_the_rows_has_a_slope():
    flat = {f"flat{n}": {"series": "rows", "at": n, "peak_mb": 200.0 + 50 * (n > 1e3)} for n in (1e3, 1e4, 1e5, 1e6)}
    assert slope_mb_per_million_rows(series_of(flat)["rows"]) == pytest.approx(0, abs=1e-6)
    grown = {name: one | {"peak_mb": 1e-3 * one["at"]} for name, one in flat.items()}
    assert slope_mb_per_million_rows(series_of(grown)["rows"]) == pytest.approx(1000)

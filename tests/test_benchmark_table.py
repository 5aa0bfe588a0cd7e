"""The README's figures are those of benchmarks/results, and what falls behind is told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import unused
from benchmarks.scaling_figure import series_of, slope_mb_per_million_rows
from benchmarks.table import ROWS, latest_day, markdown, newest, ratios, worse, written

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


def written_file(folder: Path, name: str, date: str, facts: dict) -> Path:
    benchmarks = [{"name": one, "stats": {"median": 2.0}, "extra_info": told} for one, told in facts.items()]
    path = folder / name
    path.write_text(json.dumps({"datetime": date, "benchmarks": benchmarks}), encoding="utf-8")
    return path


def test_the_readme_shows_the_newest_results():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert written(text, markdown(latest_day())) == text, "run python -m benchmarks.table --readme README.md"


def test_a_row_says_time_error_memory_and_every_rival():
    row = markdown({"test_svcca": [SVCCA], "test_unknown": [SVCCA]}).splitlines()[2:]
    assert row == [
        "| `SVCCA()`, n = 5,000 | 0.5 s | 3e-15 | 0.25 GB |  | numpy float64 11, **torch float32 0.8 (1e-07)** |"
    ]


def test_of_two_settings_the_faster_is_the_rival():
    assert ratios([SVCCA]) == {"numpy float64": ((11.0, 11.0), 0.0), "torch float32": ((0.8, 0.8), 1e-7)}


def test_ratios_that_varied_on_a_day_are_shown_as_a_range(tmp_path: Path):
    for day, ratio, peak in (("01", 2.0, 0.5), ("02", 9.0, 0.80), ("02", 12.6, 0.83), ("02", 10.4, 0.82)):
        facts = {"error": 0.0, "numpy ratio": ratio, "fraction_of_peak": peak, "torch ratio": ratio / 10}
        written_file(tmp_path, f"{ratio}.json", f"2026-02-{day}T{ratio:04.1f}", {"test_svcca": facts})
    row = markdown(latest_day(tmp_path)).splitlines()[2]
    assert row == "| `SVCCA()`, n = 5,000 | 2 s |  |  | 0.81 | numpy 9 to 13, **torch 0.9 to 1.3** |"


def test_the_latest_run_counts_whatever_its_file_is_called(tmp_path: Path):
    written_file(tmp_path, "a.json", "2026-02-01T00:00:00", {"test_svcca": {"error": 1.0}})
    written_file(tmp_path, "b.json", "2026-01-01T00:00:00", {"test_svcca": {"error": 2.0}, "test_decode": {}})
    (tmp_path / "other.json").write_text("[]")
    assert newest(tmp_path) == {"test_svcca": {"seconds": 2.0, "error": 1.0}, "test_decode": {"seconds": 2.0}}


def test_a_later_run_of_the_day_has_a_file_of_its_own(tmp_path: Path):
    for name in ("x.json", "x-2.json", "x-3.json"):
        path = unused(tmp_path, "x")
        assert path == tmp_path / name
        path.touch()


@pytest.mark.parametrize(("ratio", "peak", "fallen"), [(10.0, 0.8, 0), (9.0, 0.75, 0), (8.0, 0.8, 1), (8.0, 0.5, 2)])
def test_what_falls_behind_by_more_than_a_fifth_is_told(tmp_path: Path, ratio: float, peak: float, fallen: int):
    old = {"test_svcca": {"numpy ratio": 11.0, "fraction_of_peak": 0.8}}
    new = {"test_svcca": {"numpy ratio": ratio, "fraction_of_peak": peak}}
    before = {"test_svcca": [old["test_svcca"], {"numpy ratio": 14.0, "fraction_of_peak": 0.9}]}
    assert len(worse(before, {"test_svcca": [new["test_svcca"]]}, 0.2)) == fallen
    files = [written_file(tmp_path, f"{i}.json", "2026-01-01", facts) for i, facts in enumerate((old, new))]
    command = [sys.executable, "-m", "benchmarks.table", "--against", *map(str, files)]
    assert subprocess.run(command, cwd=ROOT, check=False, capture_output=True).returncode == bool(fallen)


def test_every_row_of_the_table_is_a_benchmark():
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "benchmarks").glob("bench_*.py"))
    assert [name for name in ROWS if f"def {name.split('[')[0]}(" not in sources] == []


def test_memory_that_grows_with_the_rows_has_a_slope():
    flat = {f"flat{n}": {"series": "rows", "at": n, "peak_mb": 200.0 + 50 * (n > 1e3)} for n in (1e3, 1e4, 1e5, 1e6)}
    assert slope_mb_per_million_rows(series_of(flat)["rows"]) == pytest.approx(0, abs=1e-6)
    grown = {name: one | {"peak_mb": 1e-3 * one["at"]} for name, one in flat.items()}
    assert slope_mb_per_million_rows(series_of(grown)["rows"]) == pytest.approx(1000)

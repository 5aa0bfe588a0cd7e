"""Rivals keep their rows in separate processes and run in turns with ours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import harness
from benchmarks.harness import Rival, run_rival, side_by_side

ROWS = np.random.default_rng(0).standard_normal((2, 1000, 8), dtype=np.float32)


class FakeBenchmark:
    """The part of pytest-benchmark that side_by_side uses."""

    def __init__(self) -> None:
        self.stats = self
        self.median = 1.0

    def pedantic(self, ours, *, setup, rounds: int) -> None:
        for _ in range(rounds):
            setup()
            ours()


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch):
    monkeypatch.setattr(harness, "PAUSE_SECONDS", 0.0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, rows in zip("xy", ROWS, strict=True):
        np.save(tmp_path / f"{name}.npy", rows)
    return tmp_path


def test_a_rival_reports_value_time_and_memory(folder):
    value, facts = run_rival("numpy_way", "linear_cka", "numpy", folder, dtype="float64")
    X, Y = (A - A.mean(axis=0) for A in ROWS.astype(np.float64))
    cka = np.sum((X.T @ Y) ** 2) / np.linalg.norm(X.T @ X) / np.linalg.norm(Y.T @ Y)
    assert value == pytest.approx(cka, rel=1e-12)
    assert facts["seconds"] > 0
    assert facts["peak_mb"] > 1
    assert facts["version"] == np.__version__


def test_a_missing_library_is_reported(folder, monkeypatch):
    (folder / "faiss.py").write_text("raise ImportError('no faiss here')")
    monkeypatch.setenv("PYTHONPATH", str(folder))
    assert "faiss" in Rival("pairwise_way", "knn", "faiss", folder).missing


def test_a_rival_whose_process_ends_raises(folder):
    rival = Rival("numpy_way", "linear_cka", "numpy", folder)
    rival._process.kill()
    with pytest.raises(RuntimeError, match="numpy float32 ended with exit status -9"):
        rival()


def test_every_rival_runs_once_per_round_in_changing_order():
    turns = []
    sides = {name: lambda name=name: turns.append(name) for name in ("a", "b")}
    side_by_side(FakeBenchmark(), lambda: turns.append("ours"), sides, rounds=20)
    assert [sorted(turns[i : i + 3]) for i in range(0, 63, 3)] == [["a", "b", "ours"]] * 21
    assert len({tuple(turns[i : i + 3]) for i in range(3, 63, 3)}) > 3


def test_a_slow_rival_runs_fewer_turns(monkeypatch):
    clock = iter(np.cumsum([0, 3] * 20).tolist())  # each turn of the rival takes three seconds
    monkeypatch.setattr(harness.time, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(harness, "MAX_RIVAL_SECONDS", 4.0)
    turns = []
    facts = side_by_side(FakeBenchmark(), lambda: None, {"slow": lambda: turns.append(1)}, rounds=9)
    assert len(turns) == 3
    assert facts["slow ratio"] == 3.0
    turns.clear()
    monkeypatch.setattr(harness, "MAX_RIVAL_SECONDS", 1.0)
    assert side_by_side(FakeBenchmark(), lambda: None, {"slow": lambda: turns.append(1)})["slow ratio"] == 3.0
    assert len(turns) == 1

"""Progress in a log: lines that become rarer, with what is done and the time that is left."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from pyrepsim.core import progress


@pytest.fixture
def clock(monkeypatch):
    now = SimpleNamespace(seconds=0.0)
    monkeypatch.setattr(progress.time, "monotonic", lambda: now.seconds)
    return now


def test_lines_in_a_log(clock, capsys):
    with progress.progress_bar(1000, None, desc="compare") as bar:
        for _ in range(1000):
            clock.seconds += 1
            bar.update(1)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "compare: 30 of 1,000 rows (3%) in 30 s, about 16 min left"
    assert lines[1] == "compare: 90 of 1,000 rows (9%) in 2 min, about 15 min left"
    assert [line.split()[1] for line in lines] == ["30", "90", "210", "450", "930"]


def test_short_work_has_no_line(clock, capsys):
    with progress.progress_bar(10, None, desc="compare") as bar:
        clock.seconds += 29
        bar.update(10)
    assert capsys.readouterr().err == ""


def test_a_description_and_numbers_are_in_the_line(clock, capsys):
    bar = progress.progress_bar(10, None, desc="train", unit=" steps")
    bar.set_description("train \x1b[2J")
    bar.set_postfix({"loss": "0.5"})
    clock.seconds += 31
    bar.update(10)
    bar.close()
    assert capsys.readouterr().err == "train \\x1b[2J: 10 of 10 steps (100%) in 31 s, loss=0.5\n"


def test_no_bar_where_none_is_wanted_or_there_is_no_stderr(clock, capsys, monkeypatch):
    bars = [progress.progress_bar(10, False, desc="x")]
    monkeypatch.setattr(sys, "stderr", None)
    bars.append(progress.progress_bar(10, None, desc="x"))
    for bar in bars:
        assert bar.disable
        clock.seconds += 100
        bar.update(5)


def test_a_terminal_and_a_notebook_have_a_bar(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with progress.progress_bar(10, None, desc="on a terminal") as bar:
        bar.update(10)
    assert "on a terminal: 100%" in capsys.readouterr().err
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    shell = SimpleNamespace(kernel=object())
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    monkeypatch.setattr(progress, "find_spec", lambda name: None)
    with progress.progress_bar(10, None, desc="in a notebook") as bar:
        bar.update(10)
    assert "in a notebook: 100%" in capsys.readouterr().err

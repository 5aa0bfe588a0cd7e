"""Verdicts: a paired bootstrap over sentences that finds differences, and only those."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from pyrepsim.core.errors import OptionError, RowMismatchError
from pyrepsim.probing.edge import EdgeResult, Member, f1_score
from pyrepsim.probing.verdict import verdicts

N = 300


def result(accuracies, rng, *, seeds=(0,), records="same", task="pos"):
    """A result with 5 one-label targets a sentence, each right with the probability of its member."""
    members = tuple(Member(name, (name,), seed, False) for name in accuracies for seed in seeds)
    right = np.stack([rng.binomial(5, accuracies[member.name], size=N) for member in members])
    five = np.full_like(right, 5)
    rows = tuple(
        {"member": member.name, "seed": member.seed, "split": "dev", "part": "all"}
        | f1_score(int(right[m].sum()), 5 * N, 5 * N)._asdict()
        for m, member in enumerate(members)
    )
    return EdgeResult(
        task=task,
        members=members,
        layers=("a",),
        rows=rows,
        weights=(),
        norms={},
        sentences={"dev": np.stack([right, five, five], 2)},
        records={"dev": np.arange(N)},
        findings={},
        history=(),
        about={"records": {"dev": records}},
    )


def test_gained_lost_and_unchanged(rng):
    before = result({"a": 0.7, "b": 0.7, "c": 0.7, "lex": 0.5}, rng, seeds=(0, 1))
    after = result({"c": 0.7, "b": 0.6, "a": 0.8}, rng, seeds=(4, 5, 6))
    found = verdicts(before, after)
    assert {row.member: row.verdict for row in found} == {"a": "gained", "b": "lost", "c": "unchanged"}
    assert found.floor == before.f1("lex")
    for row in found:
        assert row.difference == pytest.approx(after.f1(row.member) - before.f1(row.member))
        assert row.low < row.difference < row.high
        assert row.of_context == pytest.approx(row.difference / (row.before - before.f1("lex")))


def test_the_interval_is_that_of_resampled_sentences(rng):
    before, after = result({"a": 0.7}, rng), result({"a": 0.72}, rng)
    (row,) = verdicts(before, after, n_resamples=4000)
    differences = []
    for _ in range(4000):
        drawn = rng.integers(N, size=N)
        pair = []
        for one in (before, after):
            right, said, gold = one.sentences["dev"][0][drawn].sum(0)
            precision, recall = right / said, right / gold
            pair.append(2 * precision * recall / (precision + recall))
        differences.append(pair[1] - pair[0])
    assert (row.low, row.high) == pytest.approx(np.percentile(differences, [2.5, 97.5]), abs=0.003)


def test_sentences_are_paired(rng):
    """The same result twice: no resample differs, however much sentences vary."""
    one = result({"a": 0.7}, rng)
    (row,) = verdicts(one, one)
    assert (row.low, row.high, row.verdict) == (0, 0, "unchanged")


def test_verdicts_of_nothing_are_right_most_of_the_time(rng):
    wrong = sum(
        row.verdict != "unchanged"
        for _ in range(60)
        for row in verdicts(result({"a": 0.7}, rng), result({"a": 0.7}, rng), n_resamples=200)
    )
    assert wrong <= 9  # 3 are due


def test_table_and_file(rng, tmp_path):
    found = verdicts(result({"a": 0.7}, rng), result({"a": 0.9}, rng), floor=0.5)
    assert "lexical floor 50.00" in found.table()
    assert "gained" in found.table()
    with open(found.to_csv(tmp_path / "v.csv"), newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["low"]) == found.rows[0].low
    without = verdicts(result({"a": 0.7}, rng), result({"a": 0.9}, rng))
    assert np.isnan(without.rows[0].of_context)
    assert "no lexical floor" in without.table()


def test_results_that_cannot_be_paired(rng):
    one = result({"a": 0.7}, rng)
    with pytest.raises(RowMismatchError, match="the same records"):
        verdicts(one, result({"a": 0.7}, rng, records="other"))
    with pytest.raises(RowMismatchError, match="pos and srl"):
        verdicts(one, result({"a": 0.7}, rng, task="srl"))
    with pytest.raises(OptionError, match="share no member"):
        verdicts(one, result({"b": 0.7}, rng))
    with pytest.raises(OptionError, match="before has no 'test'"):
        verdicts(one, one, split="test")
    with pytest.raises(OptionError, match="n_resamples"):
        verdicts(one, one, n_resamples=0)

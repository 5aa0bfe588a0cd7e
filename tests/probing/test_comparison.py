"""Comparison of probes: a jackknife over documents that detects differences."""

from __future__ import annotations

import csv
import dataclasses

import numpy as np
import pytest
import scipy.stats

from pyrepsim.core.errors import OptionError, RowMismatchError
from pyrepsim.probing.comparison import compare_probes
from pyrepsim.probing.edge import EdgeResult, Member, f1_score

N, N_DOCUMENTS = 300, 100
DOCUMENTS = np.sort(np.concatenate([np.arange(100), np.arange(50), np.arange(50), np.arange(50), np.arange(50)]))


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
        records=rows,
        weights=(),
        norms={},
        sentence_counts={"dev": np.stack([right, five, five], 2)},
        record_index={"dev": np.arange(N)},
        findings={},
        history=(),
        request={"records": {"dev": records}},
        documents={"dev": DOCUMENTS},
    )


def test_gained_lost_and_unchanged(rng):
    base = result({"a": 0.7, "b": 0.7, "c": 0.7, "lex": 0.5}, rng, seeds=(0, 1))
    tuned = result({"c": 0.7, "b": 0.6, "a": 0.8}, rng, seeds=(4, 5, 6))
    found = compare_probes(base, tuned)
    assert {row.member: row.change for row in found} == {"a": "gained", "b": "lost", "c": "unchanged"}
    assert found.lexical_baseline == base.f1("lex")
    for row in found:
        assert row.difference == pytest.approx(tuned.f1(row.member) - base.f1(row.member))
        assert row.low < row.difference < row.high
        assert row.share_of_context == pytest.approx(row.difference / (row.base - base.f1("lex")))


def test_the_interval_leaves_out_one_document_at_a_time(rng):
    """Documents of 1 to 5 sentences; the jackknife and its t, written out."""
    base, tuned = result({"a": 0.7}, rng, seeds=(0, 1)), result({"a": 0.72}, rng)
    found = compare_probes(base, tuned)
    (row,) = found
    without = []
    for document in range(N_DOCUMENTS):
        kept = [base.documents["dev"] != document]
        pair = []
        for one in (base, tuned):
            f1 = []
            for counts in one.sentence_counts["dev"]:
                true_positives, predicted, gold = counts[tuple(kept)].sum(0)
                precision, recall = true_positives / predicted, true_positives / gold
                f1.append(2 * precision * recall / (precision + recall))
            pair.append(sum(f1) / len(f1))
        without.append(pair[1] - pair[0])
    spread = sum((one - sum(without) / N_DOCUMENTS) ** 2 for one in without)
    fourth = sum((one - sum(without) / N_DOCUMENTS) ** 4 for one in without)
    items = [
        sum(counts[base.documents["dev"] == one, 1:].sum() for counts in base.sentence_counts["dev"])
        for one in range(N_DOCUMENTS)
    ]
    effective = sum(items) ** 2 / sum(one**2 for one in items)
    dof = min(2 * N_DOCUMENTS / (N_DOCUMENTS * fourth / spread**2 - 1), effective - 1)
    half = scipy.stats.t.ppf(0.975, dof) * ((N_DOCUMENTS - 1) / N_DOCUMENTS * spread) ** 0.5
    assert found.n_documents == N_DOCUMENTS
    assert (row.low, row.high) == pytest.approx((row.difference - half, row.difference + half), rel=1e-9)
    narrow = compare_probes(base, tuned, confidence=0.5).records[0]
    assert row.low < narrow.low < narrow.high < row.high


def test_a_single_document_gives_no_interval(rng):
    one, other = (dataclasses.replace(result({"a": p}, rng), documents={"dev": np.zeros(N, int)}) for p in (0.5, 0.9))
    found = compare_probes(one, other)
    assert (found.n_documents, found.records[0].change) == (1, "unknown")
    assert np.isnan([found.records[0].low, found.records[0].high]).all()


def test_documents_are_paired(rng):
    """The same result twice: no interval, however much documents vary."""
    one = result({"a": 0.7}, rng)
    (row,) = compare_probes(one, one)
    assert (row.low, row.high, row.change) == (0, 0, "unchanged")


def test_equal_probes_are_rarely_called_different(rng):
    wrong = sum(
        row.change != "unchanged"
        for _ in range(60)
        for row in compare_probes(result({"a": 0.7}, rng), result({"a": 0.7}, rng))
    )
    assert wrong <= 9  # 3 are due


def test_table_and_file(rng, tmp_path):
    found = compare_probes(result({"a": 0.7}, rng), result({"a": 0.9}, rng), lexical_baseline=0.5)
    assert "lexical baseline 50.00" in found.table()
    assert "gained" in found.table()
    with open(found.to_csv(tmp_path / "v.csv"), newline="") as file:
        (row,) = csv.DictReader(file)
    assert float(row["low"]) == found.records[0].low
    without = compare_probes(result({"a": 0.7}, rng), result({"a": 0.9}, rng))
    assert np.isnan(without.records[0].share_of_context)
    assert "no lexical baseline" in without.table()


def test_results_that_cannot_be_paired(rng):
    one = result({"a": 0.7}, rng)
    with pytest.raises(RowMismatchError, match="the same records"):
        compare_probes(one, result({"a": 0.7}, rng, records="other"))
    with pytest.raises(RowMismatchError, match="pos and srl"):
        compare_probes(one, result({"a": 0.7}, rng, task="srl"))
    with pytest.raises(OptionError, match="share no member"):
        compare_probes(one, result({"b": 0.7}, rng))
    with pytest.raises(OptionError, match="base has no 'test'"):
        compare_probes(one, one, split="test")

"""Scores of probes with the jackknife over documents, against their definitions written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats

from pyrepsim.inference.resampling import degrees_of_freedom
from pyrepsim.probing.documents import Jackknifed, fieller_interval, jackknifed_f1


def f1(counts):
    true_positives, predicted, gold = counts.sum(0)
    precision = true_positives / predicted if predicted else 0.0
    recall = true_positives / gold if gold else 0.0
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def some_counts(rng, runs=3, sentences=40):
    gold = np.broadcast_to(rng.integers(0, 6, sentences), (runs, sentences))
    right = rng.binomial(gold, 0.7)
    return np.stack([right, right + rng.integers(0, 2, (runs, sentences)), gold], axis=-1)


@pytest.mark.parametrize("documents", [np.arange(40), np.arange(40) % 7, np.repeat([5, 0, 9, 2], [1, 20, 15, 4])])
def test_one_document_is_left_out_at_a_time(rng, documents):
    """Documents may be interleaved, and their numbers may have gaps and any order."""
    counts = some_counts(rng)
    found = jackknifed_f1(counts, documents)
    assert found.value == pytest.approx(np.mean([f1(run) for run in counts]), rel=1e-12)
    without = [np.mean([f1(run[documents != one]) for run in counts]) for one in np.unique(documents)]
    np.testing.assert_allclose(found.without, without, rtol=1e-12)
    assert found.n_documents == len(without)
    items = np.array([counts[:, documents == one, 1:].sum() for one in np.unique(documents)])
    assert found.effective == pytest.approx(items.sum() ** 2 / (items**2).sum())


def test_sentences_may_come_in_any_order(rng):
    counts, documents, order = some_counts(rng), np.arange(40) // 6, rng.permutation(40)
    first, second = jackknifed_f1(counts, documents), jackknifed_f1(counts[:, order], documents[order])
    assert first.value == second.value
    np.testing.assert_array_equal(first.without, second.without)


def test_without_the_only_document_with_gold_labels_f1_is_0():
    found = jackknifed_f1(np.array([[[2, 3, 4], [0, 0, 0]]]), np.array([0, 1]))
    assert found.value == pytest.approx(4 / 7)
    np.testing.assert_allclose(found.without, [0.0, 4 / 7])


def test_the_interval_and_p_are_those_of_students_t():
    """Values without each of four documents 0.1, 0.2, 0.2, 0.3: SE^2 = 3/4 * 0.02; kurtosis 2, so all three degrees."""
    one = Jackknifed(0.3, np.array([0.1, 0.2, 0.2, 0.3]))
    error = math.sqrt(0.75 * 0.02)
    assert one.standard_error == pytest.approx(error)
    half = scipy.stats.t.ppf(0.975, 3) * error
    assert one.interval() == pytest.approx((0.3 - half, 0.3 + half))
    assert one.interval(0.5) == pytest.approx((0.3 - 0.7648923 * error, 0.3 + 0.7648923 * error), rel=1e-6)
    assert one.p == pytest.approx(2 * scipy.stats.t.sf(0.3 / error, 3))
    assert one.times(-1.0).p == pytest.approx(one.p)


def test_few_documents_with_most_of_the_variance_give_fewer_degrees_of_freedom():
    """Two of twelve documents deviate, by 3: kurtosis 12 * 162 / 18^2 = 6, so 2 * 12 / 5 degrees."""
    one = Jackknifed(10.0, 5.0 + np.array([3.0, -3.0, *[0.0] * 10]))
    error = math.sqrt(11 / 12 * 18)
    half = scipy.stats.t.ppf(0.975, 4.8) * error
    assert one.interval() == pytest.approx((10 - half, 10 + half))
    assert one.p == pytest.approx(2 * scipy.stats.t.sf(10 / error, 4.8))


def test_few_large_documents_give_fewer_degrees_of_freedom():
    """Of 12 documents, 2 have 10 items and 10 have 1: effectively 30^2 / 210 = 4.3."""
    without = np.arange(12) / 12
    counts = np.array([[[1, 5, 5]] * 2 + [[0, 0, 1]] * 10])
    found = jackknifed_f1(counts, np.arange(12))
    assert found.effective == pytest.approx(30**2 / 210)
    for one in (found, found - Jackknifed(0.1, without), Jackknifed(0.1, without) + found, found.times(0.5)):
        assert one.effective == found.effective
    one = Jackknifed(0.5, without, found.effective)
    half = scipy.stats.t.ppf(0.975, 30**2 / 210 - 1) * one.standard_error
    assert one.interval() == pytest.approx((0.5 - half, 0.5 + half))
    assert Jackknifed(0.5, without, 1.2).degrees_of_freedom == 1.0
    assert jackknifed_f1(np.zeros((1, 3, 3)), np.arange(3)).effective == 1.0


def test_sums_and_differences_are_paired():
    one, other = Jackknifed(0.5, np.array([0.4, 0.6])), Jackknifed(0.2, np.array([0.1, 0.3]))
    assert ((one - other).value, (one + other).value) == pytest.approx((0.3, 0.7))
    assert (one - other).standard_error == pytest.approx(0.0, abs=1e-15)
    np.testing.assert_allclose((one + other).without, [0.5, 0.9])
    np.testing.assert_allclose(one.times(0.5).without, [0.2, 0.3])


def test_a_single_document_has_no_interval():
    one = Jackknifed(0.5, np.array([0.0]))
    assert np.isnan([one.standard_error, *one.interval(), one.p, *fieller_interval(one, one)]).all()


def test_values_of_rounding_are_not_significant():
    """0.1 + 0.2 - 0.3 in every document: a difference of rounding with a standard error of rounding."""
    one = Jackknifed(0.1 + 0.2 - 0.3, np.array([5e-17, 6e-17, 5e-17]))
    assert one.p == 1.0
    assert Jackknifed(0.25, np.array([0.25, 0.25, 0.25])).p == 0.0
    assert np.isnan(fieller_interval(Jackknifed(0.1, np.zeros(3)), one)).all()


def test_fiellers_interval_holds_the_ratios_that_are_not_rejected(rng):
    """At both ends, numerator - ratio denominator is t standard errors from 0; inside it is nearer."""
    noise = rng.standard_normal((2, 12)) / 12
    above, below = Jackknifed(0.3, 0.3 + 0.05 * noise[0]), Jackknifed(0.6, 0.6 + 0.05 * noise[1] + 0.02 * noise[0])
    low, high = fieller_interval(above, below)
    assert low < 0.5 < high
    t = scipy.stats.t.ppf(0.975, degrees_of_freedom((above - below.times(0.5)).without))
    for end in (low, high):
        residual = above - below.times(end)
        assert abs(residual.value) == pytest.approx(t * residual.standard_error)
    inside, outside = (above - below.times(ratio) for ratio in (0.9 * low + 0.1 * high, 1.1 * high))
    assert abs(inside.value) < t * inside.standard_error
    assert abs(outside.value) > t * outside.standard_error
    wider = fieller_interval(above, below, 0.99)
    assert wider[0] < low < high < wider[1]


def test_a_ratio_to_a_score_that_may_be_0_has_no_interval():
    """SE of the denominator 0.1 and t of 2 degrees of freedom 4.30: 0.43 is the bound."""
    without = np.array([-0.1, 0.0, 0.1]) * math.sqrt(3 / 4)  # sqrt(2/3 * 2 * 0.0075) = 0.1
    numerator = Jackknifed(0.1, np.zeros(3) + 0.1)
    t = scipy.stats.t.ppf(0.975, 2)
    assert Jackknifed(0.0, without).standard_error == pytest.approx(0.1)
    assert np.isnan(fieller_interval(numerator, Jackknifed(0.0999 * t, without))).all()
    assert np.isfinite(fieller_interval(numerator, Jackknifed(0.1001 * t, without))).all()


@pytest.mark.parametrize(("documents", "coverage"), [(12, 0.92), (80, 0.93)])
def test_intervals_cover_a_difference_of_paired_probes(rng, documents, coverage):
    """400 draws of documents of unequal lengths, with right answers that depend on the document."""
    covered = 0
    for _ in range(400):
        sizes = rng.integers(5, 60, documents)
        p = np.clip(0.7 + 0.1 * rng.standard_normal(documents), 0, 1)
        pair = [rng.binomial(sizes, np.clip(p + shift, 0, 1)) for shift in (0.0, 0.05)]
        scores = [jackknifed_f1(np.stack([one, sizes, sizes], -1)[None], np.arange(documents)) for one in pair]
        low, high = (scores[1] - scores[0]).interval()
        covered += low < 0.05 < high
    assert covered / 400 > coverage - 2 * math.sqrt(0.05 * 0.95 / 400)

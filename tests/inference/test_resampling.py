"""Intervals: their formulas against loops and SciPy, their coverage of a known truth, p-values under the null."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from pyrepsim.core.errors import DegenerateError, OptionError, ShapeError
from pyrepsim.inference import Bootstrap, Jackknife, max_statistic_p, permutation_p
from pyrepsim.inference.groups import group_numbers
from pyrepsim.inference.p_values import calibrated_value, critical_value, two_sided_p, value_rounding
from pyrepsim.inference.resampling import (
    bca_interval,
    bootstrap_weights,
    degrees_of_freedom,
    interval_of,
    jackknife_interval,
    jackknife_standard_error,
    jackknife_weights,
    percentile_interval,
    spread_interval,
    t_quantile,
)


@pytest.mark.parametrize("dof", [1, 2, 3, 4, 5, 30, 31, 63, 400, 4095])
def test_students_distribution(dof):
    for level in (0.1, 0.5, 0.9, 0.95, 0.999):
        assert t_quantile(level, dof) == pytest.approx(stats.t.ppf((1 + level) / 2, dof), rel=1e-10)


def test_draws_are_whole_blocks_and_their_beginning_does_not_depend_on_their_number():
    weights = bootstrap_weights(16, 500, seed=3)
    np.testing.assert_array_equal(weights.sum(axis=1), 16)
    np.testing.assert_array_equal(weights, np.round(weights))
    np.testing.assert_array_equal(bootstrap_weights(16, 100, seed=3), weights[:100])
    assert not np.array_equal(bootstrap_weights(16, 500, seed=4), weights)
    assert weights.mean() == 1
    assert weights.var() == pytest.approx(15 / 16, abs=0.05)  # multinomial: 1 - 1/S
    np.testing.assert_array_equal(jackknife_weights(3), [[0, 1, 1], [1, 0, 1], [1, 1, 0]])


def test_jackknife_against_a_loop():
    rows = np.random.default_rng(0).standard_normal(24)
    without = np.array([np.delete(rows, i).mean() for i in range(24)])
    # of a mean the jackknife gives the textbook standard error, exactly
    assert jackknife_standard_error(without) == pytest.approx(rows.std(ddof=1) / math.sqrt(24), rel=1e-12)
    low, high = jackknife_interval(rows.mean(), without, 0.9)
    dof = min(23, 2 * 24 / (stats.kurtosis(rows, fisher=False) - 1))
    expected = stats.t.interval(0.9, dof, rows.mean(), rows.std(ddof=1) / math.sqrt(24))
    assert (low, high) == pytest.approx(expected, rel=1e-9)


def test_degrees_of_freedom():
    assert degrees_of_freedom([-1.0, 1.0, -1.0, 1.0]) == 3  # a kurtosis of 1: all that there are
    assert degrees_of_freedom([-1.0, 0, 0, 1.0]) == 3  # a kurtosis of 2: 2 x 4 / 1 are more than there are
    one_of_twelve = np.eye(12)[3]
    kurtosis = 12 * (11**4 + 11) / (11**2 + 11) ** 2  # (11, -1, ..., -1) around the mean
    assert degrees_of_freedom(one_of_twelve) == pytest.approx(2 * 12 / (kurtosis - 1))
    assert degrees_of_freedom(one_of_twelve) < 3
    assert degrees_of_freedom(np.eye(400)[0]) == pytest.approx(2.0, abs=0.02)
    assert degrees_of_freedom([3.0, 4.0]) == 1
    values = np.array([-1.0, 0, 0, 0, 0, 0, 0, 1.0])  # a kurtosis of 4: 2 x 8 / 3 of 7
    assert degrees_of_freedom(values) == pytest.approx(16 / 3)
    assert degrees_of_freedom(np.full(5, 0.7)) == 4
    assert degrees_of_freedom(1e-120 * one_of_twelve) == pytest.approx(degrees_of_freedom(one_of_twelve))


def test_intervals_of_fishers_z():
    without = np.array([0.90, 0.93, 0.88, 0.97, 0.91])
    low, high = jackknife_interval(0.92, without, fisher=True)
    z_low, z_high = jackknife_interval(np.arctanh(0.92), np.arctanh(without))
    assert (low, high) == pytest.approx((np.tanh(z_low), np.tanh(z_high)), rel=1e-12)
    assert high < 1 < jackknife_interval(0.92, without)[1]
    for value, others in ((1.0, without), (0.9, np.append(without, 1.0)), (0.9, np.append(without, -1.2))):
        assert jackknife_interval(value, others, fisher=True) == jackknife_interval(value, others)


def test_intervals_of_the_jackknife_hold_where_few_blocks_carry_the_variance():
    """Coverage of the mean of 30 values of a heavy-tailed distribution; without its degrees of freedom it falls."""
    rng = np.random.default_rng(0)
    held = {"fewer": 0, "all": 0}
    for _ in range(1500):
        rows = rng.standard_t(3, 30) * np.exp(rng.standard_normal(30))
        without = (rows.sum() - rows) / 29
        half = stats.t.ppf(0.975, 29) * jackknife_standard_error(without)
        low, high = jackknife_interval(rows.mean(), without)
        held["fewer"] += low <= 0 <= high
        held["all"] += abs(rows.mean()) <= half
    assert 0.95 < held["fewer"] / 1500 < 0.995
    assert held["all"] < held["fewer"]


def test_bca_and_percentiles_are_scipys():
    rows = np.random.default_rng(1).exponential(size=40)
    found = stats.bootstrap((rows,), np.var, n_resamples=999, method="BCa", rng=np.random.default_rng(2))
    replicates = found.bootstrap_distribution
    without = np.array([np.var(np.delete(rows, i)) for i in range(40)])
    assert bca_interval(np.var(rows), replicates, without) == pytest.approx(tuple(found.confidence_interval), rel=1e-9)
    theirs = stats.bootstrap(
        (rows,), np.var, n_resamples=0, bootstrap_result=found, method="percentile", confidence_level=0.8
    )
    assert percentile_interval(replicates, 0.8) == pytest.approx(tuple(theirs.confidence_interval), rel=1e-12)


def test_where_nothing_varies_the_interval_is_the_value():
    replicates, without = np.full(100, 1.0), np.full(8, 1.0)
    for kind in ("bca", "percentile"):
        (low, high), about = interval_of(Bootstrap(kind=kind), 1.0, without, replicates)
        assert (low, high, about["kind"]) == (1.0, 1.0, kind)
    assert jackknife_interval(1.0, without) == (1.0, 1.0)


def test_biased_replicates_are_replaced_by_the_jackknife():
    rng = np.random.default_rng(0)
    replicates, without = 0.9 + 0.01 * rng.standard_normal(200), 0.8 + 0.001 * rng.standard_normal(16)
    with pytest.raises(DegenerateError, match="within the percentile interval"):
        bca_interval(0.8, replicates, without)
    interval, about = interval_of(Bootstrap(), 0.8, without, replicates)
    assert interval == jackknife_interval(0.8, without)
    assert about["kind"] == "jackknife"
    assert "percentile interval" in about["reason"]
    assert about["bias"] == pytest.approx(0.1, abs=0.01)
    one_rules = np.append(np.zeros(400), -1.0)
    with pytest.raises(DegenerateError, match="acceleration"):
        bca_interval(0.0, rng.standard_normal(200), one_rules, confidence=1 - 1e-10)


def test_details_of_the_bootstrap():
    replicates, without = np.array([0.1, 0.2, 0.4, 0.5] * 10), np.array([0.2, 0.3, 0.4])
    (low, high), about = interval_of(Bootstrap(kind="percentile", confidence=0.5, seed=7), 0.25, without, replicates)
    assert (low, high) == pytest.approx((np.quantile(replicates, 0.25), np.quantile(replicates, 0.75)))
    assert about["bias"] == pytest.approx(0.3 - 0.25)
    assert about["standard_error"] == pytest.approx(np.std(replicates, ddof=1), rel=1e-12)
    assert (about["n_resamples"], about["seed"], about["blocks"], about["confidence"]) == (40, 7, 3, 0.5)
    np.testing.assert_array_equal(about["without_block"], without)


def test_a_value_outside_of_its_replicates_has_no_bca_interval():
    replicates, without = np.linspace(0, 1, 101), np.array([0.2, 0.3, 0.4])
    for value in (-0.1, 0.02, 0.98, 1.1):
        with pytest.raises(DegenerateError, match="within the percentile interval"):
            bca_interval(value, replicates, without)
    for value in (0.03, 0.97):
        low, high = bca_interval(value, replicates, without)
        assert 0 <= low < high <= 1


def test_intervals_are_clipped_to_the_range():
    without = 1 - 0.01 * np.random.default_rng(0).random(16)
    (low, high), about = interval_of(Jackknife(), 0.999, without, None, (0.0, 1.0))
    assert low < 0.999
    assert high == 1.0
    assert about["standard_error"] == jackknife_standard_error(without)
    (_, high), _ = interval_of(Jackknife(), 1.001, without, None, (-1.0, 1.0))
    assert high == 1.001


@pytest.mark.parametrize("kind", ["bca", "percentile", "jackknife"])
def test_coverage_of_a_known_correlation(kind):
    """Rows come in documents of a few correlated rows: intervals that took rows as independent would be too narrow."""
    rng = np.random.default_rng(5)
    truth, simulations, blocks, each = 0.6, 300, 24, 6
    covered = narrow = 0
    weights = np.concatenate([np.ones((1, blocks)), jackknife_weights(blocks), bootstrap_weights(blocks, 400, seed=0)])
    for _ in range(simulations):
        z = 0.8 * rng.standard_normal((2, blocks, 1)) + 0.6 * rng.standard_normal((2, blocks, each))
        x, y = z[0], truth * z[0] + math.sqrt(1 - truth**2) * z[1]
        sums = np.stack([x.sum(1), y.sum(1), (x * x).sum(1), (y * y).sum(1), (x * y).sum(1)])
        n, (sx, sy, xx, yy, xy) = each * weights.sum(1), sums @ weights.T
        r = (xy - sx * sy / n) / np.sqrt((xx - sx * sx / n) * (yy - sy * sy / n))
        plan = Jackknife() if kind == "jackknife" else Bootstrap(kind=kind)
        (low, high), _ = interval_of(plan, r[0], r[1 : blocks + 1], r[blocks + 1 :])
        covered += low <= truth <= high
        half = 1.96 * (1 - r[0] ** 2) / math.sqrt(blocks * each)
        narrow += abs(r[0] - truth) <= half
    # cluster bootstraps of 24 blocks are a little narrow; beyond that, three binomial standard errors
    error = 3 * math.sqrt(0.95 * 0.05 / simulations)
    assert 0.92 - error < covered / simulations < 0.95 + error
    assert narrow / simulations < 0.75


def test_p_values_are_uniform_under_the_null():
    rng = np.random.default_rng(0)
    draws = rng.standard_normal((2000, 20, 5))
    single = np.array([permutation_p(draw[0, 0], draw[1:, 0]) for draw in draws])
    best = np.array([max_statistic_p(draw[0], draw[1:]).min() for draw in draws])
    for p in (single, best):
        assert stats.kstest(p - rng.random(2000) / 20, "uniform").pvalue > 0.01
    # the smallest of five separate p-values is not uniform; the maximum statistic corrects this
    naive = np.array([min(permutation_p(draw[0, k], draw[1:, k]) for k in range(5)) for draw in draws])
    assert np.mean(naive <= 0.05) > 0.15


def test_p_values_count_the_data_as_one_permutation():
    assert permutation_p(5.0, np.zeros(99)) == 0.01
    assert permutation_p(0.0, np.zeros(99)) == 1.0
    np.testing.assert_array_equal(max_statistic_p(np.array([2.0, 0.0]), np.array([[1.0, 0.0], [0.0, 3.0]])), [2 / 3, 1])
    with pytest.raises(ShapeError, match="a column for each statistic"):
        max_statistic_p(np.zeros(3), np.zeros((10, 2)))


def test_names_are_numbered_in_their_order():
    np.testing.assert_array_equal(group_numbers(["x", "y", "x", "", 3, "y"]), [0, 1, 0, 2, 3, 1])
    assert group_numbers([]).dtype == np.int64


def test_two_sided_p_values():
    for value, error, dof in ((1.5, 0.5, 3), (-1.5, 0.5, 2.5), (0.1, 2.0, 40)):
        assert two_sided_p(value, error, dof) == pytest.approx(2 * stats.t.sf(abs(value) / error, dof), rel=1e-10)
    assert two_sided_p(0.0, 0.0, 3) == two_sided_p(1e-9, 0.0, 3, rounding=1e-9) == 1.0
    assert two_sided_p(1e-8, 0.0, 3, rounding=1e-9) == 0.0


def test_critical_values_are_order_statistics():
    null = np.arange(19.0)
    assert critical_value(5.0, null, 0.05) == 17.0  # number 19 of 0, 1, ..., 5, 5, ..., 18
    assert critical_value(30.0, null, 0.05) == 18.0
    assert critical_value(5.0, null, 0.5) == 8.0  # number 10 of the same
    assert critical_value(5.0, null, 1.0) == 0.0
    assert critical_value(0.5, np.array([0.1]), 1e-9) == 0.5
    with pytest.raises(ShapeError, match="null values"):
        critical_value(0.5, np.array([]), 0.05)


def test_calibrated_values_are_fractions_of_what_is_above_chance():
    assert calibrated_value(0.7, 0.2, 1.0) == pytest.approx(0.625)
    assert calibrated_value(0.2, 0.2, 1.0) == 0.0
    assert calibrated_value(0.1, 0.2, 1.0) == 0.0
    assert calibrated_value(1.0, 0.2, 1.0) == 1.0
    assert calibrated_value(1.0 + 1e-12, 0.2, 1.0) == 1.0
    assert calibrated_value(1.0, 1.0, 1.0) == calibrated_value(1.0, 1.5, 1.0) == 0.0


def test_differences_that_may_be_rounding():
    assert value_rounding("fp64", 0.25, -0.5) == 0.5e-10
    assert value_rounding("fp32", -0.25, 0.125) == value_rounding(None, 0.25) == 0.25e-6


def test_spread_over_seeds():
    values = np.array([0.8, 0.82, 0.87])
    assert spread_interval(values, band="range") == (0.8, 0.87)
    mean, sd = values.mean(), values.std(ddof=1)
    assert spread_interval(values, band="sd") == pytest.approx((mean - sd, mean + sd))
    assert spread_interval(values) == pytest.approx(stats.t.interval(0.95, 2, mean, sd / math.sqrt(3)))


@pytest.mark.parametrize(
    ("make", "match"),
    [
        (lambda: Bootstrap(n_resamples=19), "n_resamples must be"),
        (lambda: Bootstrap(n_resamples=10**6 + 1), "n_resamples must be"),
        (lambda: Bootstrap(blocks=1), "blocks must be"),
        (lambda: Bootstrap(blocks=4097), "blocks must be"),
        (lambda: Bootstrap(seed=-1), "seed must be"),
        (lambda: Bootstrap(seed=2**63 + 1), "seed must be"),
        (lambda: Jackknife(blocks=1), "blocks must be"),
        (lambda: Jackknife(blocks=4097), "blocks must be"),
        (lambda: Jackknife(confidence=0.0), "confidence must be"),
        (lambda: Jackknife(confidence=1.0), "confidence must be"),
        (lambda: Bootstrap(kind="bc"), "kind must be"),
        (lambda: Bootstrap(seed=True), "seed must be"),
        (lambda: Bootstrap(seed=1.0), "seed must be"),
        (lambda: Jackknife(confidence=95), "confidence must be"),
        (lambda: spread_interval(np.ones(3), band="se"), "band must be"),
        (lambda: percentile_interval(np.ones(3), confidence=1.0), "confidence must be"),
    ],
)
def test_options_out_of_their_domain(make, match):
    with pytest.raises(OptionError, match=match):
        make()


def test_options_at_the_ends_of_their_domain():
    bootstrap = Bootstrap(n_resamples=20, blocks=2, seed=2**63)
    assert (bootstrap.n_resamples, bootstrap.blocks, bootstrap.seed) == (20, 2, 2**63)
    assert Bootstrap(n_resamples=10**6, blocks=4096, seed=0).blocks == 4096
    assert [Jackknife(blocks=blocks).blocks for blocks in (2, 4096)] == [2, 4096]
    assert Jackknife() == Jackknife(blocks=32, confidence=0.95)
    assert Bootstrap() == Bootstrap(n_resamples=1000, blocks=32, confidence=0.95, seed=0, kind="bca")


def test_values_that_are_not_finite():
    with pytest.raises(ShapeError, match="finite numbers"):
        jackknife_standard_error(np.array([1.0]))
    with pytest.raises(ShapeError, match="finite numbers"):
        percentile_interval(np.array([1.0, np.nan]))

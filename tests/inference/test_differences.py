"""P-values of differences against SciPy, and Holm's adjustment against its definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from pyrepsim.core.errors import OptionError
from pyrepsim.inference import differences, holm, over_seeds
from pyrepsim.results import Score, Scores


def score_of(value: float, without_block: np.ndarray, digest: str = "") -> Scores:
    interval = {"without_block": without_block, "digest": digest}
    return Scores([Score(value, measure="LinearCKA", n_samples=100, details={"interval": interval})])


@pytest.mark.parametrize("n_blocks", [2, 3, 4, 5, 31, 64, 400])
def test_p_values_are_two_sided_students(n_blocks):
    rng = np.random.default_rng(n_blocks)
    values = rng.standard_normal((2, n_blocks))
    for distance in (0.0, 0.3, 2.0, 9.0):
        sides = [score_of(distance * side, values[side]) for side in (0, 1)]
        (paired,) = differences(*sides, paired=True, confidence=0.9)
        error, dof = paired.details["standard_error"], paired.details["degrees_of_freedom"]
        expected = n_blocks - 1.0
        if n_blocks > 2:
            kurtosis = stats.kurtosis(values[0] - values[1], fisher=False)
            expected = min(expected, max(2 * n_blocks / (kurtosis - 1), 2.0))
        assert dof == pytest.approx(expected, rel=1e-9)
        assert paired.details["p"] == pytest.approx(2 * stats.t.sf(distance / error, dof), rel=1e-11, abs=1e-15)
        half = stats.t.ppf(0.95, dof) * error
        assert paired.interval == pytest.approx((-distance - half, -distance + half), rel=1e-10)


def test_holm_is_its_definition():
    rng = np.random.default_rng(0)
    for m in (1, 2, 7, 13):
        p = np.round(rng.random(m), 1) / 5  # with ties
        expected, largest = np.empty(m), 0.0
        for i, place in enumerate(np.argsort(p, kind="stable")):
            largest = max(largest, min(1.0, (m - i) * p[place]))
            expected[place] = largest
        np.testing.assert_allclose(holm(p), expected, rtol=1e-15)
    assert holm([]).shape == (0,)


def test_a_difference_is_described_as_the_first_score():
    first, second = (score_of(value, np.arange(4.0) * value) for value in (0.7, 0.2))
    first = Scores([replace(first[0], provenance={"backend": "cpu", "model": "base", "precision": "fp64"})])
    second = Scores([replace(second[0], n_samples=30, provenance={"backend": "cpu", "model": "tuned"})])
    (found,) = differences(first, second, paired=False)
    assert found.provenance == {
        "backend": "cpu",
        "interval": {"kind": "jackknife of differences", "confidence": 0.95},
    }
    assert (found.value, found.n_samples, found.measure) == (0.7 - 0.2, 100, "LinearCKA")
    assert (found.details["first"], found.details["second"]) == (0.7, 0.2)


def test_a_difference_of_rounding_is_no_evidence():
    for value, p in ((0.5e-6 * 0.5, 1.0), (2e-6 * 0.5, None)):
        sides = [score_of(one, np.full(4, one)) for one in (0.5 + value, 0.5)]
        (found,) = differences(*sides, paired=True)
        assert found.details["p"] == (0.0 if p is None else p)


def test_degrees_of_freedom_of_two_variances():
    first, second = np.array([0.0, 1.0, 2.0, 3.0, 4.0]), np.array([0.0, 3.0, 6.0])
    (found,) = differences(score_of(2.0, first), score_of(1.0, second), paired=False)
    variances = [(n - 1) / n * np.sum((one - one.mean()) ** 2) for n, one in ((5, first), (3, second))]
    expected = sum(variances) ** 2 / (variances[0] ** 2 / 4 + variances[1] ** 2 / 2)  # Welch & Satterthwaite
    assert found.details["degrees_of_freedom"] == pytest.approx(expected)
    assert found.details["standard_error"] == pytest.approx(np.sqrt(sum(variances)))
    assert found.details["paired"] is False
    constant = np.full(3, 2.0)
    (none,) = differences(score_of(2.0, constant), score_of(1.0, np.full(5, 1.0)), paired=False)
    assert (none.details["degrees_of_freedom"], none.details["p"]) == (2, 0.0)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 1.5, -0.1])
def test_confidence_is_a_fraction(confidence):
    scores = score_of(1.0, np.arange(4.0))
    with pytest.raises(OptionError, match="confidence must be a fraction"):
        differences(scores, scores, paired=True, confidence=confidence)


def test_a_mean_over_seeds_is_described_as_the_first_run():
    runs = [score_of(value, np.arange(4.0)) for value in (0.5, 0.7)]
    runs[1] = Scores([replace(runs[1][0], n_samples=7)])
    (mean,) = over_seeds(runs)
    assert (mean.value, mean.n_samples) == (pytest.approx(0.6), 100)
    assert mean.details["standard_deviation"] == pytest.approx(np.std([0.5, 0.7], ddof=1))
    layers = [{"backend": "cpu", "layer": layer} for layer in (1, 1, 2)]
    (of_three,) = over_seeds([Scores([replace(runs[0][0], provenance=one)]) for one in layers])
    assert of_three.provenance.keys() == {"backend", "interval"}
    other = Scores([replace(runs[0][0], measure="RSA")])
    for several in ([runs[0]], [runs[0], other], [other, runs[0]]):
        with pytest.raises(OptionError, match="at least two seeds"):
            over_seeds(several)

"""Scores of calibrated_similarity with measures of pyrepsim are those of the definition, for the same permutations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.comparison.permutation import permuted_rows
from pyrepsim.core.errors import OptionError
from pyrepsim.integrations import calibrated_similarity as integration
from pyrepsim.integrations import calls

MEASURES = ["LinearCKA", "LinearCKA(debiased=True)", "MutualKNN(k=5)", "RSA(compare='spearman')", "SVCCA"]


@pytest.fixture
def library() -> Any:
    return pytest.importorskip("calibrated_similarity")


def layers(seed: int = 0, n: int = 60) -> list[Any]:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, 10))
    return [torch.from_numpy(x.astype(np.float32)) for x in (X, X[:, :6] + rng.standard_normal((n, 6)))]


def permutations(n: int, seed: int = 3) -> Any:
    """The same permutations again for the same seed, as `perm_fn` takes them."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    return lambda *_: torch.randperm(n, generator=generator)


@pytest.mark.parametrize("text", MEASURES)
def test_scores_are_those_of_the_definition(library, text: str):
    X, Y = layers()
    draw = permutations(60)
    observed, *null = (
        rs.compare(X, Y[order], text).value  # type: ignore[union-attr]
        for order in [slice(None), *(draw() for _ in range(40))]
    )
    before = calls["calibrated_similarity.sim"]
    score, p, tau = library.calibrate(X, Y, integration.sim(text), K=40, perm_fn=permutations(60))
    assert calls["calibrated_similarity.sim"] == before + 41
    threshold = sorted([observed, *null])[math.ceil(0.95 * 41) - 1]
    assert float(tau) == pytest.approx(threshold, rel=1e-6)
    assert float(p) == pytest.approx((1 + sum(value >= observed for value in null)) / 41, rel=1e-6)
    assert float(score) == pytest.approx(max(observed - threshold, 0) / (1 - threshold), rel=1e-4)


@pytest.mark.parametrize("text", ["LinearCKA", "LinearCKA(debiased=True)"])
def test_our_thresholds_are_the_same(library, text: str):
    import torch

    X, Y = layers()
    (score,) = rs.permutation_test(X, Y, text, n_resamples=40, seed=1, alpha=0.1)
    drawn = (torch.from_numpy(permuted_rows(60, None, seed=1, index=index)) for index in range(40))
    found = library.calibrate(X, Y, integration.sim(text), K=40, alpha=0.1, perm_fn=lambda *_: next(drawn))
    result = score.details["permutation"]
    assert [result[name] for name in ("calibrated", "p", "threshold")] == pytest.approx(
        list(map(float, found)), rel=1e-5
    )


@pytest.mark.parametrize("text", ["LinearCKA", "MutualKNN(k=5)"])
def test_the_best_pair_of_layers(library, text: str):
    first, second = layers(0), layers(1)
    _, p, _ = library.calibrate_layers(first, [*first, second[0]], integration.sim(text), K=30)
    assert float(p) == pytest.approx(1 / 31)
    _, p, _ = library.calibrate_layers(first, second, integration.sim(text), K=30, perm_fn=permutations(60))
    assert float(p) > 0.05


@pytest.mark.parametrize("text", MEASURES)
def test_values_are_those_of_compare(text: str):
    X, Y = layers()
    measure = integration.sim(text)
    assert measure(X, Y) == rs.compare(X, Y, text).value  # type: ignore[union-attr]
    assert integration.sim(rs.parse_measure(text), precision="fp64")(X.numpy(), Y.numpy()) == pytest.approx(
        measure(X, Y), rel=1e-4
    )


@pytest.mark.parametrize(
    "text", ["GULP", "ShapeMetric", "RSA(metric='euclidean', compare='euclidean')", "Magnitude", "Uniformity"]
)
def test_distances_are_refused(text: str):
    with pytest.raises(OptionError, match="distance"):
        integration.sim(text)


def test_unknown_measures_are_refused():
    with pytest.raises(OptionError):
        integration.sim("NoSuchMeasure")

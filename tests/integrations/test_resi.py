"""Measures of ReSi, computed by pyrepsim, have the values of ReSi, for every shape that it takes."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import DegenerateError, MissingExtraError, NonFiniteError
from pyrepsim.integrations import calls
from pyrepsim.integrations import resi as integration

pytestmark = pytest.mark.filterwarnings("ignore")

try:
    from repsim.measures import ALL_MEASURES as THEIRS

    OURS: dict[str, Any] = integration.measures(n_threads=1)
except (ImportError, MissingExtraError):
    THEIRS, OURS = {}, {}
with_resi = pytest.mark.skipif(not OURS, reason="ReSi (the package repsim of mklabunde/resi) cannot be imported")
SHARED = sorted(name for name in integration.MEASURES if "." not in name)


def pair(rng: np.random.Generator, shape: str = "nd", widths: tuple[int, int] = (9, 9), n: int = 60) -> list[Any]:
    """Two representations that have something in common, with means other than 0."""
    X = rng.standard_normal((n, widths[0])) + 0.3
    Y = 0.4 * (X @ rng.standard_normal(widths) + rng.standard_normal((n, widths[1])))
    if shape == "ntd":
        return [x.reshape(n // 4, 4, -1) for x in (X, Y)]
    if shape == "nchw":
        return [x.reshape(n // 4, 2, 2, -1).transpose(0, 3, 1, 2) for x in (X, Y)]
    return [X, Y]


@with_resi
@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("widths", [(9, 9), (9, 5), (5, 9)], ids=str)
@pytest.mark.parametrize("shape", ["nd", "ntd"])
def test_values_are_those_of_resi(rng, name: str, widths: tuple[int, int], shape: str):
    X, Y = pair(rng, shape, widths)
    before = calls[f"repsim.measures.{name}"]
    found = OURS[name](X, Y, shape)
    assert isinstance(found, float)
    assert found == pytest.approx(float(THEIRS[name](X, Y, shape)), rel=1e-9, abs=1e-9)
    assert calls[f"repsim.measures.{name}"] == before + 1


@with_resi
@pytest.mark.parametrize("name", SHARED)
@pytest.mark.parametrize("same_size", [True, False])
def test_images_are_those_of_resi(rng, name: str, same_size: bool):
    import torch

    X, Y = (torch.from_numpy(np.ascontiguousarray(x)) for x in pair(rng, "nchw", (3, 3), n=400))
    if not same_size:  # measures that take pixels as rows average over 2 x 2 pixels
        X = X.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    assert OURS[name](X, Y, "nchw") == pytest.approx(float(THEIRS[name](X, Y, "nchw")), rel=1e-9, abs=1e-9)


@with_resi
@pytest.mark.parametrize("name", SHARED)
def test_declarations_are_those_of_resi(name: str):
    declared = {key: item for key, item in vars(THEIRS[name]).items() if key != "sim_func"}
    assert declared == {key: item for key, item in vars(OURS[name]).items() if key != "sim_func"}
    assert type(OURS[name]) is type(THEIRS[name])
    assert pickle.loads(pickle.dumps(OURS[name])).name == name


@with_resi
def test_all_but_three_are_there():
    assert set(THEIRS) - set(SHARED) == {"GeometryScore", "IMDScore", "RTD", "PWCCA", "SVCCA"}


@with_resi
@pytest.mark.parametrize("name", ["JaccardSimilarity", "RankSimilarity"])
def test_options_of_calls(rng, name: str):
    X, Y = pair(rng)
    options: dict[str, Any] = {"k": 4, "inner": "euclidean", "n_jobs": 1}
    found = OURS[name](X, Y, "nd", **options)
    assert found == pytest.approx(THEIRS[name](X, Y, "nd", **options), rel=1e-9)
    assert found != OURS[name](X, Y, "nd")


@with_resi
@pytest.mark.parametrize("name", ["HardCorrelationMatch", "SoftCorrelationMatch"])
def test_constant_features_correlate_0(rng, name: str):
    X, Y = pair(rng)
    X[:, 2], Y[:, 3:5] = 1.0, 0.0
    assert OURS[name](X, Y, "nd") == pytest.approx(THEIRS[name](X, Y, "nd"), rel=1e-9)


@with_resi
def test_rows_of_zeros_are_left_out_of_aligned_cosines(rng):
    X, Y = pair(rng)
    X[3] = Y[7] = 0.0
    name = "AlignedCosineSimilarity"
    assert OURS[name](X, Y, "nd") == pytest.approx(THEIRS[name](X, Y, "nd"), rel=1e-9)
    with pytest.raises(DegenerateError, match="other than 0"):
        OURS[name](np.where(np.arange(60)[:, None] < 5, X, 0), np.where(np.arange(60)[:, None] < 5, 0, Y), "nd")


@with_resi
def test_float32_in_float32(rng):
    X, Y = (x.astype(np.float32) for x in pair(rng, n=200))
    ours = integration.measures(precision="fp32")
    for name in SHARED:
        assert ours[name](X, Y, "nd") == pytest.approx(float(THEIRS[name](X, Y, "nd")), rel=2e-4, abs=2e-4), name


@with_resi
def test_names_of_papers(rng):
    X, Y = pair(rng)
    for name, measure in (("pyrepsim.SVCCA", rs.SVCCA()), ("pyrepsim.PWCCA", rs.PWCCA())):
        assert OURS[name].name == name
        assert OURS[name](X, Y, "nd") == rs.compare(X, Y, measure, precision="fp64").value  # type: ignore[union-attr]


@with_resi
def test_any_other_measure(rng):
    X, Y = pair(rng, "ntd")
    made: Any = integration.measure("MutualKNN(k=5)")
    assert (made.name, made.larger_is_more_similar, made.is_symmetric) == ("pyrepsim.MutualKNN(k=5)", True, True)
    assert (made.invariant_to_ortho, made.invariant_to_translation) == (True, False)
    rows = [x.reshape(60, -1) for x in (X, Y)]
    assert made(X, Y, "ntd") == rs.compare(*rows, rs.MutualKNN(k=5), precision="fp64").value  # type: ignore[union-attr]
    for distance in ("GULP", "RSA(compare='euclidean')", "Uniformity", "ShapeMetric"):
        assert not integration.measure(distance).larger_is_more_similar
    assert integration.measure(rs.CCA()).invariant_to_affine


@with_resi
@pytest.mark.parametrize("name", SHARED)
def test_nan_is_refused(rng, name: str):
    X, Y = pair(rng)
    X[3, 2] = np.nan
    with pytest.raises(NonFiniteError):
        OURS[name](X, Y, "nd")


def test_without_resi(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "repsim.measures", None)
    with pytest.raises(MissingExtraError, match="mklabunde/resi"):
        integration.measures()

"""The sweeps of the GPU, on the emulated kernels and on a device if there is one, compared with NumPy in float64."""

from __future__ import annotations

import importlib

import ml_dtypes
import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.backends import reference
from pyrepsim.core.errors import OptionError, ShapeError
from pyrepsim.pairwise.engine import PairwiseEngine
from tests.helpers.backends import CUDA, register_emulated

TRANSFORMS = {"cosine": "unit", "angular": "unit", "correlation": "unit_centred"}
METRICS = ["dot", "cosine", "correlation", "sqeuclidean", "euclidean", "angular", "manhattan", "chebyshev"]
PRODUCTS = METRICS[:6]
TOLERANCE = {"fp64": 1e-12, "fp32": 1e-6, "fast": 1e-3}  # of the largest entry
MODULES = {"cuda": "pyrepsim.backends.cuda", "cuda-emulated": "tests.cuda_emulation.backend"}


@pytest.fixture(params=CUDA, scope="module")
def backend(request):
    return importlib.import_module(MODULES[request.param])


def layers(n, widths, *, seed=0, dtype=np.float32):
    """Related layers with a rogue feature, two equal rows, and rows close to each other."""
    rng = np.random.default_rng(seed)
    made = []
    for width in widths:
        rows = rng.standard_normal((n, width)) + np.linspace(0, 1, n)[:, None]
        rows[:, 0] += 50
        if n > 9:
            rows[7] = rows[3]
            rows[9] = rows[2] + 1e-3 * rng.standard_normal(width)
        made.append(rows.astype(dtype))
    return made


def packed(backend, rows, metric, precision, blocks=None):
    transform = TRANSFORMS.get(metric, "raw")
    shift = None if metric == "dot" else reference.mean_row(rows, transform)
    blocks = np.array([0, len(rows)]) if blocks is None else np.asarray(blocks)
    return backend.Panels(rows, transform=transform, shift=shift, precision=precision, blocks=blocks, n_threads=1)


def placed(backend, rows, shift, precision):
    blocks = np.array([0, len(rows)])
    return backend.Panels(rows, transform="raw", shift=shift, precision=precision, blocks=blocks, n_threads=1)


def ran(sweep):
    sweep.run(0, sweep.n_tasks, 1)
    return sweep.result()


def square(x, y, metric):
    """Distances in float64 by differences; None: among the rows of x."""
    u = packed(reference, x, metric, "fp64")
    v = u if y is None else packed(reference, y, metric, "fp64")
    if y is not None and metric != "dot":  # one shift for both
        shift = reference.mean_row(x, TRANSFORMS.get(metric, "raw"))
        v.rows = reference.transformed(y, TRANSFORMS.get(metric, "raw")) - shift
    return ran(
        reference.DistanceSweep(u, v, metric=metric, out=np.empty((len(x), len(u.rows) if y is None else len(y))))
    )


@pytest.mark.parametrize("precision", ["fp64", "fp32", "fast"])
@pytest.mark.parametrize("metric", METRICS)
def test_distances_among_rows(backend, metric, precision):
    if precision == "fast" and metric not in PRODUCTS:
        pytest.skip("refused: see test_refusals")
    (x,) = layers(261, [37])
    panels = packed(backend, x, metric, precision)
    out = ran(backend.DistanceSweep(panels, None, metric=metric, out=np.full(33930, -1.0)))
    expected = square(x, None, metric)[np.triu_indices(261, 1)]
    np.testing.assert_allclose(out, expected, rtol=0, atol=TOLERANCE[precision] * np.abs(expected).max())
    twins = 3 * (2 * 261 - 3 - 1) // 2 + 7 - 3 - 1
    assert metric == "dot" or out[twins] == 0


@pytest.mark.parametrize("precision", ["fp64", "fp32"])
def test_near_rows_keep_their_digits(backend, precision):
    (x,) = layers(40, [300], dtype=np.float64)
    if precision == "fp32":
        x = x.astype(np.float32)
    panels = packed(backend, x, "euclidean", precision)
    out = ran(backend.DistanceSweep(panels, None, metric="euclidean", out=np.empty(780)))
    near = 2 * (2 * 40 - 2 - 1) // 2 + 9 - 2 - 1
    expected = np.linalg.norm(x[2].astype(np.float64) - x[9])
    assert out[near] == pytest.approx(expected, rel=1e-12 if precision == "fp64" else 1e-3)  # of rows rounded once
    assert expected < 0.05


@pytest.mark.parametrize(("n", "m", "d"), [(1, 1, 1), (2, 130, 3), (97, 5, 1), (129, 300, 65)])
def test_distances_between_two_sets(backend, n, m, d):
    (x,), (y,) = layers(n, [d]), layers(m, [d], seed=1)
    shift = reference.mean_row(x, "raw")
    sides = [
        backend.Panels(
            rows, transform="raw", shift=shift, precision="fp32", blocks=np.array([0, len(rows)]), n_threads=1
        )
        for rows in (x, y)
    ]
    out = ran(backend.DistanceSweep(*sides, metric="euclidean", out=np.full((n, m), np.nan, np.float32)))
    expected = square(x, y, "euclidean")
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-6 * (np.abs(expected).max() + 50))


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float64])
def test_element_types_of_rows(backend, dtype):
    (x,) = layers(50, [20])
    x = x.astype(dtype)
    out = ran(backend.DistanceSweep(packed(backend, x, "dot", "fp64"), None, metric="dot", out=np.empty(1225)))
    exact = x.astype(np.float64)
    np.testing.assert_allclose(out, (exact @ exact.T)[np.triu_indices(50, 1)], rtol=1e-12)


def block_sums(values, blocks):
    """Sums of the upper triangle of an n x n matrix over pairs of blocks."""
    upper = np.triu(values, 1)
    cuts = np.asarray(blocks[:-1])
    return np.add.reduceat(np.add.reduceat(upper, cuts, axis=0), cuts, axis=1)


@pytest.mark.parametrize("precision", ["fp64", "fp32", "fast"])
@pytest.mark.parametrize("tile", [(128, 128), (256, 128), (128, 384), None])
def test_sums_over_pairs_of_blocks(backend, precision, tile):
    blocks = [0, 1, 90, 128, 200, 301]
    rows = layers(301, [24, 40, 9])
    pairs, origins = [(0, 1), (2, 0)], [0.5, 1.0, 0.25]
    panels = [packed(backend, x, "cosine", precision, blocks) for x in rows]
    sweep = backend.SumSweep(panels, pairs, metric="cosine", maps=[None] * 3, origins=origins, row_sums=True, tile=tile)
    sums = ran(sweep)
    v = [square(x, None, "cosine") - origin for x, origin in zip(rows, origins, strict=True)]
    tolerance = {"fp64": 1e-12, "fp32": 1e-6, "fast": 1e-3}[precision]
    np.testing.assert_array_equal(sums["entries"], block_sums(np.ones((301, 301)), blocks))
    scale = np.maximum(sums["entries"], 1)
    for k in range(3):
        assert np.abs(sums["first"][k] - block_sums(v[k], blocks)).max() < tolerance * scale.max()
        np.testing.assert_allclose(sums["first"][k] / scale, block_sums(v[k], blocks) / scale, rtol=0, atol=tolerance)
        np.testing.assert_allclose(sums["second"][k] / scale, block_sums(v[k] ** 2, blocks) / scale, atol=tolerance)
        off = v[k] * (1 - np.eye(301))
        np.testing.assert_allclose(sums["rows"][k] / 300, off.sum(axis=1) / 300, rtol=0, atol=tolerance)
    for p, (i, j) in enumerate(pairs):
        np.testing.assert_allclose(sums["cross"][p] / scale, block_sums(v[i] * v[j], blocks) / scale, atol=tolerance)


@pytest.mark.parametrize("metric", METRICS)
def test_sums_of_every_metric(backend, metric):
    rows = layers(140, [12, 15])
    panels = [packed(backend, x, metric, "fp32") for x in rows]
    sums = ran(backend.SumSweep(panels, [(0, 1)], metric=metric, maps=[None] * 2, origins=[0.0] * 2, row_sums=False))
    v = [np.triu(square(x, None, metric), 1) for x in rows]
    np.testing.assert_allclose(sums["first"][:, 0, 0], [x.sum() for x in v], rtol=1e-6)
    np.testing.assert_allclose(sums["second"][:, 0, 0], [(x * x).sum() for x in v], rtol=1e-6)
    np.testing.assert_allclose(sums["cross"][0, 0, 0], (v[0] * v[1]).sum(), rtol=1e-6)


@pytest.mark.parametrize("precision", ["fp32", "fast"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean", "sqeuclidean"])
@pytest.mark.parametrize("mapped", [False, True])
def test_fused_sums(backend, metric, precision, mapped):
    """The kernel for Hopper's tensor cores compared with tiles in float64, with blocks that end inside its tiles."""
    rows = layers(2500, [200, 72])
    blocks = [0, 1, 300, 1024, 1100, 2049, 2500]
    exact = [packed(backend, x, metric, "fp64", blocks) for x in rows]
    panels = [packed(backend, x, metric, precision, blocks) for x in rows]
    top = {"cosine": 2.0, "euclidean": 60.0, "sqeuclidean": 2000.0}[metric]
    maps = [("table", 0.0, top, np.linspace(-1, 1, 512).astype(np.float32)), ("rbf", 1 / top)] if mapped else [None] * 2
    options = {
        "metric": metric,
        "maps": maps,
        "origins": [0.0, 0.0] if mapped else [top / 4, top / 5],
        "row_sums": False,
    }
    sweep = backend.SumSweep(panels, [(0, 1)], fused=True, **options)
    if not sweep.fused:
        pytest.skip("needs a GPU of compute capability 9.0")
    sums, again = ran(sweep), ran(backend.SumSweep(panels, [(0, 1)], fused=True, **options))
    expected = ran(backend.SumSweep(exact, [(0, 1)], **options))
    size = 1.0 if mapped else top
    scale = np.maximum(sums["entries"], 30)  # sums of small blocks have larger relative errors
    tolerance = {"fp32": 3e-5 if mapped else 2e-6, "fast": 2e-3}[precision]  # an entry may fall into the next bin
    for name, power in (("first", 1), ("second", 2), ("cross", 2)):
        error = np.abs(sums[name] - expected[name]) / scale / size**power
        assert error.max() < tolerance * (20 if name == "cross" else 1), (name, error.max())
        assert np.array_equal(sums[name], again[name])


def test_sums_of_mapped_entries(backend):
    rows = layers(150, [12, 15])
    table = np.random.default_rng(0).random(64).astype(np.float32)
    maps = [("rbf", 0.05), ("table", 1.0, 40.0, table)]
    panels = [packed(backend, x, "sqeuclidean", "fp64") for x in rows]
    sums = ran(backend.SumSweep(panels, [(0, 1)], metric="sqeuclidean", maps=maps, origins=[0.1, 0.2], row_sums=False))
    upper = np.triu_indices(150, 1)
    v = [square(x, None, "sqeuclidean")[upper] for x in rows]
    mapped = [
        np.exp(-0.05 * v[0]) - 0.1,
        table.astype(float)[np.clip(np.floor((v[1] - 1) * 64 / 39), 0, 63).astype(int)] - 0.2,
    ]
    np.testing.assert_allclose(sums["first"][:, 0, 0], [x.sum() for x in mapped], rtol=1e-9)
    np.testing.assert_allclose(sums["cross"][0, 0, 0], mapped[0] @ mapped[1], rtol=1e-9)


def test_the_same_bits_again_and_for_any_slices(backend):
    rows = layers(301, [24, 24])
    panels = [packed(backend, x, "euclidean", "fp32", [0, 100, 301]) for x in rows]

    def sums(cuts):
        sweep = backend.SumSweep(
            panels, [(0, 1)], metric="euclidean", maps=[None] * 2, origins=[1.0] * 2, row_sums=True, tile=(128, 128)
        )
        for begin, end in cuts:
            sweep.run(begin, end, 1)
        return sweep.result()

    whole, sliced = sums([(0, 3)]), sums([(0, 1), (1, 3)])
    assert all(np.array_equal(whole[name], sliced[name]) for name in whole)


def test_layers_of_equal_rows_have_equal_sums(backend):
    (x,) = layers(200, [16])
    panels = [packed(backend, x, "euclidean", "fp32") for _ in range(2)]
    sums = ran(
        backend.SumSweep(panels, [(0, 1)], metric="euclidean", maps=[None] * 2, origins=[7.0] * 2, row_sums=False)
    )
    assert sums["second"][0, 0, 0] == sums["second"][1, 0, 0] == sums["cross"][0, 0, 0]


def test_counts_of_distances(backend):
    rows = layers(301, [24, 24])
    panels = [packed(backend, x, "cosine", "fp64") for x in rows]
    low, high, bins = 0.01, [1.2, 1.3], 40
    upper = np.triu_indices(301, 1)
    places = [
        np.clip(np.floor((square(x, None, "cosine")[upper] - low) * bins / (top - low)), 0, bins - 1).astype(int)
        for x, top in zip(rows, high, strict=True)
    ]
    counts = ran(backend.HistogramSweep(panels, metric="cosine", low=low, high=high, bins=bins))
    assert counts.dtype == np.uint64
    for k in range(2):
        np.testing.assert_array_equal(counts[k], np.bincount(places[k], minlength=bins))
    joint = ran(backend.JointHistogramSweep(panels, [(1, 0)], metric="cosine", low=low, high=high, bins=bins))
    expected = np.bincount(places[1] * bins + places[0], minlength=bins * bins).reshape(1, bins, bins)
    np.testing.assert_array_equal(joint, expected)


@pytest.mark.parametrize("bins", [1, 33, 5000])
def test_counts_in_float32_are_of_the_same_distances(backend, bins):
    rows = layers(520, [24, 24])
    panels = [packed(backend, x, "euclidean", "fp32") for x in rows]
    counts = ran(backend.HistogramSweep(panels, metric="euclidean", low=0.5, high=12.0, bins=bins))
    for made, held in zip(panels, counts, strict=True):
        out = ran(backend.DistanceSweep(made, None, metric="euclidean", out=np.empty(520 * 519 // 2, np.float32)))
        places = np.clip(np.floor((out.astype(float) - 0.5) * (bins / 11.5)), 0, bins - 1).astype(int)
        np.testing.assert_array_equal(held, np.bincount(places, minlength=bins))


@pytest.mark.parametrize("metric", ["euclidean", "dot", "manhattan"])
@pytest.mark.parametrize("k", [1, 33, 100])
def test_neighbours_and_ties(backend, metric, k):
    x = np.random.default_rng(0).integers(-2, 3, (261, 4)).astype(np.float32)  # many ties, small whole numbers
    panels = placed(backend, x, None, "fp32")
    indices, values = ran(backend.NeighbourSweep(panels, None, metric=metric, k=k))
    full = square(x, None, metric) * (-1 if metric == "dot" else 1)
    full = np.sqrt(np.round(full**2)) if metric == "euclidean" else np.round(full)  # ties, in spite of the shift
    np.fill_diagonal(full, np.inf)
    expected = np.argsort(full, axis=1, kind="stable")[:, :k]
    np.testing.assert_array_equal(indices, expected)
    sign = -1 if metric == "dot" else 1
    np.testing.assert_allclose(values, sign * np.take_along_axis(full, expected, axis=1), rtol=1e-6)


def test_neighbours_in_another_set(backend):
    (x,), (y,) = layers(30, [8]), layers(300, [8], seed=1)
    shift = reference.mean_row(x, "raw")
    sides = [
        backend.Panels(
            rows, transform="raw", shift=shift, precision="fp64", blocks=np.array([0, len(rows)]), n_threads=1
        )
        for rows in (x, y)
    ]
    indices, values = ran(backend.NeighbourSweep(*sides, metric="euclidean", k=7))
    full = square(x, y, "euclidean")
    expected = np.argsort(full, axis=1, kind="stable")[:, :7]
    np.testing.assert_array_equal(indices, expected)
    np.testing.assert_allclose(values, np.take_along_axis(full, expected, axis=1), rtol=1e-10)


def test_means_of_rows(backend):
    (x,) = layers(300, [24])
    for transform in ("raw", "unit", "unit_centred"):
        np.testing.assert_allclose(backend.mean_row(x, transform, 1), reference.mean_row(x, transform), atol=1e-14)


def test_refusals(backend):
    x, y = layers(40, [8, 8])
    fast, full = packed(backend, x, "euclidean", "fast"), packed(backend, y, "euclidean", "fp64")
    with pytest.raises(OptionError, match="inner products"):
        backend.DistanceSweep(fast, None, metric="manhattan", out=np.empty(780))
    with pytest.raises(OptionError, match="one precision"):
        backend.SumSweep([fast, full], [], metric="cosine", maps=[None] * 2, origins=[0.0] * 2, row_sums=False)
    with pytest.raises(OptionError, match="must be one of fp32, fp64, fast: got 'bf16'"):
        packed(backend, x, "dot", "bf16")
    with pytest.raises(ShapeError, match="shape"):
        backend.DistanceSweep(full, None, metric="euclidean", out=np.empty(779))
    with pytest.raises(OptionError, match="k must be from 1 to 39"):
        backend.NeighbourSweep(full, None, metric="euclidean", k=40)
    other = packed(backend, layers(41, [8])[0], "euclidean", "fp64")
    with pytest.raises(ShapeError, match="same rows"):
        backend.HistogramSweep([full, other], metric="euclidean", low=0, high=1, bins=4)


@pytest.mark.parametrize("precision", ["fp32", "fp64", "fast"])
def test_public_functions(backend, precision):
    register_emulated()
    rows = layers(300, [24, 24], seed=3)
    gpu = {"backend": backend.name, "precision": precision}
    tolerance = {"fp64": 1e-10, "fp32": 2e-6, "fast": 2e-3}[precision]
    expected = rs.pdist(rows[0], "cosine", backend="cpu", precision="fp64")
    np.testing.assert_allclose(rs.pdist(rows[0], "cosine", **gpu), expected, rtol=0, atol=tolerance)
    if precision != "fast":
        expected = rs.knn(rows[0], 5, metric="euclidean", backend="cpu", precision="fp64")[1]
        assert (rs.knn(rows[0], 5, metric="euclidean", **gpu)[1] == expected).mean() > 0.99
    for engine in (PairwiseEngine(**gpu), PairwiseEngine(backend=backend.name)):
        value = float(rs.RSA(metric="euclidean").evaluate(rows, [(0, 1)], engine)[0][0])
        exact = float(
            rs.RSA(metric="euclidean").evaluate(rows, [(0, 1)], PairwiseEngine(backend="cpu", precision="fp64"))[0][0]
        )
        assert value == pytest.approx(exact, abs=tolerance if engine.precision == precision else 2e-6)
    with pytest.raises(OptionError, match="backend='cuda'"):
        PairwiseEngine(backend="cpu", precision="fast")


def test_sanitize_every_kernel(backend):
    """Small: run_gpu.sh runs it under compute-sanitizer."""
    rows = layers(150, [10, 10])
    for precision in ("fp32", "fp64", "fast"):
        panels = [packed(backend, x, "euclidean", precision, [0, 50, 150]) for x in rows]
        metric = {"metric": "euclidean"}
        sums = ran(backend.SumSweep(panels, [(0, 1)], maps=[None] * 2, origins=[0.0] * 2, row_sums=True, **metric))
        counts = ran(backend.HistogramSweep(panels, low=0, high=20, bins=16, **metric))
        joint = ran(backend.JointHistogramSweep(panels, [(0, 1)], low=0, high=20, bins=16, **metric))
        _, values = ran(backend.NeighbourSweep(panels[0], None, k=3, **metric))
        out = ran(backend.DistanceSweep(panels[0], None, out=np.empty(11175), **metric))
        assert counts.sum() == 2 * 11175
        assert joint.sum() == 11175
        assert sums["first"][0].sum() == pytest.approx(out.sum(), rel=1e-6)
        assert values.min() == out.min() == 0

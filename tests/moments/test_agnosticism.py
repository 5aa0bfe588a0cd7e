"""The sums have the same bits for any chunks, threads, memory layout and history of reads and saves."""

from __future__ import annotations

import numpy as np
import pytest

from pyrepsim import _core
from pyrepsim.moments import MomentsSet, PairedMoments
from tests.helpers.backends import CUDA, EMULATED
from tests.helpers.data import cast

N, D_X, D_Y = 4565, 50, 97


@pytest.fixture(scope="module", params=["float16", "bfloat16", "float32", "float64"])
def data(request):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((N, D_X)) + 5 * rng.standard_normal(D_X)
    Y = X[:, :20] @ rng.standard_normal((20, D_Y)) + rng.standard_normal((N, D_Y))
    return cast(X, request.param), cast(Y, request.param)


def rows_for(backend: str, data):
    """Fewer rows, but several of its blocks, for the emulated GPU."""
    return [side[:700] for side in data] if backend == EMULATED else data


def bits(moments: MomentsSet) -> bytes:
    parts = []
    for transform in moments.transforms:
        state = moments.state(transform)
        parts += [*state.shift, *state.products, *state.cross, *state.weighted, *state.rounding, state.norms]
    return b"".join(np.ascontiguousarray(part).tobytes() for part in parts)


def summed(
    x, y, *, chunk=N, n_threads=1, transforms=("raw", "unit", "unit_centred"), precision="fp64", backend="cpu"
) -> PairedMoments:
    moments = PairedMoments(D_X, D_Y, transforms=transforms, n_threads=n_threads, precision=precision, backend=backend)
    for start in range(0, len(x), chunk):
        moments.update(x[start : start + chunk], y[start : start + chunk])
    return moments


@pytest.mark.parametrize("precision", ["fp64", "fp32", "int24"])
@pytest.mark.parametrize("n_threads", [1, 2, 5])
@pytest.mark.parametrize("chunk", [1, 7, 256, 1000, N])
def test_chunk_size_and_n_threads(data, chunk, n_threads, precision):
    one = summed(*data, precision=precision)
    assert bits(summed(*data, chunk=chunk, n_threads=n_threads, precision=precision)) == bits(one)


@pytest.mark.parametrize("backend", CUDA)
@pytest.mark.parametrize("precision", ["fp64", "fp32"])
@pytest.mark.parametrize("chunk", [7, 300])
def test_chunk_size_on_a_gpu(data, chunk, precision, backend):
    x, y = rows_for(backend, data)
    one = summed(x, y, precision=precision, backend=backend)
    assert bits(summed(x, y, chunk=chunk, precision=precision, backend=backend)) == bits(one)


@pytest.mark.parametrize("backend", CUDA)
@pytest.mark.parametrize("sides", [2, 33])
def test_a_gpu_sums_what_the_cpu_sums(data, backend, sides):
    widths = (D_X, D_Y) if sides == 2 else (3,) * sides
    chunk = [data[side % 2][:700, :width] for side, width in enumerate(widths)]
    states = []
    for name in (backend, "cpu"):
        moments = MomentsSet(widths, ((0, 1),), transforms=("unit",), backend=name)
        moments.update(chunk)
        states.append(moments.state("unit"))
    ours, theirs = ([*s.shift, *s.products, *s.cross, *s.weighted, s.norms] for s in states)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12 * np.abs(b).max())


def test_bits_change_with_one_entry(data):
    x, y = data
    changed = x.copy()
    changed[N - 1, 3] += changed[N - 1, 3]
    assert bits(summed(changed, y)) != bits(summed(x, y))


def test_a_shift_that_float32_cannot_represent():
    """Means of 2^24 sd: the grid of the shift is finer than float32 there, so rows are not shifted in float32."""
    rng = np.random.default_rng(2)
    x, y = (np.float32(2.0**24 + rng.integers(-3, 4, (N, d))) for d in (D_X, D_Y))
    one = summed(x, y, precision="fp32")
    assert any(np.any(c != np.float32(c)) for c in one.state("raw").shift)
    assert bits(summed(x, y, chunk=7, precision="fp32")) == bits(one)


WAYS = [{"backend": backend} for backend in ("cpu", *CUDA)] + [{"precision": "int24"}]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(way.values()))
def test_memory_layout(data, tmp_path, way):
    x, y = rows_for(way.get("backend", "cpu"), data)
    expected = bits(summed(x, y, **way))
    wide = np.zeros((len(x), 2 * D_X), dtype=x.dtype)
    wide[:, ::2] = x
    backwards = x[::-1].copy()[::-1]
    for layout in (np.asfortranarray(x), wide[:, ::2], backwards):
        assert bits(summed(layout, y, chunk=300, **way)) == expected
    path = tmp_path / "x.bin"
    x.tofile(path)
    read_only = np.memmap(path, dtype=x.dtype, mode="r", shape=x.shape)
    assert bits(summed(read_only, y, **way)) == expected
    unaligned = np.frombuffer(b"\0" + x.tobytes(), dtype=np.uint8)[1:].view(x.dtype).reshape(x.shape)
    assert bits(summed(unaligned, y, **way)) == expected


@pytest.mark.parametrize("backend", ["cpu", *CUDA])
def test_reading_between_updates_changes_nothing(data, backend):
    x, y = rows_for(backend, data)
    moments = PairedMoments(D_X, D_Y, backend=backend)
    for start in range(0, len(x), 100):
        moments.update(x[start : start + 100], y[start : start + 100])
        moments.pair()
    assert bits(moments) == bits(summed(x, y, transforms=("raw",), backend=backend))


@pytest.mark.parametrize("way", WAYS, ids=lambda way: "-".join(way.values()))
@pytest.mark.parametrize("cut", [1, 256, 600, 2048, 2304])
def test_save_and_load(data, cut, tmp_path, way):
    backend = way.get("backend", "cpu")
    x, y = rows_for(backend, data)
    cut = min(cut, len(x) - 1)
    first = summed(x[:cut], y[:cut], **way)
    first.save(tmp_path / "moments.npz")
    again = PairedMoments.load(tmp_path / "moments.npz", backend=backend)
    again.update(x[cut:], y[cut:])
    assert bits(again) == bits(summed(x, y, **way))


def test_a_side_does_not_depend_on_other_sides(data):
    x, y = data
    together = MomentsSet((D_X, D_Y, D_X), ((0, 1), (2, 1)), backend="cpu")
    together.update([x, y, x])
    alone = summed(x, y, transforms=("raw",)).pair()
    for k in (0, 1):
        np.testing.assert_array_equal(together.pair_at(k).cross, alone.cross)
        assert together.pair_at(k).norm_products == alone.norm_products


@pytest.mark.parametrize("precision", ["fp64", "fp32"])
@pytest.mark.parametrize("isa", _core.available_isas())
def test_every_instruction_set_is_as_good_as_plain_numpy(data, isa, precision, monkeypatch):
    monkeypatch.setenv("PYREPSIM_ISA", isa)
    check_accuracy(data, precision, "cpu")


@pytest.mark.parametrize("precision", ["fp64", "fp32"])
@pytest.mark.parametrize("backend", CUDA)
def test_a_gpu_is_as_good_as_plain_numpy(data, precision, backend):
    check_accuracy(data, precision, backend)


def check_accuracy(data, precision: str, backend: str) -> None:
    x, y = data
    ours = summed(x, y, precision=precision, backend=backend).pair()
    single = np.float32 if precision == "fp32" else np.float64
    exact_x, exact_y = (a.astype(np.longdouble) - a.astype(np.longdouble).mean(axis=0) for a in (x, y))
    exact = (exact_x.T @ exact_y).astype(np.float64)
    plain_x, plain_y = (single(a) - single(a).mean(axis=0) for a in (x, y))
    scale = np.sqrt(np.outer((exact_x**2).sum(axis=0), (exact_y**2).sum(axis=0)).astype(np.float64))
    error = np.max(np.abs(ours.cross - exact) / scale)
    plain = np.max(np.abs(plain_x.T @ plain_y - exact) / scale)
    assert error <= 2 * plain + 8 * np.finfo(single).eps

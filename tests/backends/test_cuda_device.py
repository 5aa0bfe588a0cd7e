"""Same results as the CPU and same bits for any chunks, for rows in host and device memory; emulated and on a GPU."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim import compare
from pyrepsim.core.errors import DegenerateError, NonFiniteError
from pyrepsim.moments import MomentsSet
from tests.cuda_emulation import backend as emulation
from tests.helpers.backends import CUDA, EMULATED
from tests.helpers.data import cast

N = {"cuda": 20_011, EMULATED: 1301}  # two blocks of rows and a part of one
CHUNKS = {"cuda": (301, 8192, 10_000), EMULATED: (77, 512, 700)}
D_X, D_Y = 96, 61
TRANSFORMS = ("raw", "unit", "unit_centred")
MEASURES = ["LinearCKA(debiased=True)", "CCA", "RSA(metric='cosine')", "RSA(metric='correlation')", "Procrustes"]


@pytest.fixture(scope="module", params=CUDA)
def backend(request):
    return request.param


@pytest.fixture(scope="module")
def pair(backend):
    rng, n = np.random.default_rng(4), N[backend]
    X = rng.standard_normal((n, D_X)) + 5 * rng.standard_normal(D_X)
    Y = X[:, :40] @ rng.standard_normal((40, D_Y)) / 6 + rng.standard_normal((n, D_Y))
    return X, Y


@pytest.fixture
def cupy(backend):
    return emulation.machine() if backend == EMULATED else pytest.importorskip("cupy")


def summed(x, y, backend, *, chunk=None, precision="fp64", transforms=TRANSFORMS) -> MomentsSet:
    moments = MomentsSet(
        (x.shape[1], y.shape[1]), ((0, 1),), transforms=transforms, precision=precision, backend=backend
    )
    chunk = chunk or len(x)
    for start in range(0, len(x), chunk):
        moments.update([x[start : start + chunk], y[start : start + chunk]])
    return moments


def sums(moments: MomentsSet, transform: str) -> list[np.ndarray]:
    state = moments.state(transform)
    return [*state.shift, *state.products, *state.cross, *state.weighted, state.norms]


def bits(moments: MomentsSet) -> bytes:
    return b"".join(
        np.ascontiguousarray(part).tobytes() for transform in moments.transforms for part in sums(moments, transform)
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_sums_are_those_of_the_cpu(pair, dtype, backend):
    x, y = (cast(side, dtype) for side in pair)
    for transform in TRANSFORMS:
        ours, theirs = (sums(summed(x, y, which), transform) for which in (backend, "cpu"))
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11 * np.abs(b).max())


@pytest.mark.parametrize("measure", MEASURES)
def test_scores_are_those_of_the_cpu(pair, measure, backend):
    x, y = (cast(side, "float16") for side in pair)
    ours, theirs = (compare(x, y, measure, backend=which).value for which in (backend, "cpu"))
    assert ours == pytest.approx(theirs, abs=1e-10)


@pytest.mark.parametrize("precision", ["fp64", "fp32"])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_chunks_do_not_change_a_bit(pair, dtype, precision, backend):
    x, y = (cast(side, dtype) for side in pair)
    once = bits(summed(x, y, backend, precision=precision))
    for chunk in CHUNKS[backend]:
        assert bits(summed(x, y, backend, chunk=chunk, precision=precision)) == once


def test_single_precision_is_as_good_as_on_the_cpu(pair, backend):
    x, y = (cast(side, "float16") for side in pair)
    exact = summed(x, y, "cpu").state().cross[0]
    scale = np.sqrt(np.outer(*(np.diagonal(p) for p in summed(x, y, "cpu").state().products)))
    error = [np.abs(summed(x, y, which, precision="fp32").state().cross[0] - exact).max() for which in (backend, "cpu")]
    assert error[0] / scale.max() < 1e-6
    assert error[0] <= 4 * error[1]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_rows_from_a_memory_map(pair, dtype, tmp_path, backend):
    x, y = (cast(side, dtype) for side in pair)
    x.tofile(tmp_path / "x")
    mapped = np.memmap(tmp_path / "x", x.dtype, "r", shape=x.shape)
    expected = bits(summed(x, y, backend))
    assert bits(summed(mapped, y, backend, chunk=CHUNKS[backend][0])) == expected
    wide = np.zeros((len(x), 2 * D_X), x.dtype)
    wide[:, ::2] = x
    assert bits(summed(wide[:, ::2], np.asfortranarray(y), backend, chunk=CHUNKS[backend][2])) == expected


@pytest.fixture
def torch(backend):
    if backend == EMULATED:
        pytest.skip("torch has no emulated device: test_cuda_streams.py has tensors of its own")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # warnings of imported libraries do not matter here
        module = pytest.importorskip("torch")
        if not module.cuda.is_available():
            pytest.skip("no torch with CUDA")
        module.zeros(1, device="cuda")
    return module


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_torch_tensors_stay_on_the_device(pair, dtype, torch, monkeypatch):
    x, y = (cast(side, dtype) for side in pair)
    # as bits: torch would round float64 to float16 twice
    words = [side.view({2: np.int16, 4: np.int32, 8: np.int64}[side.itemsize]) for side in (x, y)]
    on_device = [torch.from_numpy(side).cuda().view(getattr(torch, dtype)) for side in words]
    monkeypatch.setattr(torch.Tensor, "cpu", None)  # whoever copies them to the host fails
    expected = bits(summed(x, y, "cuda"))
    assert bits(summed(*on_device, "cuda", chunk=6000)) == expected
    wide = torch.zeros((len(x), 2 * D_X), dtype=on_device[0].dtype, device="cuda")
    wide[:, ::2] = on_device[0]
    assert bits(summed(wide[:, ::2], on_device[1].requires_grad_(), "cuda", chunk=6000)) == expected
    ours = compare(on_device[0], on_device[1], "LinearCKA", backend="cuda").value
    assert ours == compare(x, y, "LinearCKA", backend="cuda").value


def test_tensors_are_read_after_the_work_that_makes_them(torch):
    a = torch.randn((4096, 4096), device="cuda", generator=torch.Generator("cuda").manual_seed(0))
    made = a
    for _ in range(20):
        made = torch.nn.functional.normalize(made @ a)
    early = bits(summed(made, made, "cuda"))
    torch.cuda.synchronize()
    assert early == bits(summed(made, made, "cuda"))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_cupy_arrays_stay_on_the_device(pair, dtype, backend, cupy):
    x, y = (cast(side, dtype) for side in pair)
    with cupy.cuda.Stream(non_blocking=True):
        on_device = cupy.asarray(x) * 2
        expected = bits(summed(x * x.dtype.type(2), y, backend))
        assert bits(summed(on_device, cupy.asarray(y), backend, chunk=CHUNKS[backend][2])) == expected
        assert bits(summed(on_device, y, backend)) == expected  # one side on the device, one on the host


def test_arrays_may_change_after_update(pair, backend, cupy):
    x, y = (cast(side, "float32") for side in pair)
    x_on_device, y_on_device = cupy.asarray(x[:1000]), cupy.asarray(y[:1000])
    moments = MomentsSet((D_X, D_Y), ((0, 1),), transforms=TRANSFORMS, backend=backend)
    moments.update([x_on_device, y_on_device])
    x_on_device[...] = 0
    y_on_device[...] = np.nan
    assert bits(moments) == bits(summed(x[:1000], y[:1000], backend))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_out_on_the_device(pair, dtype, backend, cupy):
    x = pair[0][:700].astype(np.float32)
    with cupy.cuda.Stream(non_blocking=True):
        out = cupy.empty((700 * 699 // 2,), dtype)
        assert rs.pdist(x, "euclidean", out=out, backend=backend) is out
        np.testing.assert_allclose(out.get(), rs.pdist(x, "euclidean"), rtol=1e-5)


def test_many_sides_in_one_update(pair, backend):
    x, y = (cast(side, "float16") for side in pair)
    together = MomentsSet((D_X, D_Y, D_X), ((0, 1), (2, 1)), backend=backend)
    for start in range(0, len(x), 1000):
        together.update([side[start : start + 1000] for side in (x, y, x)])
    alone = summed(x, y, backend, transforms=("raw",)).state()
    for k in (0, 1):
        np.testing.assert_array_equal(together.state().cross[k], alone.cross[0])


def test_bad_rows_are_refused_and_change_nothing(pair, backend, cupy):
    x, y = (cast(side, "float32") for side in pair)
    moments = summed(x[:700], y[:700], backend)
    before = bits(moments)
    broken = x[700:].copy()
    broken[431, 17] = np.inf
    for on_device in (broken, cupy.asarray(broken)):
        with pytest.raises(NonFiniteError, match="array 0 must be finite: got inf at row 1131, feature 17"):
            moments.update([on_device, y[700:]])
    broken = x[700:].copy()
    broken[100] = 0
    with pytest.raises(DegenerateError, match="row 800 of array 0 is all zero"):
        moments.update([broken, y[700:]])
    assert bits(moments) == before
    moments.update([x[700:], y[700:]])
    assert bits(moments) == bits(summed(x, y, backend))


@pytest.mark.parametrize("starts_on_backend", [True, False])
def test_a_saved_state_continues_on_another_backend(pair, starts_on_backend, tmp_path, backend):
    x, y = (cast(side, "float16") for side in pair)
    first, cut = backend if starts_on_backend else "cpu", 3 * len(x) // 4
    moments = summed(x[:cut], y[:cut], first)
    moments.save(tmp_path / "moments")
    for which in (backend, "cpu"):
        again = MomentsSet((D_X, D_Y), ((0, 1),), transforms=TRANSFORMS, backend=which)
        again.restore(tmp_path / "moments")
        again.update([x[cut:], y[cut:]])
        whole = summed(x, y, which)
        if which == first:
            assert bits(again) == bits(whole)
        for a, b in zip(sums(again, "raw"), sums(whole, "raw"), strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-11 * np.abs(b).max())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
def test_sanitize_the_kernels_of_the_moments(dtype, backend):
    """Every kernel over rows of odd sizes: what compute-sanitizer looks at (benchmarks/run_gpu.sh)."""
    rng = np.random.default_rng(5)
    x, y = (cast(rng.standard_normal((301, d)), dtype) for d in (33, 8))
    for precision in ("fp64", "fp32"):
        moments = summed(x, y, backend, chunk=77, precision=precision)
        assert all(np.isfinite(part).all() for transform in TRANSFORMS for part in sums(moments, transform))

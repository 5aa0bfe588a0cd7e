"""Input checks: arrays of all libraries become views of the same memory."""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.arrays import check_paired, rows_view
from pyrepsim.core.errors import DTypeError, ShapeError


def shares(view, memory) -> bool:
    return np.shares_memory(view.view(np.uint8) if view.flags.c_contiguous else view, memory)


def test_arrays_and_memory_maps_are_not_copied(tmp_path):
    X = np.arange(12, dtype=np.float32).reshape(4, 3)
    assert rows_view(X).ctypes.data == X.ctypes.data
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    view = rows_view(mapped)
    assert view.ctypes.data == mapped.ctypes.data
    assert not view.flags.writeable


def test_torch_tensors_are_not_copied():
    torch = pytest.importorskip("torch")
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64):
        tensor = torch.arange(12, dtype=dtype).reshape(4, 3).requires_grad_()
        view = rows_view(tensor)
        assert view.ctypes.data == tensor.data_ptr()
        assert view.dtype.name == str(dtype).removeprefix("torch.")
        np.testing.assert_array_equal(view.astype(np.float64), np.arange(12.0).reshape(4, 3))
    with pytest.raises(DTypeError, match="dense"):
        rows_view(torch.eye(3).to_sparse())
    np.testing.assert_array_equal(rows_view(torch.ones(3, 2, dtype=torch.int64)), np.ones((3, 2)))
    with pytest.raises(DTypeError, match="float8"):
        rows_view(torch.ones(3, 2).to(torch.float8_e4m3fn))


def test_frames_lists_and_dlpack():
    pandas = pytest.importorskip("pandas")
    rows = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]

    class OnlyDLPack:
        def __init__(self, array):
            self.array = array

        def __dlpack__(self, **options):
            return self.array.__dlpack__(**options)

        def __dlpack_device__(self):
            return self.array.__dlpack_device__()

    for X in (rows, pandas.DataFrame(rows), OnlyDLPack(np.array(rows))):
        np.testing.assert_array_equal(rows_view(X), rows)


@pytest.mark.parametrize("bad", [[[1.0, 2.0], [3.0]], np.ones(3), np.ones((2, 3, 4)), np.ones((0, 3))])
def test_shapes(bad):
    with pytest.raises(ShapeError):
        rows_view(bad)


@pytest.mark.parametrize("bad", ["text", 3.0, {"a": 1}, None, np.ones((2, 2), dtype=complex)])
def test_other_objects_are_refused(bad):
    with pytest.raises((DTypeError, ShapeError)):
        rows_view(bad)


def test_masks_strings_and_other_indexes():
    pandas = pytest.importorskip("pandas")
    X = np.ones((3, 2))
    with pytest.raises(DTypeError, match="no mask"):
        rows_view(np.ma.masked_array(X, X > 2))
    with pytest.raises(DTypeError, match="open_store"):
        rows_view("acts/base")
    with pytest.raises(ShapeError, match="same index"):
        check_paired(pandas.DataFrame(X), pandas.DataFrame(X, index=[2, 1, 0]))
    check_paired(pandas.DataFrame(X), pandas.DataFrame(X))


def test_paired_names_both_shapes():
    with pytest.raises(ShapeError, match="to match by token, compare stores"):
        check_paired(np.ones((3, 2)), np.ones((4, 2)))


@pytest.mark.parametrize(
    "dtype", [bool, np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
)
def test_integers_give_the_results_of_floats(dtype):
    rng = np.random.default_rng(0)
    X, Y = (rng.integers(0, 2 if dtype is bool else 100, (40, 24)).astype(dtype) for _ in range(2))
    x, y = X.astype(np.float64), Y.astype(np.float64)
    assert rs.compare(X, Y, rs.LinearCKA()) == rs.compare(x, y, rs.LinearCKA())
    for verb in (rs.pdist, rs.rdm, lambda rows: rs.cdist(rows, y), lambda rows: rs.rdm(rows.reshape(2, 20, 24))):
        np.testing.assert_array_equal(verb(X), verb(x))
    np.testing.assert_array_equal(rs.knn(X, 3), rs.knn(x, 3))
    np.testing.assert_array_equal(rs.LinearMap().fit(X, Y).predict(X), rs.LinearMap().fit(x, y).predict(x))


@pytest.mark.parametrize("dtype", ["i1", "u1", "i2", "u2", "i4", "u4"])
def test_every_integer_of_a_type_keeps_its_value(dtype):
    ends = np.iinfo(dtype)
    values = np.array([[ends.min, ends.min + 1, 0, 1, ends.max - 1, ends.max]], dtype=dtype)
    assert rows_view(values).astype(np.float64).tolist() == values.tolist()


def test_integers_that_almost_agree_are_not_one_direction():
    X = np.array([[127, 126], [126, 125], [125, 124], [124, 123]], dtype=np.int8)
    assert rs.compare(X, X, rs.RSA("cosine")) == rs.compare(X.astype(float), X.astype(float), rs.RSA("cosine"))

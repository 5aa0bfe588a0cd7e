"""Input checks: arrays of all libraries become views of the same memory."""

from __future__ import annotations

import numpy as np
import pytest

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
    with pytest.raises(DTypeError, match="float16"):
        rows_view(torch.ones(3, 2, dtype=torch.int64))
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


@pytest.mark.parametrize("bad", ["text", 3.0, {"a": 1}, None, np.ones((2, 2), dtype=bool)])
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

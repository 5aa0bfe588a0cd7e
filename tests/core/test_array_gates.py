"""Every public function that takes arrays: the same answer for every form of the same numbers, or an error that names
the argument.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import PyrepsimError
from pyrepsim.measures import all_measures
from pyrepsim.measures.base import Invariance
from pyrepsim.moments import MomentsSet
from pyrepsim.pairwise.metrics import METRICS

torch = pytest.importorskip("torch")
pandas = pytest.importorskip("pandas")
sparse = pytest.importorskip("scipy.sparse")

N, D = 24, 5
RNG = np.random.default_rng(0)
X = RNG.integers(-64, 64, (N, D)) / 16.0  # exact in every floating-point type
Y = X + RNG.integers(-16, 16, (N, D)) / 16
CONDITIONS, FOLDS = np.arange(N) % 6, np.arange(N) // 12
COLUMNS = {"doc_id": np.arange(N), "position": np.zeros(N, int), "token_id": np.zeros(N, int)}
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
NUMBERS = itertools.count()


@pytest.fixture(autouse=True)
def _no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyrepsim.core.outputs._sync", lambda fd: None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gates")


def moments(rows: Any, _: Path) -> list[np.ndarray]:
    kept = MomentsSet((D, D), ((0, 1),), transforms=("raw", "unit", "unit_centred"), n_threads=1, labels=("X", "Y"))
    kept.update([rows, Y])
    return [part for kind in kept.transforms for part in (*kept.state(kind).products, *kept.state(kind).cross)]


def paired_moments(rows: Any, _: Path) -> np.ndarray:
    kept = rs.PairedMoments(D, D, n_threads=1)
    kept.update(Y, rows)
    return kept.pair().cross


def streaming(rows: Any, _: Path) -> list[float]:
    stream = rs.StreamingComparison({"layer": D}, {"layer": D}, ["LinearCKA", "CCA"], n_threads=1)
    stream.update({"layer": rows}, {"layer": Y})
    return [score.value for score in stream.scores()]


def write_store(rows: Any, folder: Path) -> np.ndarray:
    return np.asarray(rs.write_store(folder / str(next(NUMBERS)), {"layer": rows}, dtype="float32")["layer"])


def commit(rows: Any, folder: Path) -> np.ndarray:
    path, options = folder / str(next(NUMBERS)), {"shard_rows": [N], "dtype": "float32"}
    writer = rs.StoreWriter.create(path, {}, layers={"layer": D}, **options)
    writer.commit(0, COLUMNS, {"layer": rows})
    return np.asarray(writer.seal()["layer"])


def profile(rows: Any, _: Path) -> list[float]:
    (record,) = rs.profile(rows, n_threads=1).to_records()
    return [value for value in record.values() if isinstance(value, int | float)]


def permutation_test(rows: Any, _: Path) -> list[float]:
    (score,) = rs.permutation_test(rows, Y, ["LinearCKA"], n_resamples=19, n_threads=1)
    return [score.value]


CALLS: dict[str, Callable[[Any, Path], Any]] = {
    "moments": moments,
    "paired moments": paired_moments,
    "streaming": streaming,
    "write_store": write_store,
    "commit": commit,
    "profile": profile,
    "permutation_test": permutation_test,
    "cdist(X)": lambda rows, _: rs.cdist(rows, Y),
    "cdist(Y)": lambda rows, _: rs.cdist(Y, rows, "correlation", precision="fp64"),
    "knn(X)": lambda rows, _: [*rs.knn(rows, 3)],
    "knn(Y)": lambda rows, _: [*rs.knn(Y, 3, "euclidean", Y=rows)],
    "rdm": lambda rows, _: rs.rdm(rows),
    "rdm of conditions": lambda rows, _: rs.rdm(rows, "correlation", conditions=CONDITIONS),
    "crossnobis": lambda rows, _: rs.rdm(rows, "crossnobis", conditions=CONDITIONS, folds=FOLDS),
    "rdm of features": lambda rows, _: rs.rdm(rows, features=[[0, 1, 2, 3, 4], [4, 2, 0]]),
    **{f"pdist {m}": lambda rows, _, m=m: rs.pdist(rows, m) for m in METRICS},
    **{f"pdist {m} fp64": lambda rows, _, m=m: rs.pdist(rows, m, precision="fp64") for m in METRICS},
    **{
        f"compare {name}": lambda rows, _, kind=kind: [rs.compare(rows, Y, kind(), n_threads=1).value]
        for name, kind in all_measures().items()
        if kind.__module__.startswith("pyrepsim.")
    },
}
ONLY_ARRAYS = ("commit",)
"""Takes NumPy arrays only."""
TAKES_SETS = ("rdm", "rdm of conditions", "crossnobis")
"""Takes arrays of three dimensions too."""
SCALE_INVARIANT = {
    *("cosine", "correlation", "angular", "mahalanobis", "sqmahalanobis", "cdist(Y)", "knn(X)", "rdm"),
    *(name for name, kind in all_measures().items() if Invariance.SCALING in kind().invariant_x),
}


def numbers(name: str, rows: Any, folder: Path) -> np.ndarray:
    found = CALLS[name](rows, folder)
    return np.concatenate([np.ravel(np.asarray(part, np.float64)) for part in found])


class Subclass(np.ndarray):
    """Of another library: `__array__` is of no use."""

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise RuntimeError("no array")


class OnlyDLPack:
    def __init__(self, array: np.ndarray) -> None:
        self.array = array

    def __dlpack__(self, **options: Any) -> Any:
        return self.array.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.array.__dlpack_device__()


def raising(name: str) -> Any:
    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("an error of another library")

    return type("Raising", (list,), {name: fail, "__dlpack_device__": lambda _: (1, 0)})([[1.0]])


def strided(rows: np.ndarray) -> np.ndarray:
    wide = np.zeros((2 * len(rows), 3 * rows.shape[1]), rows.dtype)
    wide[::2, 1::3] = rows
    return wide[::2, 1::3]


def read_only(rows: np.ndarray) -> np.ndarray:
    rows = rows.copy()
    rows.flags.writeable = False
    return rows


def unaligned(rows: np.ndarray) -> np.ndarray:
    return np.frombuffer(b"\0" + rows.tobytes(), np.uint8)[1:].view(rows.dtype).reshape(rows.shape)


def layouts(rows: np.ndarray, folder: Path) -> Iterator[tuple[str, Any]]:
    """The same numbers of the same type in other memory."""
    yield "Fortran order", np.asfortranarray(rows)
    yield "strides", strided(rows)
    yield "negative strides", rows[::-1, ::-1].copy()[::-1, ::-1]
    yield "read-only", read_only(rows)
    yield "unaligned", unaligned(rows)
    yield "subclass", rows.view(Subclass)
    path = folder / f"{next(NUMBERS)}.bin"
    rows.tofile(path)
    yield "memory map", np.memmap(path, rows.dtype, "r", shape=rows.shape)
    if rows.dtype != BFLOAT16:
        yield "matrix", rows.view(np.matrix)


def libraries(rows: np.ndarray) -> Iterator[tuple[str, Any]]:
    """The same numbers of the same type as objects of other libraries."""
    if rows.dtype == BFLOAT16:
        yield "tensor", torch.from_numpy(rows.view(np.uint16).copy()).view(torch.bfloat16)
        return
    yield "tensor", torch.from_numpy(rows)
    yield "transposed tensor", torch.from_numpy(np.ascontiguousarray(rows.T)).T
    yield "DLPack", OnlyDLPack(rows)
    yield "data frame", pandas.DataFrame(rows)
    if rows.dtype == np.float64:
        yield "lists", rows.tolist()
        yield "tuple of arrays", tuple(rows)


@pytest.mark.parametrize("name", CALLS)
def test_the_same_numbers_in_every_form(name, folder):
    expected = numbers(name, X, folder)
    for dtype in (np.dtype("f8"), np.dtype("f4"), np.dtype("f2"), BFLOAT16):
        rows = X.astype(dtype)
        np.testing.assert_allclose(numbers(name, rows, folder), expected, rtol=1e-9, atol=1e-9, err_msg=str(dtype))
        own = numbers(name, rows, folder)
        forms = [*layouts(rows, folder), *([] if name in ONLY_ARRAYS else libraries(rows))]
        for form, same in forms:
            np.testing.assert_array_equal(numbers(name, same, folder), own, err_msg=f"{dtype}, {form}")
    overlapping = np.lib.stride_tricks.as_strided(np.arange(N + D) * 0.37 % 1, (N, D), (8, 8))
    np.testing.assert_array_equal(numbers(name, overlapping, folder), numbers(name, overlapping.copy(), folder))


INTEGERS = ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
OTHERS = ("c8", "c16", ">f2", ">f4", ">f8", "g", "M8[s]", "m8[s]", "O", "S8", "U8")
WRONG: dict[str, Callable[[], Any]] = {
    "one dimension": lambda: X[:, 0],
    "three dimensions": lambda: X[None],
    "a number": lambda: 3,
    "no columns": lambda: X[:, :0],
    "no rows and no columns": lambda: X[:0, :0],
    **{f"dtype {kind}": lambda kind=kind: X.astype(kind) for kind in OTHERS},
    "float8": lambda: X.astype(ml_dtypes.float8_e4m3fn),
    "records": lambda: np.zeros((N, D), [("a", "f8")]),
    "NaN": lambda: np.where(X.max() == X, np.nan, X),
    "infinity": lambda: np.where(X.max() == X, -np.inf, X),
    "mask": lambda: np.ma.array(X, mask=X > 3),
    "CSR matrix": lambda: sparse.csr_matrix(X),
    "sparse array": lambda: sparse.coo_array(X),
    "ragged": lambda: [[1.0, 2.0], [3.0]],
    "list of strings": lambda: [["a"] * D] * N,
    "list of None": lambda: [[None] * D] * N,
    "a huge integer": lambda: [[10**400, 1.0], [1.0, 2.0]],
    "generator": lambda: (row for row in X),
    "mapping": lambda: {"a": X},
    "set": lambda: {1.0},
    "text": lambda: "rows",
    "bytes": lambda: memoryview(b"rows"),
    "raises in __array__": lambda: raising("__array__"),
    "raises in __len__": lambda: raising("__len__"),
    "raises in __dlpack__": lambda: raising("__dlpack__"),
    "raises in to_numpy": lambda: raising("to_numpy"),
    "frame of strings": lambda: pandas.DataFrame({"a": ["x"] * N}),
    "frame of mixed types": lambda: pandas.DataFrame({"a": X[:, 0], "b": ["x"] * N}),
    "frame with NA": lambda: pandas.DataFrame(X).astype("Float64").mask(X > 3),
    "series": lambda: pandas.Series(X[:, 0]),
    "complex tensor": lambda: torch.ones(N, D, dtype=torch.complex64),
    "sparse tensor": lambda: torch.ones(N, D).to_sparse(),
    "tensor without values": lambda: torch.ones(N, D, device="meta"),
}


SPARSE = ("CSR matrix", "sparse array", "sparse tensor")
TAKES_SPARSE = ("compare LinearCKA", "compare RV2", "compare RSA")  # tests/comparison/test_sparse_rows.py


@pytest.mark.parametrize("name", CALLS)
def test_other_arrays_are_refused_by_name(name, folder):
    faults = []
    for form, make in WRONG.items():
        if (form == "three dimensions" and name in TAKES_SETS) or (form in SPARSE and name in TAKES_SPARSE):
            continue
        try:
            CALLS[name](make(), folder)
            faults.append(f"{form}: accepted")
        except PyrepsimError as error:
            named = ("X ", "X:", "X.", "Y ", "Y:", "ayer")
            if not any(word in str(error) for word in (*named, "A model" if form == "text" else "ayer")):
                faults.append(f"{form}: {error}")
        except Exception as error:
            faults.append(f"{form}: {error!r}")
    assert not faults, "\n".join(faults)


@pytest.mark.parametrize("name", CALLS)
def test_integers_are_read_as_floats(name, folder):
    whole = np.abs(X * 16 + np.eye(N, D))
    expected = numbers(name, whole, folder)
    forms = [whole.astype(kind) for kind in INTEGERS]
    for rows in (*forms, whole.astype(int).tolist(), torch.tensor(whole).long()):
        if name in ("write_store", "commit"):
            with pytest.raises(PyrepsimError, match="X|ayer"):
                numbers(name, rows, folder)
        else:
            np.testing.assert_allclose(numbers(name, rows, folder), expected, rtol=1e-9, atol=1e-9)


SIZES = {"2^60": 60, "2^-60": -60, "2^130": 130, "2^-150": -150, "2^500": 500, "2^-1000": -1000, "2^1021": 1021}


@pytest.mark.parametrize("name", sorted(CALLS.keys() - {"moments"}))  # sums are refused when a measure reads them
def test_rows_of_any_size(name, folder):
    """A number that does not depend on the size, a finite number, or an error that asks to rescale the rows."""
    expected = numbers(name, X, folder)
    invariant = any(word in SCALE_INVARIANT for word in name.split())
    for size, exponent in SIZES.items():
        try:
            found = numbers(name, np.ldexp(X, exponent), folder)
        except PyrepsimError as error:
            assert "cale" in str(error), error
            continue
        assert np.isfinite(found).all(), size
        if invariant:
            np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6, err_msg=size)
        elif name.startswith(("pdist", "rdm", "cdist")):
            assert np.count_nonzero(found) == np.count_nonzero(expected), size

"""Conversion to the type of the store: each value becomes the nearest one, and never an infinity."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

from pyrepsim.core.errors import NonFiniteError


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["float16", "bfloat16", "float32", "float64"])
def test_values_that_are_not_finite_are_an_error_and_no_file_is_left(create, commit, arrays, tree, value, kind):
    writer = create()
    before = tree(writer.path)
    spoiled = arrays["layer.0"].astype(kind)
    spoiled[17, 3] = value
    with pytest.raises(NonFiniteError, match=r"layer layer.0, shard 0, row 17, feature 3 is -?(nan|inf)"):
        commit(writer, 0, **{"layer.0": spoiled})
    assert tree(writer.path) == before
    assert commit(writer, 0)


@pytest.mark.parametrize(
    ("top", "dtype"),
    [(65504.0, "float16"), (65519.996, "float16"), (65520.0, "float32"), (1e38, "float32")],
)
def test_a_shard_beyond_float16_is_stored_as_float32(create, commit, arrays, top, dtype):
    large = arrays["layer.0"].copy()
    large[31, 0] = top
    writer = create()
    assert commit(writer, 0, **{"layer.0": large})
    assert commit(writer, 1, **{"layer.0": large})
    store = writer.seal()
    assert store["layer.0"].dtypes == ("float16", dtype)
    assert store["layer.0"].dtype.name == dtype
    assert store["embeddings"].dtypes == ("float16", "float16")
    expected = large.astype(dtype).astype(np.float64)
    np.testing.assert_array_equal(np.asarray(store["layer.0"], dtype=np.float64)[30:], expected[30:])
    assert store["layer.0"].absmax == expected[31, 0]
    assert [chunk.dtype.name for chunk in store["layer.0"].chunks()] == ["float16", dtype]


def test_overflow_can_be_an_error(create, commit, arrays):
    large = arrays["layer.0"] * 1e5
    writer = create(overflow="error")
    with pytest.raises(NonFiniteError, match=r"shard 0 exceeds the range of float16"):
        commit(writer, 0, **{"layer.0": large})
    assert not list(writer.path.rglob("shard-*"))


@pytest.mark.parametrize("dtype", ["bfloat16", "float32"])
def test_doubles_beyond_float32_are_refused(create, commit, arrays, dtype):
    with pytest.raises(NonFiniteError, match="must fit in float32"):
        commit(create(dtype=dtype), 0, **{"layer.0": arrays["layer.0"].astype("f8") * 1e300})


def test_small_values_become_zero_without_a_warning(create, commit, arrays):
    writer = create()
    commit(writer, 0, **{"layer.0": arrays["layer.0"].astype("f8") * 1e-320})
    assert not list((writer.path / "layers/L01").glob(".tmp-*"))


@pytest.mark.parametrize("source", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
def test_every_type_into_every_type_whatever_the_memory_layout(make_store, arrays, source, dtype):
    given = {name: np.asfortranarray(array.astype(source))[::-1] for name, array in arrays.items()}
    store = make_store(layers=given, dtype=dtype)
    for name, array in given.items():
        np.testing.assert_array_equal(np.asarray(store[name]), array.astype(dtype))


def test_conversion_goes_block_by_block(make_store, rng):
    wide = {"layer.0": rng.standard_normal((50, 100_000)).astype("f4")}  # two rows a block
    store = make_store(layers=wide)
    np.testing.assert_array_equal(np.asarray(store[0]), wide["layer.0"].astype("f2"))
    expected = wide["layer.0"][:20].astype("f2").astype("f8").mean(axis=0)
    np.testing.assert_allclose(store[0].shift, expected, rtol=1e-6, atol=1e-12)


def test_ml_dtypes_types_are_stored_as_they_are(make_store, arrays):
    given = {name: array.astype(ml_dtypes.bfloat16) for name, array in arrays.items()}
    store = make_store(layers=given, dtype="bfloat16")
    assert store["embeddings"].dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(np.asarray(store["embeddings"]), given["embeddings"])

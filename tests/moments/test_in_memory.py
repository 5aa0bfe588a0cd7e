"""Moments of two arrays are those of the stream of their rows, to the bit, and are summed when they are asked for."""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.backends import cpu, get_backend, sums
from pyrepsim.core.errors import DegenerateError, NonFiniteError, OptionError, ShapeError
from pyrepsim.moments.in_memory import ArrayMoments
from tests.helpers.data import correlated_pair

TRANSFORMS = ("raw", "unit", "unit_centred")


def moments_of(X, Y, *, precision="fp64", n_threads=1, backend="cpu", **options):
    engine = get_backend(backend)
    arrays = [engine.rows_view(side, "side") for side in (X, Y)]
    return ArrayMoments(
        arrays, ("X", "Y"), transforms=TRANSFORMS, backend=engine, precision=precision, n_threads=n_threads, **options
    )


@pytest.mark.parametrize("backend", ["cpu", "reference"])
@pytest.mark.parametrize("precision", ["fp64", "fp32"])
@pytest.mark.parametrize("shape", [(1, 2, 3), (100, 16, 16), (256, 24, 25), (700, 49, 7), (1900, 5, 30)])
def test_the_bits_are_those_of_a_stream(shape, precision, backend):
    X, Y = correlated_pair(*shape)
    streamed = rs.PairedMoments(*shape[1:], transforms=TRANSFORMS, precision=precision, backend=backend)
    for start in range(0, len(X), 90):
        streamed.update(X[start : start + 90], Y[start : start + 90])
    for n_threads in (1, 3):
        for sides in ((X, Y), (np.asfortranarray(X), Y[::-1].copy()[::-1]), (X.astype(np.float64), Y)):
            together = moments_of(*sides, precision=precision, n_threads=n_threads, backend=backend)
            for transform in TRANSFORMS:
                one, other = streamed.pair(transform), together.pair(transform)
                assert (one.cross == other.cross).all()
                assert (one.x.scatter == other.x.scatter).all()
                assert (one.y.mean == other.y.mean).all()
                assert (one.cross_sq, one.y.norm_sq) == (other.cross_sq, other.y.norm_sq)
                assert one.norm_products == other.norm_products
                assert one.x.one_direction == other.x.one_direction


def test_rows_that_are_not_aligned_give_the_same_bits():
    """As those of a packed record: every fourth byte begins a number."""
    X, Y = correlated_pair(300, 6, 5)
    memory = np.zeros(X.nbytes + 4, np.uint8)
    odd = memory[4:].view(np.float64).reshape(X.shape)
    odd[...] = X
    assert odd.ctypes.data % 8 == 4
    expected, found = moments_of(X, Y).pair(), moments_of(odd, Y).pair()
    assert (found.cross == expected.cross).all()
    assert (found.x.scatter == expected.x.scatter).all()


def test_a_transform_is_summed_once_and_only_if_it_is_asked_for(monkeypatch):
    made, make = [], cpu.sums_of

    def watched(*args, **options):
        made.append(options["transform"])
        return make(*args, **options)

    monkeypatch.setattr(cpu, "sums_of", watched)
    X, Y = correlated_pair(50, 4, 3)
    rs.compare(X, Y, [rs.LinearCKA(), rs.CCA(), rs.Procrustes()], backend="cpu")
    assert made == ["raw"]
    made.clear()
    rs.compare(X, Y, [rs.RSA(), rs.RSA(compare="cosine"), rs.LinearCKA()], backend="cpu")
    assert sorted(made) == ["raw", "unit"]


def test_whitened_rows_are_those_of_a_stored_layer(tmp_path):
    X, Y = correlated_pair(400, 5, 4)
    measure = rs.RSA(metric="sqmahalanobis")
    stores = [rs.write_store(tmp_path / name, {"one": side}) for name, side in (("x", X), ("y", Y))]
    X, Y = (np.asarray(store["one"]) for store in stores)
    assert rs.compare(X, Y, measure).value == pytest.approx(rs.compare(*stores, measure)[0].value, rel=1e-12)


def test_long_arrays_are_summed_in_parts(monkeypatch):
    X, Y = correlated_pair(1000, 3, 3)
    expected, seen = moments_of(X, Y).pair(), []
    monkeypatch.setattr(sums, "ROWS_PER_CALL", 300)
    found = moments_of(X, Y, advance=seen.append).pair()
    assert seen == [300, 300, 300, 100]
    assert (found.x.scatter == expected.x.scatter).all()


def test_a_progress_bar_counts_the_rows(capsys):
    X, Y = correlated_pair(1000, 3, 3)
    rs.compare(X, Y, [rs.LinearCKA(), rs.RSA()], progress=True)
    assert "2.00k/2.00k" in capsys.readouterr().err


def test_bad_rows_and_options():
    X, Y = correlated_pair(20, 3, 3)
    bad = Y.copy()
    bad[4, 1] = np.nan
    with pytest.raises(NonFiniteError, match="Y must be finite: got nan at row 4, feature 1"):
        moments_of(X, bad)
    bad[4] = 0
    moments_of(X, bad).pair("raw")
    with pytest.raises(DegenerateError, match="row 4 of Y is all zero"):
        moments_of(X, bad).pair("unit")
    with pytest.raises(OptionError, match="precision must be one of 'fp64', 'fp32', 'int24': got 'bf16'"):
        moments_of(X, Y, precision="bf16")
    with pytest.raises(ShapeError, match="the d x d sums must fit into memory"):
        moments_of(X, Y, memory="100B")
    with pytest.raises(OptionError, match="memory must be"):
        moments_of(X, Y, memory="plenty")

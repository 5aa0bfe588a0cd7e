"""Sums are centred once, in their own memory, for any number of reads and threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from pyrepsim.backends import cpu
from pyrepsim.core.errors import NonFiniteError, OptionError
from pyrepsim.measures import RSA, LinearCKA
from pyrepsim.moments import MomentsSet, PairedMoments
from tests.helpers.backends import EVERY
from tests.helpers.data import correlated_pair


@pytest.fixture(scope="module")
def rows():
    X, Y = correlated_pair(700, 11, 8)
    return X + 3.0, Y - 2.0


def moments_of(X, Y, backend="cpu") -> PairedMoments:
    moments = PairedMoments(X.shape[1], Y.shape[1], backend=backend)
    moments.update(X, Y)
    return moments


def scatter(X, Y):
    return (X - X.mean(axis=0)).T @ (Y - Y.mean(axis=0))


@pytest.mark.parametrize("backend", EVERY)
def test_reading_twice_and_after_more_rows(rows, backend):
    X, Y = rows
    moments = moments_of(X[:500], Y[:500], backend)
    for _ in range(2):
        np.testing.assert_allclose(moments.pair().cross, scatter(X[:500], Y[:500]), rtol=0, atol=1e-10)
        np.testing.assert_allclose(moments.side(0).scatter, scatter(X[:500], X[:500]), rtol=0, atol=1e-10)
    early = moments.pair()
    moments.update(X[500:], Y[500:])
    np.testing.assert_allclose(moments.pair().cross, scatter(X, Y), rtol=0, atol=1e-10)
    np.testing.assert_allclose(early.cross, scatter(X[:500], Y[:500]), rtol=0, atol=1e-10)


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("live", [0, 300])
def test_sums_held_elsewhere_do_not_change(rows, backend, live):
    X, Y = rows
    other = moments_of(X[live:], Y[live:], backend)
    state = other.state()
    before = [np.array(sums) for sums in (*state.products, *state.cross)]
    moments = PairedMoments(11, 8, backend=backend)
    if live:
        moments.update(X[:live], Y[:live])
    moments.add_states({"raw": state})
    for _ in range(2):
        np.testing.assert_allclose(moments.pair().cross, scatter(X, Y), rtol=0, atol=1e-10)
        moments.add_states({"raw": 0.0 * state})
    for now, then in zip((*state.products, *state.cross), before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("backend", EVERY)
def test_sums_in_another_order(rows, backend):
    X, Y = rows
    state = moments_of(X, Y, backend).state()
    fortran = {name: tuple(map(np.asfortranarray, getattr(state, name))) for name in ("products", "cross")}
    moments = PairedMoments(11, 8, backend=backend)
    moments.add_states({"raw": replace(state, **fortran)})
    np.testing.assert_allclose(moments.pair().cross, scatter(X, Y), rtol=0, atol=1e-10)


@pytest.mark.parametrize("backend", EVERY)
def test_squared_norms_are_computed_while_centring(backend):
    X, Y = (np.random.default_rng(k).standard_normal((90, d)) + 50.0 for k, d in ((0, 131), (1, 77)))
    found = set()
    for n_threads in (1, 2, 5):
        moments = PairedMoments(131, 77, backend=backend, n_threads=n_threads)
        moments.update(X, Y)
        pair = moments.pair()
        for one, matrix in ((pair.cross_sq, pair.cross), (pair.x.norm_sq, pair.x.scatter)):
            np.testing.assert_allclose(one, np.sum(matrix**2), rtol=1e-14)
        assert (pair.swapped().cross_sq, moments.between(1, 1).cross_sq) == (pair.cross_sq, pair.y.norm_sq)
        found.add((pair.cross_sq, pair.x.norm_sq, pair.y.norm_sq))
    assert len(found) == 1


def test_a_side_that_was_refused_is_refused_again():
    X = np.random.default_rng(0).standard_normal((50, 3)) * 1e80
    moments = moments_of(X, X)
    for _ in range(3):
        with pytest.raises(NonFiniteError, match="of a size"):
            moments.side(0)


@pytest.mark.parametrize("index", [-1, 2])
def test_sides_are_counted_from_0(rows, index):
    """A side under two names would be centred twice."""
    moments = moments_of(*rows)
    with pytest.raises(OptionError, match="one of the 2 representations"):
        moments.side(index)
    with pytest.raises(OptionError, match="one of the 2 representations"):
        moments.between(index, index)
    np.testing.assert_allclose(moments.side(1).scatter, scatter(rows[1], rows[1]), rtol=0, atol=1e-10)


def test_interrupted_centring_starts_again(monkeypatch):
    """Ctrl-C after the matrices were centred, but before that is recorded."""
    X, Y = (np.random.default_rng(k).standard_normal((300, 300)) + 5.0 for k in (0, 1))
    expected = moments_of(X, Y).pair().cross
    moments = moments_of(X, Y)
    centre = cpu.centre

    def interrupted(*args):
        centre(*args)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cpu, "centre", interrupted)
        with pytest.raises(KeyboardInterrupt):
            moments.pair()
    np.testing.assert_array_equal(moments.pair().cross, expected)


@pytest.mark.parametrize("width", [1, 5, 7, 8, 9, 100, 128, 129, 300, 1000, 1025])
def test_sums_are_added_in_the_order_of_numpy(width):
    """So that numbers do not change when NumPy computes them."""
    rng = np.random.default_rng(width)
    sums, own, matrix = rng.standard_normal(width), rng.standard_normal((width, width)), rng.standard_normal((width, 3))
    other, diagonal = rng.standard_normal(3), rng.standard_normal(width)
    small = rng.standard_normal((3, 3))
    for n_threads in (1, 3):
        both = [np.array(own), np.array(small)], [np.array(matrix)]
        found, squares = cpu.centre(*both, [(0, 1)], [sums, other], 50.0, n_threads)
        e, f = np.sqrt(50.0) * (sums / 50.0), np.sqrt(50.0) * (other / 50.0)
        for after, before, left, right in (
            (both[0][0], own, e, e),
            (both[0][1], small, f, f),
            (both[1][0], matrix, e, f),
        ):
            np.testing.assert_array_equal(after, before - np.multiply.outer(left, right))
        assert [trace for _, trace in found] == [float(one.trace()) for one in both[0]]
        np.testing.assert_allclose(squares, np.sum(both[1][0] ** 2), rtol=1e-14)
        (alone,) = cpu.centre([one := np.array(diagonal)], [], [], [sums], 50.0, n_threads)[0]
        np.testing.assert_array_equal(one, diagonal - e**2)
        assert alone[1] == float(one.sum())


def test_sums_that_cannot_be_centred_in_place_are_refused():
    square, sums = np.eye(3), np.zeros(3)
    for products in ([square.T[::-1]], [square.astype(np.float32)], [square[:2]], [np.zeros(4)]):
        with pytest.raises(ValueError, match="centred in place"):
            cpu.centre(products, [], [], [sums], 2.0, 1)
    square.setflags(write=False)
    with pytest.raises(ValueError, match="centred in place"):
        cpu.centre([square], [], [], [sums], 2.0, 1)
    with pytest.raises(ValueError, match="two of the sides"):
        cpu.centre([np.eye(3)], [np.eye(3)], [(0, 1)], [sums], 2.0, 1)


def test_several_threads_read_the_same_objects(rows):
    X, Y = (np.random.default_rng(k).standard_normal((300, 200)) + 5.0 for k in (0, 1))
    expected = moments_of(X, Y).pair().cross
    for _ in range(20):
        moments = moments_of(X, Y)
        moments.side(0)  # read
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(lambda _, m=moments: m.pair().cross, range(8)))
        for one in found:
            np.testing.assert_array_equal(one, expected)


def test_cached_results_are_freed_with_the_pair(rows):
    moments = moments_of(*rows)
    moments.pair().canonical  # noqa: B018 - computed and kept there
    assert "canonical" not in vars(moments.pair())


def test_sums_of_norms_are_computed_when_needed(rows):
    moments = moments_of(*rows)
    pair = moments.pair()
    LinearCKA().evaluate(pair)
    assert "norm_products" not in vars(pair)
    RSA(metric="sqeuclidean").evaluate(pair)
    assert "norm_products" in vars(pair)


def test_reused_memory_is_cleared():
    """Large memory blocks are reused; sums of new moments must still start at zero."""
    found = []
    for scale in (1.0, 1e3, 1.0):
        X, Y = (scale * np.random.default_rng(k).standard_normal((300, 700)) for k in (0, 1))
        moments = MomentsSet((700, 700), ((0, 1),))
        moments.update([X, Y])
        found.append([np.array(sums) for sums in (*moments.state().products, *moments.state().cross)])
    for first, last in zip(found[0], found[2], strict=True):
        np.testing.assert_array_equal(first, last)

"""Sums of which a measure reads no scatter: the same values, and no d x d products of a side with itself."""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.backends import cpu
from pyrepsim.core.errors import OptionError
from pyrepsim.measures import MomentMeasure, all_measures
from tests.helpers.data import correlated_pair

SHAPES = [(2, 1, 1), (97, 5, 40), (300, 33, 70), (1500, 130, 64), (4000, 20, 129)]


@pytest.mark.parametrize("precision", ["fp64", "fp32"])
@pytest.mark.parametrize("shape", SHAPES)
def test_variances_and_cross_moments_are_those_of_all_sums(shape, precision):
    X, Y = correlated_pair(*shape)
    X[:, 0] = 3.7
    pairs = []
    for diagonals in (False, True):
        for n_threads in (1, 3):
            moments = rs.MomentsSet(
                shape[1:], [(0, 1)], precision=precision, backend="cpu", n_threads=n_threads, diagonals=diagonals
            )
            for start in range(0, len(X), 700):
                moments.update([X[start : start + 700], Y[start : start + 700]])
            pairs.append(moments.pair_at(0))
    full, diagonal = pairs[0], pairs[2]
    assert (pairs[3].x.squares == diagonal.x.squares).all()  # for any number of threads
    assert (full.cross == diagonal.cross).all()
    assert full.cross_sq == diagonal.cross_sq
    for one, other in ((full.x, diagonal.x), (full.y, diagonal.y)):
        np.testing.assert_allclose(other.squares, np.diag(one.scatter), rtol=1e-14)
        assert other.total == pytest.approx(one.total, rel=1e-14)
        assert (other.varying == one.varying).all()
        assert (other.mean == one.mean).all()


@pytest.mark.parametrize("kind", [k for k in all_measures().values() if issubclass(k, MomentMeasure)])
def test_measures_that_declare_it(kind, monkeypatch):
    """Each of them scores sums of diagonals, and compare makes such sums for them alone."""
    X, Y = correlated_pair(60, 7, 5)
    measure, made = kind(), []
    make = cpu.sums_of

    def watched(*args, **options):
        made.append(options["diagonals"])
        return make(*args, **options)

    monkeypatch.setattr(cpu, "sums_of", watched)
    score = rs.compare(X, Y, measure, backend="cpu")
    assert made[:1] == ([] if measure.array_form else [measure.reads == "variances"])
    if measure.reads == "variances":
        full = rs.PairedMoments(7, 5, backend="cpu")
        full.update(X, Y)
        assert score.value == pytest.approx(measure.score(full).value, rel=1e-12)
        made.clear()
        rs.compare(X, Y, [measure, rs.LinearCKA()], backend="cpu")
        rs.compare(X, Y, measure, backend="reference")
        assert not any(made)


def test_a_store_with_itself(tmp_path):
    store = rs.write_store(tmp_path / "a", {"one": np.random.default_rng(0).standard_normal((50, 6))})
    assert rs.compare(store, store, ["Matching", "Procrustes"])[0].value == pytest.approx(1.0)


def test_what_needs_all_sums_is_refused():
    moments = rs.MomentsSet([3], backend="cpu", diagonals=True)
    moments.update([np.eye(3)])
    for call in (lambda: moments.save("sums.npz"), lambda: moments.merge(moments), lambda: moments.restore("sums.npz")):
        with pytest.raises((OptionError, OSError)):
            call()
    with pytest.raises(OptionError, match="by backend 'cpu' only"):
        rs.MomentsSet([3], backend="reference", diagonals=True)

"""Sums add, scale and move to another shift: pooling, resampling and resuming are arithmetic."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from pyrepsim.core.errors import CorruptStoreError, OptionError, StoreError
from pyrepsim.core.states import write_sealed
from pyrepsim.measures import CCA, RSA, LinearCKA, Procrustes
from pyrepsim.moments import MomentsSet, PairedMoments, State
from pyrepsim.moments.centred import Centred
from tests.helpers.backends import EVERY
from tests.helpers.data import correlated_pair

TRANSFORMS = ("raw", "unit")
MEASURES = [
    LinearCKA(debiased=True),
    CCA(),
    RSA(),
    RSA(metric="dot"),
    RSA(metric="sqeuclidean"),
    Procrustes(),
]


def moments_of(X, Y, backend="cpu") -> PairedMoments:
    moments = PairedMoments(X.shape[1], Y.shape[1], transforms=TRANSFORMS, backend=backend)
    moments.update(X, Y)
    return moments


class Pooled:
    """Scores from bare states."""

    def __init__(self, states: dict[str, State]) -> None:
        self.centred = {kind: Centred(state, ("X", "Y"), n_threads=1) for kind, state in states.items()}

    def pair(self, transform="raw"):
        return self.centred[transform].pair_at(0)


@pytest.fixture(scope="module")
def pair():
    X, Y = correlated_pair(900, 11, 8)
    X[600:] += 30.0  # the parts have shifts of their own
    return X, Y


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_merge_equals_one_pass(pair, measure, backend):
    X, Y = pair
    whole = measure.score(moments_of(X, Y, backend)).value
    first = moments_of(X[:100], Y[:100], backend)
    for start, stop in ((100, 600), (600, 900)):
        first.merge(moments_of(X[start:stop], Y[start:stop], backend))
    assert first.n_samples == 900
    assert measure.score(first).value == pytest.approx(whole, rel=1e-11)


@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_weights_per_block_equal_resampled_rows(pair, measure):
    X, Y = pair
    blocks = np.array_split(np.arange(900), 6)
    weights = [2, 0, 1, 0, 3, 1]
    moments = [moments_of(X[rows], Y[rows]) for rows in blocks]
    states = {}
    for kind in TRANSFORMS:
        weighted = [w * m.state(kind) for w, m in zip(weights, moments, strict=True)]
        states[kind] = sum(weighted[1:], start=weighted[0])
    rows = np.concatenate([np.tile(b, w) for b, w in zip(blocks, weights, strict=True)])
    resampled = measure.score(moments_of(X[rows], Y[rows])).value
    assert measure.score(Pooled(states)).value == pytest.approx(resampled, rel=1e-10)


def test_more_rows_after_a_merge_and_after_a_load(pair, tmp_path):
    X, Y = pair
    moments = moments_of(X[:300], Y[:300])
    moments.merge(moments_of(X[300:500], Y[300:500]))
    moments.save(tmp_path / "moments")
    again = PairedMoments.load(tmp_path / "moments")
    again.update(X[500:], Y[500:])
    expected = LinearCKA(debiased=True).score(moments_of(X, Y)).value
    assert LinearCKA(debiased=True).score(again).value == pytest.approx(expected, rel=1e-11)


def test_a_state_owns_its_memory(pair):
    X, Y = pair
    moments = moments_of(X[:400], Y[:400])
    state = moments.state()
    before = state.products[0].copy()
    moments.update(X[400:], Y[400:])
    np.testing.assert_array_equal(state.products[0], before)
    assert moments.state().n_samples == 900


def test_moments_with_other_options_do_not_merge(pair):
    X, Y = pair
    with pytest.raises(OptionError, match="same transforms"):
        moments_of(X, Y).merge(PairedMoments(11, 8))
    with pytest.raises(OptionError, match="same widths"):
        moments_of(X, Y).merge(moments_of(X[:, :5], Y))


def test_only_kept_transforms_can_be_read(pair):
    X, Y = pair
    moments = PairedMoments(11, 8)
    moments.update(X, Y)
    with pytest.raises(OptionError, match="'unit' rows were not summed"):
        RSA().score(moments)
    with pytest.raises(OptionError, match="whitened"):
        RSA(metric="sqmahalanobis").score(moments)


def test_saved_moments_are_restored_with_the_same_options_only(pair, tmp_path):
    moments_of(*pair).save(tmp_path / "moments")
    with pytest.raises(StoreError, match="same widths"):
        MomentsSet((3, 4), ((0, 1),), transforms=TRANSFORMS).restore(tmp_path / "moments")
    (tmp_path / "other").write_bytes(b"not moments")
    with pytest.raises(CorruptStoreError, match="must be complete"):
        PairedMoments.load(tmp_path / "other")
    with pytest.raises(StoreError, match="No such file"):
        PairedMoments.load(tmp_path / "absent")
    write_sealed(tmp_path / "state", lambda file: file.write(b"other"))
    with pytest.raises(CorruptStoreError, match="written by moments.save"):
        PairedMoments.load(tmp_path / "state")


def test_every_damage_to_a_saved_file_is_detected(pair, tmp_path):
    moments_of(*pair).save(tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    rng = np.random.default_rng(0)
    damaged = [whole[:n] for n in rng.integers(0, len(whole), 40)]
    for at in rng.integers(0, len(whole), 80):
        damaged.append(whole[:at] + bytes([whole[at] ^ 1 << int(rng.integers(8))]) + whole[at + 1 :])
    for content in damaged:
        (tmp_path / "damaged").write_bytes(content)
        with pytest.raises(CorruptStoreError):
            PairedMoments.load(tmp_path / "damaged")


def test_a_refused_file_changes_nothing(pair, tmp_path):
    moments = moments_of(*pair)
    moments.save(tmp_path / "moments")
    with np.load(tmp_path / "moments") as arrays:
        content = dict(arrays)
    content["live/unit/products/1"] = np.zeros((2, 2))
    write_sealed(tmp_path / "wrong.npz", lambda file: np.savez(file, **content))
    before = moments.state().products[0].copy()
    with pytest.raises(StoreError, match="instead of float64"):
        moments.restore(tmp_path / "wrong.npz")
    np.testing.assert_array_equal(moments.state().products[0], before)
    with pytest.raises(StoreError, match="one pair"):
        three = MomentsSet((2, 3, 4), ((0, 1),))
        three.save(tmp_path / "three")
        PairedMoments.load(tmp_path / "three")
    with pytest.raises(StoreError, match="folder that exists"):
        moments.save(tmp_path / "absent" / "moments")


@pytest.mark.parametrize(
    ("name", "entry", "refused"),
    [
        ("live/raw/cross/0", (1, 2), True),
        ("live/raw/norms", (1, 2), True),
        ("merged/raw/products/2", (0, 0), True),
        ("merged/raw/cross/0", (1, 2), True),
        ("merged/raw/norms", (0, 2), True),
        ("merged/raw/norms", (1, 1), True),
        ("merged/raw/weighted/1", (1, 0), True),
        ("merged/raw/norms", (1, 2), False),  # sides 0 and 2 are not a pair
        ("merged/raw/weighted/2", (1, 0), False),
    ],
)
def test_nan_is_accepted_only_where_a_merge_leaves_it(tmp_path, rng, name, entry, refused):
    sides = [rng.standard_normal((300, d)) + 3 for d in (2, 3, 4)]
    moments, other = MomentsSet((2, 3, 4), ((0, 1),)), MomentsSet((2, 3, 4), ((0, 1),))
    moments.update(sides)
    other.update([rows + 5 for rows in sides])
    moments.merge(other)
    moments.save(tmp_path / "whole")
    with np.load(tmp_path / "whole") as arrays:
        content = {key: np.array(array) for key, array in arrays.items()}
    content[name][entry] = np.nan
    write_sealed(tmp_path / "spoiled.npz", lambda file: np.savez(file, **content))
    if refused:
        with pytest.raises(StoreError, match="not a number"):
            moments.restore(tmp_path / "spoiled.npz")
    else:
        moments.restore(tmp_path / "spoiled.npz")


def test_a_saved_file_is_synced_before_it_is_renamed(pair, tmp_path, monkeypatch):
    events = []
    fsync, rename = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append(os.readlink(f"/proc/self/fd/{fd}")), fsync(fd))[1])
    monkeypatch.setattr(Path, "replace", lambda a, b: (events.append("rename"), rename(a, b))[1])
    moments_of(*pair).save(tmp_path / "moments")
    assert [Path(event).name.startswith(".tmp-") for event in events[:1]] == [True]
    assert events[1:2] == ["rename"]

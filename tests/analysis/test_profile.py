"""The geometry of one representation against its definitions."""

from __future__ import annotations

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import DegenerateError, LayerError, NonFiniteError, OptionError
from tests.helpers import references as ref
from tests.helpers.backends import EVERY
from tests.helpers.data import CASES, correlated_pair, rogue


@pytest.mark.parametrize("backend", EVERY)
@pytest.mark.parametrize("name", CASES)
def test_against_references(name, backend):
    X = CASES[name].X
    found = rs.profile(X, backend=backend)[0]
    assert (found.mean_norm, found.sd_norm) == pytest.approx(ref.row_norms(X), rel=1e-9)
    assert found.anisotropy == pytest.approx(ref.anisotropy(X), rel=1e-9, abs=1e-12)
    assert found.effective_rank == pytest.approx(ref.effective_rank(X), rel=1e-7)
    assert found.participation_ratio == pytest.approx(ref.participation_ratio(X), rel=1e-9)
    assert found.rogue_dimensions == tuple(ref.rogue_dimensions(X))
    contributions = np.sort(ref.cosine_contributions(X))
    expected = contributions[-3:].sum() / np.abs(contributions).sum()
    assert found.rogue_contribution == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_rogue_dimensions_make_everything_look_alike():
    X, _ = correlated_pair(500, 30, 30)
    calm, wild = rs.profile(X)[0], rs.profile(rogue(X))[0]
    assert calm.rogue_dimensions == ()
    assert wild.rogue_dimensions == (1, 5, 9)
    assert wild.anisotropy > 0.9
    assert wild.rogue_contribution > 0.95


def test_layers_of_a_store(tmp_path, rng):
    layers = {name: rng.standard_normal((500, 6)).astype(np.float32) for name in ("embeddings", "layer.0")}
    store = rs.write_store(tmp_path / "s", layers, dtype="float32")
    found = rs.profile(store)
    assert [p.layer for p in found] == ["embeddings", "layer.0"]
    assert found["layer.0"] == rs.profile(store, layers=["layer.0"])[0]
    assert "anisotropy" in found.table()
    assert list(found.to_frame()["rank"]) == [6, 6]
    assert "<table>" in found._repr_html_()
    assert rs.profile(store["layer.0"])[0] == found["layer.0"]
    with pytest.raises(LayerError):
        found["layer.9"]
    with pytest.raises(OptionError, match="at least one layer"):
        rs.profile(store, layers=[])


def test_representations_without_a_profile(rng):
    with pytest.raises(DegenerateError, match="two rows"):
        rs.profile(rng.standard_normal((1, 4)))
    with pytest.raises(DegenerateError, match="same row"):
        rs.profile(np.ones((9, 4)))
    with pytest.raises(DegenerateError, match="all zero"):
        rs.profile(np.zeros((9, 4)))
    with pytest.raises(NonFiniteError, match="Rescale"):
        rs.profile(1e200 * rng.standard_normal((9, 4)))

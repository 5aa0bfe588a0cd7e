"""A representation with itself, whose correlations are known, against the same two times over."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pyrepsim.measures import CCA, PWCCA, SVCCA, Procrustes
from pyrepsim.moments import MomentsSet, Pair
from tests.helpers.data import CASES

MEASURES = [CCA(), CCA(ridge=0.1), SVCCA(), PWCCA(), PWCCA(weights="mean"), Procrustes()]


@pytest.mark.parametrize("name", ["rogue", "fewer_rows_than_features", "repeated_rows"])
@pytest.mark.parametrize("precision", ["fp64", "fp32"])
@pytest.mark.parametrize("measure", MEASURES, ids=str)
def test_a_representation_with_itself_equals_two_copies(measure, precision, name):
    moments = MomentsSet([CASES[name].X.shape[1]], [], precision=precision)
    moments.update([CASES[name].X])
    one = moments.between(0, 0)
    two = Pair(one.x, replace(one.y), one.cross, one.cross_sq, one.norms)
    (value, details), (expected, described) = measure.evaluate(one), measure.evaluate(two)
    tolerance = 1e-10 if precision == "fp64" else 1e-5
    assert value == pytest.approx(expected, abs=tolerance)
    assert details.keys() == described.keys()
    if "correlations" in details:
        np.testing.assert_allclose(details["correlations"], described["correlations"], rtol=0, atol=tolerance)
        assert np.all(np.diff(details["correlations"]) <= 0)
    if measure != CCA(ridge=0.1):
        assert value == pytest.approx(1, abs=tolerance)


def test_no_decomposition_of_the_pair(monkeypatch):
    rows = np.random.default_rng(0).standard_normal((60, 7))
    moments = MomentsSet([7], [])
    moments.update([rows])
    side = moments.side(0)
    side.spectrum, side.whitening  # noqa: B018 - of the representation alone
    for name in ("svd", "eigh", "eigvalsh"):
        monkeypatch.setattr(np.linalg, name, None)
    for measure in (CCA(), SVCCA(), PWCCA(), Procrustes()):
        assert measure.evaluate(moments.between(0, 0))[0] == pytest.approx(1, abs=1e-12)

"""Brain-Score with pyrepsim underneath gives the scores of Brain-Score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pyrepsim.integrations import brainscore as integration
from pyrepsim.integrations import calls, fallbacks

pytestmark = pytest.mark.filterwarnings("ignore")
pytest.importorskip("brainscore_vision")

from brainscore_core.supported_data_standards.brainio.assemblies import DataAssembly  # noqa: E402
from brainscore_vision.metrics.cka.metric import CKA, CKACrossValidated  # noqa: E402
from brainscore_vision.metrics.rdm.metric import RDMMetric  # noqa: E402


def assembly(rng: np.random.Generator, n: int = 30, m: int = 10, *, transposed: bool = False) -> Any:
    order = rng.permutation(n)
    coords = {
        "stimulus_id": ("presentation", order),
        "category": ("presentation", ["a"] * n),
        "neuroid_id": ("neuroid", np.arange(m)),
        "region": ("neuroid", ["IT"] * m),
    }
    rows = np.random.default_rng(0).standard_normal((n, m))[order] + 0.5 * rng.standard_normal((n, m)) + 2
    made = DataAssembly(rows, coords=coords, dims=["presentation", "neuroid"])
    return made.transpose("neuroid", "presentation") if transposed else made


def both(metric: Any, *assemblies: Any) -> tuple[float, float]:
    due = metric(*assemblies)
    with integration.patched():
        before = sum(calls.values()), sum(fallbacks.values())
        found = metric(*assemblies)
        assert sum(calls.values()) > before[0]
        assert sum(fallbacks.values()) == before[1]
    assert type(found) is type(due)
    return float(found), float(due)


@pytest.mark.parametrize("unbiased", [True, False])
@pytest.mark.parametrize("m", [10, 200])
def test_cka(rng, unbiased: bool, m: int):
    found, due = both(CKA(unbiased=unbiased), assembly(rng, m=m), assembly(rng, m=7))
    assert found == pytest.approx(due, rel=1e-9)


@pytest.mark.parametrize("transposed", [False, True])
def test_rdms(rng, transposed: bool):
    found, due = both(RDMMetric(), assembly(rng, transposed=transposed), assembly(rng, m=7))
    assert found == pytest.approx(due, rel=1e-9)


def test_cross_validation_calls_the_patched_metric(rng):
    metric = CKACrossValidated(crossvalidation_kwargs={"stratification_coord": None})
    one = assembly(rng, n=60)
    with integration.patched():
        before = sum(calls.values())
        assert float(metric(one, one)) == pytest.approx(1)
        assert sum(calls.values()) > before


def test_assemblies_that_do_not_match_are_refused(rng):
    one, other = assembly(rng, n=30), assembly(rng, n=29)
    with integration.patched(), pytest.raises((AssertionError, ValueError)):
        RDMMetric()(one, other)

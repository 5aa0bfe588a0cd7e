"""Brain-Score with pyrepsim underneath gives the scores of Brain-Score."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import OptionError, RowMismatchError, ShapeError
from pyrepsim.integrations import brainscore as integration
from pyrepsim.integrations import calls, fallbacks

pytestmark = pytest.mark.filterwarnings("ignore")
pytest.importorskip("brainscore_vision")

import brainscore_vision  # noqa: E402
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


@pytest.fixture
def registered():
    kept = brainscore_vision.import_plugin, dict(brainscore_vision.metric_registry)
    yield integration.register()
    brainscore_vision.import_plugin = kept[0]
    brainscore_vision.metric_registry.clear()
    brainscore_vision.metric_registry.update(kept[1])


@pytest.mark.parametrize("name", sorted(integration.METRICS))
@pytest.mark.parametrize("transposed", [False, True])
def test_registered_metrics(rng, registered, name: str, transposed: bool):
    one, other = assembly(rng, n=40, transposed=transposed), assembly(rng, n=40, m=7)
    before = sum(calls.values())
    score = brainscore_vision.load_metric(name)(one, other)
    assert type(score).__name__ == "Score"
    assert sum(calls.values()) == before + 1
    one = one.transpose("presentation", "neuroid")
    rows = [x.values[np.argsort(x["stimulus_id"].values)] for x in (one, other)]
    due = rs.compare(*rows, integration.METRICS[name], precision="fp64")
    assert float(score) == due.value


def test_registered_metrics_agree_with_those_of_the_library(rng, registered):
    one, other = assembly(rng), assembly(rng, m=7)
    for ours, theirs in (("pyrepsim_cka", "cka"), ("pyrepsim_cka_biased", "cka_biased"), ("pyrepsim_rdm", "rdm")):
        due = float(brainscore_vision.metric_registry[theirs]()(one, other))
        assert float(brainscore_vision.load_metric(ours)(one, other)) == pytest.approx(due, rel=1e-9)


def test_registered_metrics_are_cross_validated(rng, registered):
    one, other = assembly(rng, n=60), assembly(rng, n=60, m=7)
    split = {"stratification_coord": None}
    for ours, theirs in (("pyrepsim_cka_cv", "cka_cv"), ("pyrepsim_rdm_cv", "rdm_cv")):
        found = brainscore_vision.load_metric(ours, crossvalidation_kwargs=split)(one, other)
        due = brainscore_vision.metric_registry[theirs](crossvalidation_kwargs=split)(one, other)
        np.testing.assert_allclose(found.attrs["raw"].values, due.attrs["raw"].values, rtol=1e-9)
        assert found.values == pytest.approx(due.values, rel=1e-9)


def test_names_of_your_own(rng, registered):
    names = integration.register({"pyrepsim_knn5": "MutualKNN(k=5)"})
    assert names == ["pyrepsim_knn5", "pyrepsim_knn5_cv"]
    one = assembly(rng)
    assert float(brainscore_vision.load_metric("pyrepsim_knn5")(one, one)) == 1
    with pytest.raises(OptionError, match="pyrepsim_"):
        integration.register({"cka": rs.LinearCKA()})
    with pytest.raises(OptionError):
        integration.register({"pyrepsim_x": "NoSuchMeasure"})


def test_unknown_metrics_are_refused_as_before(registered):
    with pytest.raises(AssertionError, match="No registrations found"):
        brainscore_vision.load_metric("no_such_metric")


def test_assemblies_of_other_stimuli_are_refused(rng, registered):
    metric = brainscore_vision.load_metric("pyrepsim_cka")
    with pytest.raises(RowMismatchError, match="30 and 29"):
        metric(assembly(rng, n=30), assembly(rng, n=29))
    with pytest.raises(ShapeError, match="time bin"):
        metric(assembly(rng).expand_dims("time_bin"), assembly(rng))

"""`RepresentationSimilarity`: the values of `compare`, over batches and processes, by a metric of torchmetrics."""

from __future__ import annotations

import copy
import pickle
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import DegenerateError, DTypeError, NonFiniteError, OptionError, ShapeError

pytest.importorskip("torchmetrics")

import torch
from torchmetrics import MetricCollection
from torchmetrics.wrappers import BootStrapper

from pyrepsim.integrations.torchmetrics import RepresentationSimilarity

MEASURES = [
    *("LinearCKA", "LinearCKA(debiased=True)", "CCA", "SVCCA", "PWCCA", "Procrustes", "RV2", "LinearPredictivity"),
    *("RSA", "RSA(metric='correlation')", "RSA(metric='sqmahalanobis')", "RSA(metric='euclidean')"),
    *("RSA(compare='spearman')", "RSA(sample=40, draws=3)", "MutualKNN", "KernelCKA"),
]
OF_MOMENTS = MEASURES[:10]


@pytest.fixture
def rows(rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    x = rng.standard_normal((130, 6))
    y = x[:, :4] + rng.standard_normal((130, 4))
    return torch.from_numpy(x).float(), torch.from_numpy(y).float()


def updated(metric: RepresentationSimilarity, x: torch.Tensor, y: torch.Tensor, ends: Sequence[int]) -> Any:
    for begin, end in zip([0, *ends], [*ends, len(x)], strict=True):
        metric.update(x[begin:end], y[begin:end])
    return metric


def values(x: torch.Tensor, y: torch.Tensor, measures: Sequence[str] = MEASURES) -> dict[str, float]:
    return {score.measure: score.value for score in rs.compare(x, y, measures)}


def assert_values(found: dict[str, torch.Tensor], due: dict[str, float], tolerance: float = 1e-13) -> None:
    assert list(found) == list(due)
    for name, value in found.items():
        assert value.shape == ()
        assert value.dtype == torch.float64
        assert float(value) == pytest.approx(due[name], abs=tolerance, rel=0), name


def in_processes(metrics: Sequence[Any], call: Callable[[Any], Any] = lambda metric: metric.compute()) -> list[Any]:
    """The results of a call on each metric, as if each were in a process; tensors are gathered as gloo gathers them."""
    barrier, sent = threading.Barrier(len(metrics), timeout=60), [None] * len(metrics)

    def run(rank: int) -> None:
        def gather(tensor: torch.Tensor, group: Any = None) -> list[torch.Tensor]:
            sent[rank] = tensor  # type: ignore[call-overload]
            barrier.wait()
            gathered: list[Any] = list(sent)
            barrier.wait()
            assert len({(one.ndim, one.dtype) for one in gathered}) == 1
            return gathered

        metrics[rank].dist_sync_fn, metrics[rank].distributed_available_fn = gather, lambda: True
        results[rank] = call(metrics[rank])

    results: list[Any] = [None] * len(metrics)
    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(len(metrics))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


@pytest.mark.parametrize("ends", [[], [50], [1, 2, 3, 4, 64], range(1, 130)])
def test_values_are_those_of_all_rows(rows, ends: Sequence[int]):
    metric = updated(RepresentationSimilarity(MEASURES, 6, 4), *rows, ends)
    assert_values(metric.compute(), values(*rows), 0)  # the same bits


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int32])
def test_types(rows, dtype: torch.dtype):
    x, y = ((10 * part).to(dtype) for part in rows)
    metric = updated(RepresentationSimilarity(MEASURES, 6, 4), x, y, [50])
    assert_values(metric.compute(), values(x, y), 0)


def test_one_measure_is_a_tensor(rows):
    metric = RepresentationSimilarity(rs.CCA(), 6, 4)
    metric.update(*rows)
    assert float(metric.compute()) == rs.compare(*rows, rs.CCA()).value
    assert isinstance(metric(*rows), torch.Tensor)
    assert list(RepresentationSimilarity([rs.CCA()], 6, 4)(*rows)) == ["CCA"]


def test_rows_may_have_any_layout_and_gradients_and_are_not_kept(rows):
    x = torch.stack([rows[0], rows[0] + 1], dim=2)[..., 0].requires_grad_()
    metric = RepresentationSimilarity(MEASURES, 6, 4)
    y = rows[1].clone()
    value = metric(x, y)
    with torch.no_grad():  # rows that were added do not change
        x.zero_(), y.zero_()
    assert_values(metric.compute(), values(*rows), 0)
    assert not any(v.requires_grad for v in value.values())


def test_forward_has_the_value_of_the_batch_and_adds_it(rows):
    x, y = rows
    metric = RepresentationSimilarity(MEASURES, 6, 4)
    for part in (slice(0, 60), slice(60, 130)):
        assert_values(metric(x[part], y[part]), values(x[part], y[part]), 0)
    assert_values(metric.compute(), values(x, y), 0)
    assert metric.update_count == 2


def test_updates_go_on_after_compute_and_reset_starts_again(rows):
    x, y = rows
    metric = updated(RepresentationSimilarity(MEASURES, 6, 4), x[:80], y[:80], [33])
    assert_values(metric.compute(), values(x[:80], y[:80]), 0)
    metric.update(x[80:], y[80:])
    assert_values(metric.compute(), values(x, y), 0)
    metric.reset()
    metric.update(x[:70], y[:70])
    assert_values(metric.compute(), values(x[:70], y[:70]), 0)


@pytest.mark.parametrize("how", ["pickle", "clone", "state_dict", "deepcopy", "states"])
def test_copies_go_on_alone(rows, how: str):
    x, y = rows
    metric = updated(RepresentationSimilarity(MEASURES, 6, 4), x[:80], y[:80], [33])
    if how in ("state_dict", "states"):
        other = RepresentationSimilarity(MEASURES, 6, 4)
        if how == "state_dict":
            metric.persistent(True)
            other.persistent(True)
            other.load_state_dict(copy.deepcopy(metric.state_dict()))
        else:
            for name, value in metric.metric_state.items():
                setattr(other, name, copy.deepcopy(value))
    else:
        other = {"pickle": lambda m: pickle.loads(pickle.dumps(m)), "clone": lambda m: m.clone()}.get(
            how, copy.deepcopy
        )(metric)
    other.update(x[80:], y[80:])
    assert_values(other.compute(), values(x, y))
    assert_values(metric.compute(), values(x[:80], y[:80]), 0)


def test_state_dict_is_empty_and_states_are_float64(rows):
    metric = RepresentationSimilarity(["CCA", "RSA"], 6, 4)
    metric.update(*rows)
    assert metric.state_dict() == {}
    assert {value.dtype for value in metric.metric_state.values()} == {torch.float64}
    before = {name: value.clone() for name, value in metric.metric_state.items()}
    torch.nn.ModuleList([metric]).to(torch.float16)
    metric.set_dtype(torch.bfloat16)
    metric.half()
    assert all(torch.equal(value, before[name]) for name, value in metric.metric_state.items())
    assert_values(metric.compute(), values(*rows, ["CCA", "RSA"]), 0)


def test_another_device(rows):
    metric = updated(RepresentationSimilarity(["CCA", "MutualKNN"], 6, 4), *rows, [50])
    metric.to("meta")
    assert {v.device.type for v in (metric.cross_0_1_raw, *metric.rows_x)} == {"meta"}


@pytest.mark.parametrize("ends", [(40, 100), (0, 1), (0, 0), (129, 129)])
def test_processes_with_more_or_fewer_rows_or_none(rows, ends: tuple[int, int]):
    x, y = rows
    metrics = []
    for begin, end in ((0, ends[0]), (ends[0], ends[1]), (ends[1], 130)):
        metric = RepresentationSimilarity(MEASURES, 6, 4)
        if end > begin:
            updated(metric, x[begin:end], y[begin:end], range(begin + 30, end, 30) if begin == 0 else [])
        metric._update_count = 1
        metrics.append(metric)
    due = values(x, y)
    for found in in_processes(metrics):
        assert_values(found, due, 1e-12)
    for metric, (begin, end) in zip(metrics, ((0, ends[0]), (ends[0], ends[1]), (ends[1], 130)), strict=True):
        assert float(metric.n_samples_raw) == end - begin  # each has its own rows again
        metric.update(x[:5], y[:5])
    again = torch.cat([x, x[:5], x[:5], x[:5]]), torch.cat([y, y[:5], y[:5], y[:5]])
    order = ["LinearCKA", "CCA", "RSA"]
    found = in_processes(metrics)[0]
    assert_values({name: found[name] for name in order}, values(*again, order), 1e-12)


@pytest.mark.parametrize("dtypes", [(torch.float32, torch.float64), (torch.bfloat16, torch.float32)])
def test_processes_with_rows_of_other_types(rows, dtypes):
    parts = [(rows[0][:60].to(dtypes[0]), rows[1][:60].to(dtypes[0])), (rows[0][60:].to(dtypes[1]), rows[1][60:])]
    metrics = []
    for x, y in parts:
        metrics.append(RepresentationSimilarity(MEASURES, 6, 4))
        metrics[-1].update(x, y)
    due = values(*(torch.cat([one.double(), other.double()]) for one, other in zip(*parts, strict=True)))
    for found in in_processes(metrics):
        assert_values(found, due, 1e-6 if dtypes[0] == torch.bfloat16 else 1e-12)


def test_values_of_all_processes_in_each_step(rows):
    x, y = rows
    parts = [slice(0, 50), slice(50, 130)]
    metrics = [RepresentationSimilarity(MEASURES, 6, 4, dist_sync_on_step=True) for _ in parts]
    steps = {id(metric): part for metric, part in zip(metrics, parts, strict=True)}
    for _ in range(2):
        for found in in_processes(metrics, lambda m: m(x[steps[id(m)]], y[steps[id(m)]])):
            assert_values(found, values(x, y), 1e-12)
    assert [float(metric.n_samples_raw) for metric in metrics] == [100, 160]


@pytest.mark.parametrize("measure", ["LinearCKA", "LinearCKA(debiased=True)", "CCA", "Procrustes"])
def test_large_means_cost_no_digits_between_processes(rng, measure: str):
    x = rng.standard_normal((400, 6))
    y = x[:, :4] + rng.standard_normal((400, 4))
    due = rs.compare(x, y, measure).value
    x, y = x + 1e4, y - 1e4
    exact = rs.compare(x - np.round(x.mean(0)), y - np.round(y.mean(0)), measure).value  # of the rows as rounded
    metrics = [RepresentationSimilarity(measure, 6, 4) for _ in range(2)]
    for k, metric in enumerate(metrics):
        for part in np.split(np.arange(400), 8)[k::2]:
            metric.update(torch.from_numpy(x[part]), torch.from_numpy(y[part]))
    for found in in_processes(metrics):
        assert float(found) == pytest.approx(exact, abs=1e-12, rel=0)
        assert float(found) == pytest.approx(due, abs=1e-9, rel=0)


@pytest.mark.parametrize("as_states", [True, False])
def test_merge_state(rows, as_states: bool):
    x, y = rows
    one, other = (RepresentationSimilarity(MEASURES, 6, 4) for _ in range(2))
    updated(one, x[:50], y[:50], [20])
    updated(other, x[50:], y[50:], [20])
    one.compute()
    one.merge_state(other.metric_state if as_states else other)
    assert_values(one.compute(), values(x, y))
    assert_values(other.compute(), values(x[50:], y[50:]), 0)
    for wrong in (RepresentationSimilarity("CCA", 6, 4), {"n_samples_raw": torch.tensor(1.0)}, 3):
        with pytest.raises(OptionError, match="same measures"):
            one.merge_state(wrong)


def test_collections_share_sums_and_compositions_work(rows):
    x, y = rows
    one, several = RepresentationSimilarity("LinearCKA", 6, 4), RepresentationSimilarity(OF_MOMENTS[:8], 6, 4)
    collection = MetricCollection({"cka": one, "all": several})
    for part in (slice(0, 60), slice(60, 130)):
        collection.update(x[part], y[part])
    assert collection.compute_groups == {0: ["all", "cka"]}
    due = values(x, y, OF_MOMENTS[:8])
    assert_values(collection.compute(), {**due, "cka": due["LinearCKA"]})
    collection.reset()
    collection(x, y)
    assert_values(collection.compute(), {**due, "cka": due["LinearCKA"]})
    of_rows = MetricCollection({name: RepresentationSimilarity(name, 6, 4) for name in ("MutualKNN", "KernelCKA")})
    for part in (slice(0, 60), slice(60, 130)):
        of_rows.update(x[part], y[part])
    assert_values(of_rows.compute(), values(x, y, ["KernelCKA", "MutualKNN"]))
    distance = 1 - RepresentationSimilarity("LinearCKA", 6, 4)
    distance.update(x, y)
    assert float(distance.compute()) == 1 - due["LinearCKA"]
    resampled = BootStrapper(RepresentationSimilarity("LinearCKA", 6, 4), num_bootstraps=20)
    resampled.update(x, y)
    assert abs(float(resampled.compute()["mean"]) - due["LinearCKA"]) < 0.1


def test_values_that_are_not_defined_are_nan_with_the_reason(rows):
    x, y = rows
    metric = RepresentationSimilarity(["LinearCKA", "RSA", "MutualKNN", "RSA(sample=40)"], 6, 4)
    for call, reason in (
        (metric.compute, "LinearCKA is NaN: moments need at least one row"),
        (lambda: metric(x[:1], y[:1]), "MutualKNN is NaN: MutualKNN needs at least two rows"),
        (lambda: metric(x[:0], y[:0]), "RSA is NaN: moments need at least one row"),
    ):
        with pytest.warns(UserWarning, match="is NaN|was called before") as warned:
            assert all(value.isnan() for value in call().values())
        assert any(reason in str(warning.message) for warning in warned)
    with pytest.warns(UserWarning, match=r"RSA\(sample=40\) is NaN: a sample cannot have more rows"):
        metric(x[1:30], y[1:30])
    metric.update(x[:0], y[:0])
    metric.update(x[30:], y[30:])
    assert_values(metric.compute(), values(x, y, ["LinearCKA", "RSA", "MutualKNN", "RSA(sample=40)"]), 0)
    constant = RepresentationSimilarity("CCA", 6, 4)
    with pytest.warns(UserWarning, match="features that vary"):
        assert constant(torch.ones(9, 6), y[:9]).isnan()


@pytest.mark.parametrize("copied", [False, True])
def test_rows_of_one_direction_are_not_scored(rows, copied: bool):
    x, y = rows
    metric = RepresentationSimilarity("RSA", 6, 4)
    for begin in (0, 65):
        metric.update(torch.outer(x[begin : begin + 65, 0].abs() + 1, torch.arange(1.0, 7.0)), y[begin : begin + 65])
    metric = metric.clone() if copied else metric
    with pytest.warns(UserWarning, match="one direction"):
        assert metric.compute().isnan()


def test_values_that_do_not_depend_on_the_data_are_named(rng):
    x, y = torch.from_numpy(rng.standard_normal((5, 6))), torch.from_numpy(rng.standard_normal((5, 4)))
    with pytest.warns(UserWarning, match="CCA does not depend on the data"):
        assert float(RepresentationSimilarity("CCA", 6, 4)(x, y)) == pytest.approx(1)


@pytest.mark.parametrize("measures", [["LinearCKA", "RSA", "MutualKNN"], ["MutualKNN"]])
def test_rows_that_cannot_be_added_change_nothing(rows, measures: list[str]):
    x, y = rows
    metric = RepresentationSimilarity(measures, 6, 4)
    metric.update(x, y)
    nan = torch.full_like(x[:9], torch.nan)
    wrong: list[tuple[Any, Any, type[Exception]]] = [
        (nan, y[:9], NonFiniteError),
        (x[:9], y[:8], ShapeError),
        (x[:9, :5], y[:9], ShapeError),
        (x[0], y[0], ShapeError),
        (x[:0, :5], y[:0], ShapeError),
        (x[:9].to(torch.complex64), y[:9], DTypeError),
        (x[:9].to_sparse(), y[:9], DTypeError),
        (x[:9].numpy(), y[:9], DTypeError),
    ]
    if len(measures) > 1:
        wrong.append((torch.zeros_like(x[:9]), y[:9], DegenerateError))
    for call in (metric.update, metric.forward):
        for one, other, error in wrong:
            with pytest.raises(error):
                call(one, other)
    assert_values(metric.compute(), values(x, y, measures), 0)


def test_arguments():
    with pytest.raises(OptionError, match="no documents"):
        RepresentationSimilarity("RSA(sample=5, per_document=1)", 6, 4)
    with pytest.raises(ShapeError):
        RepresentationSimilarity("CCA", 0, 4)
    with pytest.raises(OptionError):
        RepresentationSimilarity("CKA", 6, 4)
    with pytest.raises(ValueError, match="Unexpected keyword"):
        RepresentationSimilarity("CCA", 6, 4, threads=1)
    metric = RepresentationSimilarity("CCA", 6, 4)
    assert (metric.is_differentiable, metric.higher_is_better, metric.full_state_update) == (False, None, True)
    with pytest.raises(AttributeError):
        _ = metric.products_2_raw


def test_rows_alone_need_no_sums_of_products():
    metric = RepresentationSimilarity("MutualKNN", 100_000, 100_000)
    assert list(metric.metric_state) == ["rows_x", "rows_y"]


def test_plot(rows):
    metric = RepresentationSimilarity("CCA", 6, 4)
    metric.update(*rows)
    figure, _ = metric.plot()
    assert figure is not None

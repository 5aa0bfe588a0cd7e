"""A comparison on the GPU is finished there: equal scores, and a number of copies that does not grow with the pairs."""

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.comparison import moment_scores
from pyrepsim.moments.readback import Awaited, Readback, evaluated_together
from tests.cuda_emulation import backend as emulation
from tests.helpers.backends import EMULATED

MEASURES = [
    "CCA",
    "CCA(ridge=0.1)",
    "EigenspaceOverlap",
    "EigenspaceOverlap(centred=True)",
    "GULP",
    "LinearCKA",
    "LinearCKA(debiased=True)",
    "LinearPredictivity",
    "LinearPredictivity(direction='x_from_y')",
    "Magnitude",
    "Matching",
    "MaxCorrelation",
    "PWCCA",
    "PWCCA(weights='mean')",
    "Procrustes",
    "RSA(metric='sqeuclidean')",
    "RSA(metric='dot')",
    "RSA(metric='dot', compare='cosine')",
    "RSA(metric='cosine')",
    "RSA(metric='correlation', compare='cosine_cov')",
    "RV2",
    "SVCCA",
    "SVCCA(components=3)",
    "ShapeMetric(alpha=0.0)",
    "ShapeMetric(alpha=0.5)",
    "ShapeMetric",
]
N = 700


def layers(n_layers, seed, *, width=6, kind="plain"):
    rng = np.random.default_rng(seed)
    common = rng.standard_normal((N, 4))
    made = {}
    for k in range(n_layers):
        d = width + k % 2  # both orders of widths
        rows = common @ rng.standard_normal((4, d)) + (1 + k) * rng.standard_normal((N, d)) + rng.standard_normal(d)
        if kind == "degenerate" and k % 2:
            rows[:, 0], rows[:, 1] = 3.0, rows[:, 2]  # constant and repeated features
        made[f"layer.{k}"] = rows
    return made


def streamed(x, y, measures, backend, **options):
    widths = [{name: rows.shape[1] for name, rows in side.items()} for side in (x, y)]
    stream = rs.StreamingComparison(*widths, measures, backend=backend, **options)
    for start in range(0, N, 350):
        stream.update(*({name: rows[start : start + 350] for name, rows in side.items()} for side in (x, y)))
    return stream.scores()


@pytest.mark.parametrize("kind", ["plain", "degenerate"])
def test_equal_to_the_cpu(kind):
    x, y = layers(3, 0, kind=kind), layers(3, 1, kind=kind)
    device, host = (streamed(x, y, MEASURES, backend, layers="all") for backend in (EMULATED, "cpu"))
    for ours, theirs in zip(device, host, strict=True):
        assert (ours.measure, ours.layer_x, ours.layer_y) == (theirs.measure, theirs.layer_x, theirs.layer_y)
        assert ours.value == pytest.approx(theirs.value, rel=1e-10, abs=1e-10), ours
        assert ours.details.keys() == theirs.details.keys()
        for name, value in theirs.details.items():
            if not isinstance(value, str) and not name.startswith(("condition", "accuracy", "angle", "distance")):
                np.testing.assert_allclose(ours.details[name], value, rtol=1e-8, atol=1e-7, err_msg=f"{ours} {name}")


def test_pairs_in_parts_that_fit_into_memory(monkeypatch):
    """Equal scores, in the same order, where only one pair of layers after the other fits."""
    x, y = layers(2, 0), layers(2, 1)
    whole = streamed(x, y, ["CCA", "LinearCKA"], EMULATED, layers="all")
    monkeypatch.setattr(moment_scores, "_ENTRIES_TOGETHER", 1)
    parts = streamed(x, y, ["CCA", "LinearCKA"], EMULATED, layers="all")
    assert [(s.measure, s.layer_x, s.layer_y, s.value) for s in parts] == [
        (s.measure, s.layer_x, s.layer_y, s.value) for s in whole
    ]


def test_small_singular_values():
    """Values that need a second way of singular.py: some triplets again, or a full SVD."""
    rng = np.random.default_rng(8)
    x = rng.standard_normal((N, 20))
    noise = rng.standard_normal((N, 20)) * np.repeat([1e-6, 0.1, 1.0], (1, 1, 18))
    y = {"few": np.c_[x[:, 0], noise[:, 1:]], "one": 1e-9 * noise + x[:, :1] * np.ones(20), "none": noise}
    measures = ["CCA", "PWCCA", "Procrustes", "SVCCA"]
    device, host = (streamed({"x": x}, y, measures, backend, layers="all") for backend in (EMULATED, "cpu"))
    assert [score.value for score in device] == pytest.approx([score.value for score in host], rel=1e-8, abs=1e-10)


def test_stores_of_all_layers(tmp_path):
    x, y = (rs.write_store(tmp_path / name, layers(2, seed)) for name, seed in (("x", 2), ("y", 3)))
    measures = ["CCA", "PWCCA", "LinearCKA(debiased=True)"]
    for one, other in ((x, y), (x, x)):  # with itself: mirrored pairs
        device, host = (rs.compare(one, other, measures, layers="all", backend=b) for b in (EMULATED, "cpu"))
        assert [score.value for score in device] == pytest.approx([score.value for score in host], rel=1e-10)


def copies_of_scores(n_layers, measures):
    x, y = layers(n_layers, 4), layers(n_layers, 5)
    widths = [{name: rows.shape[1] for name, rows in side.items()} for side in (x, y)]
    stream = rs.StreamingComparison(*widths, measures, layers="all", backend=EMULATED)
    stream.update(x, y)
    machine = emulation.machine()
    before = machine.n_copies
    assert len(stream.scores()) == n_layers**2 * len(measures)
    return machine.n_copies - before


@pytest.mark.parametrize(
    "measures",
    [["CCA"], ["PWCCA"], ["Procrustes"], ["LinearCKA(debiased=True)"], ["CCA", "PWCCA", "SVCCA", "Procrustes", "GULP"]],
)
def test_copies_do_not_grow_with_the_pairs(measures):
    """One copy serves each successive decision of all pairs. PWCCA takes three more where some pair has small
    correlations (singular.py); 13 x 13 pairs contain such a pair, 2 x 2 need not.
    """
    few, many = copies_of_scores(2, measures), copies_of_scores(13, measures)
    assert few <= many <= few + (3 if "PWCCA" in measures else 0) <= 16


def test_an_undefined_pair_is_reported():
    x, y = layers(2, 6), layers(2, 7)
    x["layer.1"] = np.ones((N, 5))
    scores = streamed(x, y, ["CCA", "LinearCKA"], EMULATED, layers="all")
    undefined = [(score.layer_x, "undefined" in score.details) for score in scores]
    assert undefined == [(layer, layer == "layer.1") for layer, _ in undefined]


class _Host:
    """A device whose arrays are NumPy's."""

    n_reads = 0

    def work(self):
        import contextlib

        return contextlib.nullcontext()

    def read_together(self, arrays):
        self.n_reads += 1
        return [array.copy() for array in arrays]


def test_one_copy_serves_all_calls():
    device = _Host()
    readback, computed = Readback(device), []

    def call(k, known):
        first = readback.read(known, (), "a", lambda: computed.append(k) or np.array([float(k)]))
        second, matrix = readback.read(known, ("b",), "c", lambda: (first + 1, np.eye(2)))
        return first[0], second[0], matrix.shape

    places = [{} for _ in range(5)]
    calls = [lambda k=k: call(k, places[k]) for k in range(5)]
    assert evaluated_together(readback, calls) == [(k, k + 1.0, (2, 2)) for k in range(5)]
    assert device.n_reads == 2
    assert computed == [0, 1, 2, 3, 4]  # once each


def test_after_an_error_values_are_computed_again():
    readback, known = Readback(_Host()), {}

    def fails():
        try:
            readback.read(known, (), "a", lambda: np.zeros(1))
        except Awaited:
            raise KeyError("stop") from None

    with pytest.raises(KeyError, match="stop"):
        evaluated_together(readback, [fails])
    assert known == {}
    assert readback.read(known, (), "a", lambda: np.ones(1)).tolist() == [1.0]

"""Scores that are not defined: NaN with the reason where other pairs of layers have values, an error otherwise."""

import inspect
import math

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import DegenerateError
from pyrepsim.measures import MomentMeasure, RowMeasure

COLUMNS = {"doc_id": np.arange(40) // 2, "position": np.arange(40) % 2, "token_id": np.arange(40)}
EVERY = ["LinearCKA", "CCA", "SVCCA", "Procrustes", "RSA", "RSA(metric='cosine')", "KernelCKA", "LinearPredictivity"]
ALL = [
    kind()
    for _, kind in inspect.getmembers(rs, inspect.isclass)
    if issubclass(kind, MomentMeasure | RowMeasure) and not inspect.isabstract(kind)
]


def layers_of(seed: int, constant: str | None = "embeddings") -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    made = {name: rng.standard_normal((40, 6)) for name in ("embeddings", "layer.0", "layer.1")}
    if constant is not None:
        made[constant] = np.tile(made[constant][:1], (40, 1))
    return {name: rows.astype(np.float32) for name, rows in made.items()}


@pytest.fixture
def stores(tmp_path):
    return [
        rs.write_store(tmp_path / name, layers_of(seed), columns=COLUMNS, dtype="float32")
        for seed, name in enumerate("xy")
    ]


@pytest.mark.parametrize("interval", [None, "Jackknife(blocks=5)", "Bootstrap(blocks=5, n_resamples=20)"])
@pytest.mark.parametrize("layers", ["same", "all"])
@pytest.mark.parametrize("measure", EVERY)
def test_a_constant_layer_leaves_the_other_scores_as_they_are(stores, measure, layers, interval):
    scores = rs.compare(*stores, measure, layers=layers, interval=interval)
    x, y = layers_of(0), layers_of(1)
    for score in scores:
        if "embeddings" in (score.layer_x, score.layer_y):
            assert math.isnan(score.value)
            assert "embeddings" in score.details["undefined"]
        else:
            pair = x[score.layer_x], y[score.layer_y]
            assert "undefined" not in score.details or interval is not None
            assert score.value == pytest.approx(rs.compare(*pair, measure).value, rel=1e-5, abs=1e-7)
    assert len(scores) == (3 if layers == "same" else 9)


def test_every_measure_raises_for_one_pair_of_arrays():
    rows = np.ones((40, 6))
    assert len(ALL) > 20
    for measure in ALL:
        with pytest.raises(DegenerateError):
            rs.compare(rows, rows, measure)


def test_every_measure_reports_a_constant_layer_of_several(stores):
    for score in rs.compare(*stores, ALL):
        assert math.isnan(score.value) == (score.layer_x == "embeddings"), score


def test_a_measure_that_is_defined_for_no_pair_raises(stores, tmp_path):
    few = [rs.write_store(tmp_path / name, {f"layer.{i}": np.eye(2) + i for i in range(2)}) for name in ("a", "b")]
    with pytest.raises(DegenerateError, match="at least 3 rows"):
        rs.compare(*few, ["LinearCKA", "RSA"])
    with pytest.raises(DegenerateError, match="constant"):
        rs.compare(*stores, "LinearCKA", layers=["embeddings"])


def test_one_warning_names_the_first_pair_and_the_reason(stores, caplog):
    rs.compare(*stores, ["LinearCKA", "RSA"])
    (record,) = [one for one in caplog.records if "not defined" in one.getMessage()]
    assert record.getMessage().startswith("2 of 6 scores are not defined")


@pytest.mark.parametrize("layers", ["same", "all"])
@pytest.mark.parametrize("interval", [None, "Jackknife(blocks=5)"])
def test_a_row_of_zeros_is_undefined_for_measures_of_directions_alone(tmp_path, layers, interval):
    x, y = layers_of(0, None), layers_of(1, None)
    x["layer.0"][3] = 0
    stores = [
        rs.write_store(tmp_path / name, rows, columns=COLUMNS, dtype="float32") for name, rows in (("x", x), ("y", y))
    ]
    scores = rs.compare(*stores, ["LinearCKA", "RSA(metric='cosine')"], layers=layers, interval=interval)
    for score in scores:
        assert math.isnan(score.value) == (score.layer_x == "layer.0" and "RSA" in score.measure)


def test_scores_of_other_pairs_have_the_same_bits_as_alone(stores):
    scores = rs.compare(*stores, ["LinearCKA", "RSA", "CCA"])
    alone = rs.compare(*stores, ["LinearCKA", "RSA", "CCA"], layers=["layer.0", "layer.1"])
    assert [score.value for score in scores if score.layer_x != "embeddings"] == [score.value for score in alone]


def test_streams_matrices_permutations_and_profiles_follow_the_rule(stores, caplog):
    x, y = layers_of(0), layers_of(1)
    widths = dict.fromkeys(x, 6)
    stream = rs.StreamingComparison(widths, widths, "LinearCKA")
    stream.update(x, y)
    assert [math.isnan(score.value) for score in stream.scores()] == [True, False, False]
    values = rs.compare_all(stores[0], "LinearCKA").values
    assert np.isnan(values[0]).all()
    assert np.isnan(values[:, 0]).all()
    assert np.isfinite(values[1:, 1:]).all()
    with pytest.raises(DegenerateError, match="not defined for 'embeddings'"):
        rs.compare_all(stores[0], "LinearCKA").distances()
    tested = rs.permutation_test(*stores, "LinearCKA", n_resamples=9)
    assert ["permutation" in score.details for score in tested] == [False, True, True]
    profile = rs.profile(stores[0])
    assert profile["embeddings"].rank == 0
    assert math.isnan(profile["embeddings"].effective_rank)
    assert profile["embeddings"].anisotropy == pytest.approx(1.0)
    assert profile["layer.0"] == rs.profile(stores[0], layers="layer.0")["layer.0"]
    assert "all rows are equal" in caplog.text


def test_undefined_scores_can_be_printed_drawn_and_written(stores, tmp_path):
    scores = rs.compare(*stores, ["LinearCKA", "RSA"], layers="all")
    assert "nan" in scores.table().lower()
    scores.plot(tmp_path / "figure.svg")
    read = rs.Scores.from_jsonl(scores.to_jsonl(tmp_path / "scores.jsonl"))
    assert read[0].details["undefined"] == scores[0].details["undefined"]
    scores.to_csv(tmp_path / "scores.csv")
    scores.html(tmp_path / "page.html")

"""`layers="best"`: the best layer of Y for each layer of X, and its null, which knows that it was chosen."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.comparison.best import best_with_null
from pyrepsim.comparison.permutation import permuted_rows, rows_by_document
from pyrepsim.core.errors import DegenerateError, OptionError
from pyrepsim.inference import permutation_p
from pyrepsim.results import Score, Scores

LENGTHS = [3, 1, 4, 2, 5, 3, 2, 4, 1, 3, 2, 6]
DOC_ID = np.repeat(np.arange(len(LENGTHS)), LENGTHS)
N = len(DOC_ID)


def stores(folder: Path, x: dict[str, np.ndarray], y: dict[str, np.ndarray], doc_id: np.ndarray = DOC_ID) -> list[Any]:
    columns = {"doc_id": doc_id, "position": np.arange(len(doc_id)), "token_id": np.zeros(len(doc_id), int)}
    return [
        rs.write_store(
            folder / name,
            {f"layer.{k}": rows for k, rows in enumerate(side.values())},
            columns=columns,
            dtype="float32",
        )
        for name, side in (("x", x), ("y", y))
    ]


@pytest.fixture
def sides() -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Layer k of X resembles layer 2 - k of Y."""
    rng = np.random.default_rng(0)
    x = {f"layer.{k}": rng.standard_normal((N, 4)).astype(np.float32) for k in range(3)}
    y = {
        f"layer.{k}": (x[f"layer.{2 - k}"][:, :3] + 0.5 * rng.standard_normal((N, 3))).astype(np.float32)
        for k in range(3)
    }
    return x, y


MEASURES = ["LinearCKA(debiased=True)", "RSA(metric='euclidean')"]


def test_the_best_of_all_pairs_is_kept(sides, tmp_path: Path):
    x, y = stores(tmp_path, *sides)
    every = rs.compare(x, y, [*MEASURES, "ShapeMetric"], layers="all")
    best = rs.compare(x, y, [*MEASURES, "ShapeMetric"], layers="best")
    assert len(best) == 9
    for measure in (*MEASURES, "ShapeMetric"):
        names_x, names_y, values = every.select(measure=measure).matrix()
        own = (np.argmin if measure == "ShapeMetric" else np.argmax)(values, axis=1)
        found = best.select(measure=measure)
        assert [(score.layer_x, score.layer_y) for score in found] == [
            (a, names_y[own[i]]) for i, a in enumerate(names_x)
        ]
        assert [score.value for score in found] == [values[i, own[i]] for i in range(3)]
        assert [score.layer_y for score in found] == ["layer.2", "layer.1", "layer.0"]
        assert {score.details["best_of"] for score in found} == {3}
    assert "layer.2" in best.table()


def test_streams_choose_too(sides, tmp_path: Path):
    x, y = sides
    stream = rs.StreamingComparison(dict.fromkeys(x, 4), dict.fromkeys(y, 3), MEASURES[0], layers="best")
    stream.update(x, y)
    stored = rs.compare(*stores(tmp_path, *sides), MEASURES[0], layers="best")
    for one, other in zip(stream.scores(), stored, strict=True):
        assert (one.layer_x, one.layer_y) == (other.layer_x, other.layer_y)
        assert one.value == pytest.approx(other.value, rel=1e-6)


@pytest.mark.parametrize("unit", ["documents", "rows"])
@pytest.mark.parametrize("measure", [*MEASURES, "GULP"])
def test_the_null_is_that_of_the_best_layer(sides, measure: str, unit: str, tmp_path: Path):
    x, y = stores(tmp_path, *sides)
    alternative, sign = ("less", -1) if measure == "GULP" else ("greater", 1)
    found = rs.permutation_test(
        x, y, measure, layers="best", n_resamples=19, seed=3, unit=unit, alternative=alternative, backend="cpu"
    )
    matched = rows_by_document(DOC_ID) if unit == "documents" else None
    orders = [permuted_rows(N, matched, seed=3, index=index) for index in range(19)]
    kept = np.arange(N) if matched is None else np.sort(matched, axis=None)
    of_y = {name: np.asarray(y[name])[kept] for name in y.layers}
    for score in found:
        rows = np.asarray(x[score.layer_x])[kept]
        values = [[sign * rs.compare(rows, of_y[b][order], measure).value for b in y.layers] for order in orders]
        observed = [sign * rs.compare(rows, of_y[b], measure).value for b in y.layers]
        whole = rs.compare(np.asarray(x[score.layer_x]), np.asarray(y[score.layer_y]), measure).value
        assert score.value == pytest.approx(whole, rel=1e-6)
        null = np.max(values, axis=1)
        assert score.layer_y == y.layers[int(np.argmax(observed))]
        details = score.details["permutation"]
        assert details["p"] == pytest.approx(permutation_p(max(observed), null, 1e-9), abs=1e-12)
        assert details["null_mean"] == pytest.approx(sign * null.mean(), rel=1e-5)
        assert details["null_95"] == pytest.approx(sign * np.quantile(null, 0.95), rel=1e-5)
        assert details["p_best"] >= details["p"]


def made_up(values: np.ndarray) -> list[Score]:
    """Scores of one layer of X with several layers of Y."""
    recorded = {"precision": "fp64"}
    return [
        Score(value, "LinearCKA", 9, layer_x="a", layer_y=str(k), provenance=recorded) for k, value in enumerate(values)
    ]


def p_values(
    n_layers: int, effect: float, n_simulations: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """P-values of the best of `n_layers` values against the null of the best, and against its own null."""
    right, naive = [], []
    for _ in range(n_simulations):
        values, null = rng.standard_normal(n_layers), rng.standard_normal((19, n_layers))
        values[0] += effect
        best, chance = best_with_null(made_up(values), null, [rs.LinearCKA()])
        right.append(permutation_p(best[0].value, chance[:, 0]))
        naive.append(permutation_p(best[0].value, null[:, int(np.argmax(values))]))
    return np.array(right), np.array(naive)


def test_the_size_is_right_at_no_relation_and_a_relation_is_found():
    """19 permutations: p <= 0.05 for a fraction of exactly 0.05 where nothing is related."""
    rng = np.random.default_rng(0)
    n = 2000
    right, naive = p_values(8, 0.0, n, rng)
    error = np.sqrt(0.05 * 0.95 / n)
    assert abs((right <= 0.05).mean() - 0.05) < 4 * error
    assert abs((right <= 0.5).mean() - 0.5) < 4 * np.sqrt(0.25 / n)
    assert (naive <= 0.05).mean() > 0.25, "a null of the chosen layer alone is wrong"
    power, _ = p_values(8, 4.0, 400, rng)
    assert (power <= 0.05).mean() > 0.75


def test_the_size_of_the_whole_test_is_right(tmp_path: Path):
    """Unrelated layers whose rows resemble each other within documents: blocks of documents are permuted."""
    rng = np.random.default_rng(1)
    lengths = np.full(15, 2)
    doc_id = np.repeat(np.arange(len(lengths)), lengths)
    found = []
    for k in range(60):
        sides = [
            {
                str(layer): (rng.standard_normal((15, 2))[doc_id] + 0.3 * rng.standard_normal((30, 2))).astype(
                    np.float32
                )
                for layer in range(layers)
            }
            for layers in (1, 4)
        ]
        x, y = stores(tmp_path / str(k), *sides, doc_id)
        score = rs.permutation_test(x, y, rs.LinearCKA(), layers="best", n_resamples=9, n_threads=1, seed=k)[0]
        found.append(score.details["permutation"]["p"])
    assert abs(np.mean(np.array(found) <= 0.2) - 0.2) < 4 * np.sqrt(0.16 / 60)
    assert abs(np.mean(found) - 0.55) < 4 * 0.29 / np.sqrt(60)  # uniform on 0.1, 0.2, ..., 1


def test_layers_that_are_not_defined_are_left_out(sides, tmp_path: Path):
    x, y = sides
    y["layer.0"] = np.ones_like(y["layer.0"])
    first, second = stores(tmp_path, x, y)
    best = rs.compare(first, second, "LinearCKA", layers="best")
    assert {score.details["best_of"] for score in best} == {2}
    assert "layer.0" not in {score.layer_y for score in best}
    tested = rs.permutation_test(first, second, "LinearCKA", layers="best", n_resamples=9)
    assert all(score.details["permutation"]["p"] <= 1 for score in tested)
    x["layer.1"] = np.ones_like(x["layer.1"])
    first, second = stores(tmp_path / "more", x, y)
    best = rs.compare(first, second, "LinearCKA", layers="best")
    assert [np.isnan(score.value) for score in best] == [False, True, False]
    assert best[1].details["best_of"] == 0
    x = {name: np.ones_like(rows) for name, rows in x.items()}
    with pytest.raises(DegenerateError):
        rs.compare(*stores(tmp_path / "none", x, y), "LinearCKA", layers="best")


def test_of_equal_scores_the_first_layer_is_best(sides, tmp_path: Path):
    x, y = sides
    y = {"layer.0": y["layer.0"], "layer.1": y["layer.2"], "layer.2": y["layer.2"]}
    best = rs.compare(*stores(tmp_path, x, y), "LinearCKA", layers="best")
    assert best[0].layer_y == "layer.1"


def test_what_is_refused(sides, tmp_path: Path):
    x, y = stores(tmp_path, *sides)
    with pytest.raises(OptionError, match="An interval of the best of several layers"):
        rs.compare(x, y, "LinearCKA", layers="best", interval="Jackknife")
    with pytest.raises(OptionError, match="tests the lowest value of GULP.*alternative='less'"):
        rs.permutation_test(x, y, "GULP", layers="best")
    with pytest.raises(OptionError, match="tests the highest value of LinearCKA.*alternative='greater'"):
        rs.permutation_test(x, y, "LinearCKA", layers="best", alternative="less")
    with pytest.raises(OptionError, match="two arrays are compared as they are"):
        rs.compare(np.eye(3), np.eye(3), "LinearCKA", layers="best")


def test_scores_of_the_best_layers_are_written_and_read(sides, tmp_path: Path):
    best = rs.compare(*stores(tmp_path, *sides), "LinearCKA", layers="best")
    assert Scores.from_jsonl(best.to_jsonl(tmp_path / "s.jsonl")) == best
    assert replace(best[0], details={}) == best[0]


def test_a_planted_relation_is_found(sides, tmp_path: Path):
    x, y = stores(tmp_path, *sides)
    found = rs.permutation_test(x, y, MEASURES[0], layers="best", n_resamples=99, n_threads=1)
    assert [score.layer_y for score in found] == ["layer.2", "layer.1", "layer.0"]
    assert [score.details["permutation"]["p"] for score in found] == [0.01] * 3

"""Which of two representations is closer to a third: paired by documents, with tests of the right size."""

from __future__ import annotations

import math

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.core.errors import OptionError, RowMismatchError


def three(seed, noise=(1.0, 1.0), documents=30, d=6):
    """A reference and two noisy copies, whose noise documents share in part."""
    rng = np.random.default_rng(seed)
    of_row = np.repeat(np.arange(documents), rng.integers(3, 9, documents))

    def rows():
        return rng.standard_normal((documents, d))[of_row] + rng.standard_normal((len(of_row), d))

    base = rows()
    return base, *(base + sd * rows() for sd in noise), of_row


@pytest.mark.parametrize("measure", ["LinearCKA(debiased=True)", "DocumentCKA", "GULP", "RSA(compare='euclidean')"])
def test_it_is_the_paired_difference_of_two_comparisons(measure):
    base, X, Y, documents = three(0, (0.5, 1.5))
    (score,) = rs.closer_to(base, X, Y, measure, documents=documents)
    options = {"documents": documents, "interval": "Jackknife"}
    first, second = (rs.Scores([rs.compare(base, side, measure, **options)]) for side in (X, Y))
    (due,) = rs.differences(first, second, paired=True)
    assert (score.value, score.interval) == (due.value, due.interval)
    assert score.details["p"] == due.details["p"]
    assert score.details["closer"] == "X"
    (turned,) = rs.closer_to(base, Y, X, measure, documents=documents)
    assert (turned.value, turned.details["closer"]) == (-score.value, "Y")
    assert (score.value < 0) is rs.parse_measure(measure).is_distance


def test_the_size_where_both_are_equally_close():
    decided = []
    for seed in range(150):
        base, X, Y, documents = three(seed)
        (score,) = rs.closer_to(base, X, Y, "DocumentCKA", documents=documents)
        decided.append(score.details["closer"] is not None)
        assert decided[-1] is (score.details["p"] < 0.05)
    assert np.mean(decided) == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 150))


def test_confidence_and_blocks_are_those_of_the_plan():
    base, X, Y, documents = three(3, (0.9, 1.0))
    wide, narrow = (
        rs.closer_to(base, X, Y, "LinearCKA", documents=documents, interval=rs.Jackknife(blocks=10, confidence=level))[
            0
        ]
        for level in (0.99, 0.5)
    )
    assert wide.details["degrees_of_freedom"] == 9
    assert wide.interval[0] < narrow.interval[0] < narrow.value < narrow.interval[1] < wide.interval[1]


def test_layers_of_stores(tmp_path):
    base, X, Y, documents = three(4, (0.5, 1.5))
    columns = {"doc_id": documents, "position": np.arange(len(base)), "token_id": np.zeros(len(base), int)}
    constant = np.ones((len(base), 2))
    stores = [
        rs.write_store(tmp_path / name, {"embeddings": constant, "layer.0": rows, "layer.1": rows**3}, columns=columns)
        for name, rows in (("base", base), ("x", X), ("y", Y))
    ]
    scores = rs.closer_to(*stores, ["LinearCKA", "RV2"])
    assert [score.layer_x for score in scores][:4] == ["layer.0", "layer.0", "layer.1", "layer.1"]
    assert [score.details["closer"] for score in scores[:4]] == ["X"] * 4
    assert len(scores) == 6
    assert all(score.details["p_holm"] >= score.details["p"] for score in scores[:4])
    for score in scores[4:]:
        assert score.layer_x == "embeddings"
        assert math.isnan(score.value)
        assert "constant" in score.details["undefined"]


def test_what_is_refused(tmp_path):
    base, X, Y, documents = three(5)
    with pytest.raises(OptionError, match="needs symmetric measures: PWCCA has another value"):
        rs.closer_to(base, X, Y, ["CCA", "PWCCA"])
    with pytest.raises(OptionError, match="interval must be"):
        rs.closer_to(base, X, Y, "CCA", interval=0.9)
    stores = []
    for name, doc_id in (("x", documents), ("o", documents + 1)):
        columns = {"doc_id": doc_id, "position": np.arange(len(X)), "token_id": np.zeros(len(X), int)}
        stores.append(rs.write_store(tmp_path / name, {"a": X}, columns=columns))
    with pytest.raises(RowMismatchError):
        rs.closer_to(stores[0], *stores, "CCA")

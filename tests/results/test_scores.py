"""Score and Scores: frozen, owned, laid out, chosen."""

from __future__ import annotations

import dataclasses
import pickle

import numpy as np
import pytest

from pyrepsim.core.errors import LayerError, OptionError
from pyrepsim.measures import SVCCA, LinearCKA
from pyrepsim.results import Score, Scores


def score(value: float, measure: str = "CKA", layer_x: str = "layer.0", layer_y: str = "layer.0", **more) -> Score:
    return Score(value, measure, 100, layer_x=layer_x, layer_y=layer_y, **more)


@pytest.fixture
def square() -> Scores:
    layers = ("embeddings", "layer.0", "layer.1")
    measures = ("LinearCKA(debiased=True)", "SVCCA", "SVCCA(components=2)")
    return Scores(
        score(i + j / 10, measure, x, y)
        for i, x in enumerate(layers)
        for j, y in enumerate(layers)
        for measure in measures
    )


def test_a_score_is_a_number_and_owns_its_memory():
    spectrum = np.ones(3)
    options = {"arrays": {"correlations": spectrum}}
    one = Score(np.float32(0.5), "CCA", np.int64(7), interval=(np.float64(0.4), 1), details=options)
    spectrum[:] = 0
    options["later"] = 1
    assert float(one) == 0.5
    assert type(one.value) is float
    assert type(one.n_samples) is int
    assert one.interval == (0.4, 1.0)
    assert one.details["arrays"]["correlations"].tolist() == [1, 1, 1]
    assert "later" not in one.details
    with pytest.raises(ValueError, match="read-only"):
        one.details["arrays"]["correlations"][0] = 2
    with pytest.raises(TypeError):
        one.details["rank"] = 2
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.value = 1.0


def test_repr_is_one_short_line():
    assert repr(Score(0.5, "CCA", 1000)) == "Score(0.5, CCA, n=1,000)"
    full = score(0.123456789, interval=(0.1, 0.2))
    assert repr(full) == "Score(0.123457 [0.1, 0.2], CKA, layer.0 ~ layer.0, n=100)"


def test_scores_pickle_and_compare():
    scores = Scores([score(0.5, details={"a": np.arange(2), "b": {"c": (1, 2)}})])
    again = pickle.loads(pickle.dumps(scores))
    assert again == scores
    assert hash(again) == hash(scores)
    assert again != Scores([score(0.25)])
    assert again[0].details["b"]["c"] == (1, 2)


def test_scores_are_a_sequence(square: Scores):
    assert len(square) == 27
    assert isinstance(square[:3], Scores)
    assert square[0].measure == "LinearCKA(debiased=True)"
    assert square.measures == ("LinearCKA(debiased=True)", "SVCCA", "SVCCA(components=2)")
    assert square.layers_x == square.layers_y == ("embeddings", "layer.0", "layer.1")
    with pytest.raises(OptionError, match="got float"):
        Scores([0.5])


def test_select_by_full_name_family_and_layer(square: Scores):
    assert square.select(measure="SVCCA").measures == ("SVCCA",), "an exact name is not a family"
    assert square.select(measure="LinearCKA").measures == ("LinearCKA(debiased=True)",)
    assert len(square.select(measure=["SVCCA", "SVCCA(components=2)"], layer_x="layer.1")) == 6
    (one,) = square.select(measure="LinearCKA", layer_x="layer.0", layer_y="layer.1")
    assert one.value == 1.2
    with pytest.raises(OptionError, match=r"must be one of .* got 'CCA'"):
        square.select(measure="CCA")
    with pytest.raises(LayerError, match=r"layer_y must be one of embeddings.* got layer\.9"):
        square.select(layer_y=["layer.0", "layer.9"])


def test_matrix_has_nan_where_a_pair_has_no_score(square: Scores):
    rows, columns, values = Scores(square[i] for i in (0, 3, 9)).matrix()
    assert (rows, columns) == (("embeddings", "layer.0"), ("embeddings", "layer.0"))
    np.testing.assert_array_equal(values, [[0.0, 0.1], [1.0, np.nan]])
    assert square.matrix("LinearCKA")[2].tolist() == [[0, 0.1, 0.2], [1, 1.1, 1.2], [2, 2.1, 2.2]]


def test_matrix_refuses_what_is_ambiguous(square: Scores):
    with pytest.raises(OptionError, match="one measure: got LinearCKA"):
        square.matrix()
    with pytest.raises(OptionError, match=r"several\. Select first"):
        Scores([score(0.5), score(0.6)]).matrix()
    with pytest.raises(OptionError, match="got none"):
        Scores().matrix()


def test_select_accepts_a_measure_or_its_name(square: Scores):
    assert square.select(measure=SVCCA(components=2)).measures == ("SVCCA(components=2)",)
    assert square.select(measure=[SVCCA(), "LinearCKA"]).measures == ("LinearCKA(debiased=True)", "SVCCA")
    assert square.matrix(LinearCKA(debiased=True))[2].tolist() == square.matrix("LinearCKA")[2].tolist()
    with pytest.raises(OptionError, match=r"must be one of .* got 'LinearCKA'"):
        square.select(measure=LinearCKA())  # a measure is itself, not its family
    with pytest.raises(LayerError, match="got 3"):
        square.select(layer_x=3)


def test_scores_add_up_to_scores(square: Scores):
    both = square[:2] + square[2:5]
    assert isinstance(both, Scores)
    assert both == square[:5]
    with pytest.raises(TypeError):
        square + 1


def test_a_score_in_a_notebook_is_one_escaped_line():
    html = score(0.25, interval=(0.2, 0.3), layer_x="<a>")._repr_html_()
    assert html == "<span><b>0.25</b> [0.2, 0.3] CKA, &lt;a&gt; ~ layer.0, n = 100</span>"

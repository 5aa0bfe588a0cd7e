"""A matrix of comparisons: its distances, coordinates, tables and figures."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist, squareform

from pyrepsim.core.errors import DegenerateError, OptionError, ShapeError
from pyrepsim.results import ComparisonMatrix

POINTS = np.random.default_rng(0).standard_normal((6, 2))
NAMES = tuple("abcdef")


def matrix(values, **options):
    return ComparisonMatrix(NAMES[: len(values)], values, "Procrustes", 100, provenance={"backend": "cpu"}, **options)


def test_coordinates_have_the_distances():
    distances = squareform(pdist(POINTS))
    found = matrix(distances, value="distance").coordinates()
    np.testing.assert_allclose(squareform(pdist(found)), distances, atol=1e-12)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-12)
    assert found.var(axis=0)[0] >= found.var(axis=0)[1]
    assert (found[np.argmax(np.abs(found), axis=0), [0, 1]] > 0).all()
    np.testing.assert_allclose(matrix(distances).coordinates(5)[:, 2:], 0, atol=1e-6)


def test_similarities_become_distances():
    unit = POINTS / np.linalg.norm(POINTS, axis=1, keepdims=True)
    cosines = unit @ unit.T
    np.testing.assert_allclose(matrix(cosines).distances(), squareform(pdist(unit)), atol=1e-7)
    asymmetric = cosines.copy()
    asymmetric[0, 1] -= 0.1
    assert np.array_equal(matrix(asymmetric).distances(), matrix(asymmetric).distances().T)
    with pytest.raises(DegenerateError, match="0 or 1 for a representation and itself"):
        matrix(cosines * 0.5).distances()


def test_values_are_copied_and_read_only():
    values = np.eye(3)
    made = matrix(values)
    values[0, 1] = 9
    assert made.values[0, 1] == 0
    with pytest.raises(ValueError, match="read-only"):
        made.values[0, 1] = 1
    assert np.array_equal(np.asarray(made), np.eye(3))
    assert np.asarray(made, dtype=np.float32).dtype == np.float32


def test_tables_and_records(tmp_path):
    made = matrix(np.eye(2), value="angle")
    assert made.table().splitlines()[0] == "Procrustes (angle), n = 100"
    assert made.table().splitlines()[3:] == ["a  1.0000  0.0000", "b  0.0000  1.0000"]
    assert "<table>" in made._repr_html_()
    records = made.to_records()
    assert len(records) == 4
    assert records[1] == {
        "x": "a", "y": "b", "value": 0.0, "measure": "Procrustes", "quantity": "angle", "n_samples": 100,
        "backend": "cpu",
    }  # fmt: skip
    assert made.to_csv(tmp_path / "m.csv").read_text().startswith("x,y,value")
    assert list(made.to_frame().columns)[:3] == ["x", "y", "value"]


@pytest.mark.parametrize("figure", ["plot", "dendrogram", "mds"])
def test_figures(figure, tmp_path):
    made = matrix(squareform(pdist(POINTS)), value="distance")
    paths = [tmp_path / f"{k}.svg" for k in range(2)]
    for path in paths:
        getattr(made, figure)(path)
    text = paths[0].read_text()
    assert text == paths[1].read_text()
    assert all(f">{name}<" in text for name in NAMES)
    if figure != "plot":
        with pytest.raises(ShapeError, match="at least two"):
            getattr(matrix(np.eye(1)), figure)()


def test_dendrogram_joins_the_nearest_first():
    distances = np.array([[0, 1, 8.0], [1, 0, 8], [8, 8, 0]])
    axes = matrix(distances).dendrogram().axes[0]
    assert sorted(max(line.get_xdata()) for line in axes.lines) == [1.0, 8.0]
    with pytest.raises(OptionError, match="method must be one of"):
        matrix(distances).dendrogram(method="ward")

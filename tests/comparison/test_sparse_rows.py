"""Sparse rows have the values of the same rows that are dense, whatever form they come in."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import sparse

import pyrepsim as rs
from pyrepsim.core.errors import DegenerateError, DTypeError, NonFiniteError, OptionError, ShapeError
from pyrepsim.core.sparse import sparse_rows
from pyrepsim.moments import gram_tiles
from tests.helpers import references as ref

MEASURES = {
    rs.LinearCKA(): ref.linear_cka,
    rs.LinearCKA(debiased=True): ref.debiased_cka,
    rs.RV2(): ref.rv2,
    rs.RSA(): lambda X, Y: ref.rsa(X, Y, "cosine", "pearson"),
    rs.RSA(metric="dot"): lambda X, Y: ref.rsa(X, Y, "dot", "pearson"),
    rs.RSA(metric="sqeuclidean"): lambda X, Y: ref.rsa(X, Y, "sqeuclidean", "pearson"),
}


def features(n=90, d=70, active=6, seed=0):
    """Rows with a few positive features, some of which are active often, as those of a sparse autoencoder."""
    rng = np.random.default_rng(seed)
    often = rng.dirichlet(np.full(d, 0.3))
    rows = np.zeros((n, d))
    for row in rows:
        row[rng.choice(d, active, replace=False, p=0.5 * often + 0.5 / d)] = rng.lognormal(size=active)
    return rows


def located(rows):
    places = np.argwhere(rows)
    return {"locations": places, "activations": rows[rows != 0], "shape": rows.shape}


FORMS = {
    "csr": sparse.csr_array,
    "csc matrix": sparse.csc_matrix,
    "coo": sparse.coo_array,
    "torch coo": lambda rows: torch.tensor(rows).to_sparse(),
    "torch csr": lambda rows: torch.tensor(rows).to_sparse_csr(),
    "locations": located,
    "dense": np.asarray,
}


@pytest.fixture
def small_blocks(monkeypatch):
    monkeypatch.setattr(gram_tiles, "_BLOCK_ROWS", 16)
    monkeypatch.setattr(gram_tiles, "_LEAST_BLOCK_ROWS", 16)


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.parametrize("form_x", FORMS)
@pytest.mark.parametrize("form_y", ["csr", "dense"])
def test_values_are_those_of_dense_rows(form_x, form_y, small_blocks):
    x, y = features(), features(d=50, seed=1) @ np.diag(np.linspace(0.1, 4, 50))
    y[:, :30] += x[:, :30] * (y[:, :30] == 0)
    scores = rs.compare(FORMS[form_x](x), FORMS[form_y](y), list(MEASURES))
    for score, (measure, reference) in zip(scores, MEASURES.items(), strict=True):
        assert score.measure == str(measure)
        assert score.value == pytest.approx(reference(x, y), abs=1e-12)
    if (form_x, form_y) != ("dense", "dense"):
        assert scores[0].provenance["sparse_x"] == (form_x != "dense")
        assert scores[0].provenance["products"] == "n x n"


def test_positions_of_documents_and_repeated_places(small_blocks):
    x, y = features(), features(seed=1)
    found = located(x)
    places = found["locations"]
    by_document = np.column_stack([places[:, 0] // 9, places[:, 0] % 9, places[:, 1]])
    again = {
        "locations": torch.tensor(np.concatenate([by_document, by_document])),
        "activations": torch.tensor(np.concatenate([0.25 * found["activations"], 0.75 * found["activations"]])),
        "shape": (10, 9, 70),
    }
    assert rs.compare(again, y, rs.LinearCKA()).value == pytest.approx(ref.linear_cka(x, y), abs=1e-12)


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int32, np.float16, np.float32, bool])
@pytest.mark.parametrize("form", ["coo", "bsr", "csr", "locations", "torch"])
def test_values_of_one_place_are_added_without_overflow(form, kind):
    places, numbers = np.array([[0, 0], [0, 0], [1, 2]]), np.array([100, 100, 1]).astype(kind)
    places, numbers = (places, numbers) if kind != np.int32 else (places[1:], np.array([2**24 + 1, 1], kind))
    if form == "torch":
        value = torch.sparse_coo_tensor(places.T, torch.tensor(numbers), (2, 3), check_invariants=True)
    elif form == "locations" or kind == np.float16:  # which scipy does not have
        value = {"locations": places, "activations": numbers, "shape": (2, 3)}
    elif form == "coo":
        value = sparse.coo_array((numbers, places.T), shape=(2, 3))
    elif form == "csr":
        value = sparse.csr_array((numbers, places[:, 1], np.searchsorted(places[:, 0], range(3))), shape=(2, 3))
    else:
        value = sparse.bsr_array((numbers[:, None, None], places[:, 1], np.searchsorted(places[:, 0], range(3))))
    found = sparse_rows(value)
    expected = np.zeros((2, 3))
    np.add.at(expected, (*places.T,), numbers.astype(float))
    np.testing.assert_array_equal(found.toarray(), expected)
    assert found.dtype == (np.float64 if kind == np.int32 else np.float32)


def test_bits_do_not_depend_on_threads(small_blocks, monkeypatch):
    monkeypatch.setattr(gram_tiles, "_FEW_PRODUCTS", 0)
    x, y = sparse.csr_array(features()), sparse.csr_array(features(seed=1))
    values = [[s.value for s in rs.compare(x, y, list(MEASURES), n_threads=k)] for k in (1, 3)]
    assert values[0] == values[1]
    assert rs.compare(x, x, rs.LinearCKA()).value == 1.0


def test_cosines_of_rows_of_any_size():
    x, y = features(), features(seed=1)
    expected = rs.compare(sparse.csr_array(x), y, rs.RSA()).value
    for scale in (2.0**600, 2.0**-600):
        assert rs.compare(sparse.csr_array(x * scale), y, rs.RSA()).value == expected


def test_float32_and_the_input_stays_as_it_is():
    x, y = features().astype(np.float32), features(seed=1).astype(np.float32)
    a = sparse.coo_array(x)
    before = a.data.copy()
    for measure, reference in MEASURES.items():
        score = rs.compare(a, sparse.csr_array(y), measure)
        assert score.value == pytest.approx(reference(x.astype(float), y.astype(float)), abs=1e-12)
        assert score.provenance["dtype_x"] == "float32"
    assert (a.data == before).all()


def test_wide_rows_take_little_memory():
    rng = np.random.default_rng(0)
    n, d, active = 1500, 65_536, 100
    x, y = (
        sparse.csr_array(
            (rng.lognormal(size=n * active), rng.integers(0, d, n * active), np.arange(0, n * active + 1, active)),
            shape=(n, d),
        )
        for _ in range(2)
    )
    assert abs(rs.compare(x, y, rs.LinearCKA(debiased=True)).value) < 0.05
    assert rs.compare(x, y, rs.LinearCKA()).value > 0.5  # biased: n < d


@pytest.mark.parametrize("measure", ["CCA", "Procrustes", "RSA(metric='correlation')", "MutualKNN", "KernelCKA"])
def test_what_is_not_supported_is_named(measure):
    x = sparse.csr_array(features())
    with pytest.raises(OptionError, match=r"is not computed from sparse rows: these have LinearCKA"):
        rs.compare(x, x, [rs.LinearCKA(), measure])


def test_options_that_are_not_supported_are_named():
    x = sparse.csr_array(features())
    for options, message in (
        ({"precision": "fp32"}, "float64 on the CPU"),
        ({"interval": "Jackknife(blocks=5)"}, "compared by rs.compare alone"),
        ({"checkpoint": "sums"}, "checkpoint and executor are for stores"),
    ):
        with pytest.raises(OptionError, match=message):
            rs.compare(x, x, rs.LinearCKA(), **options)
    with pytest.raises(OptionError, match="compared by rs.compare alone"):
        rs.permutation_test(x, x, rs.LinearCKA())


def test_bad_rows():
    rows = features()
    x = sparse.csr_array(rows)
    for bad, error, message in (
        (x[:50], ShapeError, "same number of rows"),
        (x * np.inf, NonFiniteError, "X must be finite: got inf at row 0"),
        (x.astype(complex), DTypeError, "must hold numbers"),
        (sparse.csr_array((90, 0)), ShapeError, "both at least 1"),
        (torch.tensor(rows).to_sparse().to(torch.complex64), DTypeError, "must hold numbers"),
        ({**located(rows), "shape": (90, 3)}, ShapeError, "within its shape"),
        ({**located(rows), "shape": (-90, -70)}, ShapeError, "none of them negative"),
        ({**located(rows), "shape": (90.5, 70)}, DTypeError, "interpreted as an integer"),
        ({"locations": [[0, 1]], "activations": [1.0]}, ShapeError, "must tell its shape"),
        ({**located(rows), "activations": [1.0]}, ShapeError, "as many activations"),
        ({**located(rows), "locations": located(rows)["locations"] * 1.0}, DTypeError, "whole numbers"),
        (sparse.csr_array((90, 5)), DegenerateError, "constant"),
        (sparse.csr_array(np.ones((90, 5)) + 1e-4 * np.eye(90, 5)), DegenerateError, "vary by at least 1 %"),
        (x * 1e120, NonFiniteError, "Rescale them"),
    ):
        with pytest.raises(error, match=message):
            rs.compare(bad, x, rs.LinearCKA())
    empty = rows.copy()
    empty[33] = 0
    with pytest.raises(DegenerateError, match="row 33 of X is all zero"):
        rs.compare(sparse.csr_array(empty), x, rs.RSA())
    same = np.outer(np.linspace(1, 3, 90), rows[0])
    with pytest.raises(DegenerateError, match="all rows of X have one"):
        rs.compare(sparse.csr_array(same), x, rs.RSA())

"""Permutation tests: p-values of the right size for documents of any lengths, thresholds, and the best layer."""

from __future__ import annotations

import math

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.comparison import compare, permutation_test
from pyrepsim.comparison.permutation import permuted_rows, rows_by_document
from pyrepsim.core.errors import DegenerateError, OptionError, ShapeError
from pyrepsim.inference.p_values import calibrated_value
from pyrepsim.measures import all_measures


def unrelated(lengths, seed, d=6):
    """Two sides whose rows resemble each other within documents, and do not depend on the other side."""
    rng = np.random.default_rng(seed)
    n = int(np.sum(lengths))
    return [
        np.repeat(rng.standard_normal((len(lengths), d)), lengths, axis=0) + rng.standard_normal((n, d)) for _ in "xy"
    ]


def p_of(X, Y, measure, **options):
    (score,) = permutation_test(X, Y, measure, **options)
    return score.details["permutation"]["p"]


LENGTHS = {
    "equal": lambda rng: np.full(20, 8),
    "mildly unequal": lambda rng: rng.integers(8, 10, 20),
    "unequal": lambda rng: rng.integers(3, 20, 20),
}


@pytest.mark.parametrize("kind", LENGTHS)
def test_size_for_documents_of_any_lengths(kind):
    """Documents of unequal lengths that are laid end to end are matched in the observed order only: p is then small."""
    rejected = []
    for seed in range(150):
        lengths = LENGTHS[kind](np.random.default_rng(1000 + seed))
        X, Y = unrelated(lengths, seed)
        documents = np.repeat(np.arange(20), lengths)
        rejected.append(p_of(X, Y, rs.LinearCKA(), documents=documents, n_resamples=19, seed=seed) <= 0.05)
    assert np.mean(rejected) == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 150))


def test_rows_of_one_document_are_not_exchangeable():
    """The negative control of the test above: single rows that change places."""
    lengths = np.full(20, 8)
    rejected = [
        p_of(*unrelated(lengths, seed), rs.LinearCKA(), n_resamples=19, seed=seed) <= 0.05 for seed in range(40)
    ]
    assert np.mean(rejected) > 0.3


def test_a_weak_relation_is_found_in_documents_of_unequal_lengths():
    rejected = []
    for seed in range(20):
        lengths = np.random.default_rng(seed).integers(5, 30, 40)
        X, Y = unrelated(lengths, seed)
        documents = np.repeat(np.arange(40), lengths)
        rejected.append(p_of(X, Y + 0.7 * X, rs.LinearCKA(), documents=documents, n_resamples=39, seed=seed) <= 0.05)
    assert np.mean(rejected) >= 0.9


def test_rows_that_are_tested():
    documents = np.array([7, 3, 7, 3, 3, 9, 7, 1, 1, 4, 4, 5, 5])
    # of documents 1, 3, 4, 5, 7 and 9 with 2, 3, 2, 2, 3 and 1 rows
    np.testing.assert_array_equal(rows_by_document(documents), [[7, 8], [1, 3], [9, 10], [11, 12], [0, 2]])
    few_long = np.repeat(np.arange(14), [2] * 8 + [10] * 6)  # 6 long documents have more rows than 14 short parts
    assert rows_by_document(few_long).shape == (14, 2)
    matched = rows_by_document(np.repeat(np.arange(6), 2))
    np.testing.assert_array_equal(matched, np.arange(12).reshape(6, 2))
    for index in range(5):
        order = permuted_rows(12, matched, seed=3, index=index)
        drawn = np.argsort(np.random.default_rng([3, index]).permutation(6))
        np.testing.assert_array_equal(order, matched[drawn].ravel())


def test_documents_in_any_order_give_the_same_p():
    rng = np.random.default_rng(5)
    lengths = rng.integers(4, 9, 12)
    X, Y = unrelated(lengths, 6)
    documents = np.repeat(rng.permutation(12), lengths)
    options = {"n_resamples": 29, "seed": 2}
    (expected,) = permutation_test(X, Y, rs.LinearCKA(), documents=documents, **options)
    order = np.argsort(rng.permuted(np.arange(len(X))) + 0.0)
    place = np.argsort(documents[order], kind="stable")  # the rows of a document keep their order
    mixed = np.empty_like(order)
    mixed[place] = np.argsort(documents, kind="stable")
    (found,) = permutation_test(X[mixed], Y[mixed], rs.LinearCKA(), documents=documents[mixed], **options)
    assert found.value == pytest.approx(expected.value, abs=1e-12)
    one, other = (score.details["permutation"] for score in (found, expected))
    assert one == {
        name: pytest.approx(value, abs=1e-12) if isinstance(value, float) else value for name, value in other.items()
    }
    per_document = int(one["rows_per_document"])
    kept = lengths >= per_document
    first = np.concatenate([np.arange(n) < per_document for n in lengths]) & np.repeat(kept, lengths)
    assert one["n_rows"] == first.sum() == per_document * kept.sum() == per_document * one["n_documents"]
    assert one["value"] == pytest.approx(rs.compare(X[first], Y[first], rs.LinearCKA()).value, abs=1e-12)
    assert one["value"] != expected.value == rs.compare(X, Y, rs.LinearCKA()).value


def test_stores_and_arrays_of_equal_documents_agree(stores):
    x, y = stores
    mask = x.columns.mask("content")
    (score,) = permutation_test(x["layer.1"], y["layer.1"], "LinearCKA", n_resamples=9)
    X, Y = (np.asarray(side["layer.1"])[mask] for side in stores)
    (same,) = permutation_test(X, Y, "LinearCKA", n_resamples=9, documents=x.columns["doc_id"][mask])
    assert score.details == same.details
    assert score.details["permutation"]["n_rows"] == mask.sum()


@pytest.mark.parametrize("alternative", ["greater", "less"])
def test_thresholds_are_order_statistics(stores, alternative):
    x, y = stores
    measure = rs.LinearCKA() if alternative == "greater" else rs.GULP()
    scores = permutation_test(x, y, measure, n_resamples=24, layers="all", alternative=alternative, alpha=0.1)
    sign = 1 if alternative == "greater" else -1
    matched = rows_by_document(x.columns["doc_id"][x.columns.mask("content")])
    rows = [{name: np.asarray(side[name])[side.columns.mask("content")] for name in side.layers} for side in stores]
    pairs = [(a, b) for a in x.layers for b in y.layers]
    drawn = [permuted_rows(matched.size, matched, seed=0, index=index) for index in range(24)]
    null = np.array([[rs.compare(rows[0][a], rows[1][b][order], measure).value for a, b in pairs] for order in drawn])
    values = np.array([score.value for score in scores])
    everything = np.sort(sign * np.concatenate([values[None], null]), axis=0)
    best = np.sort((sign * np.concatenate([values[None], null])).max(axis=1))
    place = math.ceil(0.9 * 25) - 1
    for score, of_pair in zip(scores, everything.T, strict=True):
        result = score.details["permutation"]
        assert sign * result["threshold"] == pytest.approx(of_pair[place], abs=1e-9)
        assert sign * result["threshold_best"] == pytest.approx(best[place], abs=1e-9)
        if alternative == "less":
            assert "calibrated" not in result
            continue
        for name, threshold in (("calibrated", of_pair[place]), ("calibrated_best", best[place])):
            assert result[name] == pytest.approx(max(score.value - threshold, 0) / (1 - threshold), abs=1e-9)


def test_calibrated_values_are_fractions():
    assert calibrated_value(0.6, 0.2, 1.0) == pytest.approx(0.5)
    assert calibrated_value(1 + 1e-9, 0.2, 1.0) == 1.0  # of rounding
    assert calibrated_value(0.1, 0.2, 1.0) == calibrated_value(1.0, 1.0, 1.0) == 0.0


@pytest.mark.parametrize(
    ("lengths", "fact"),
    [
        ([5, 5, 5, 5], "4 of 4 documents have 5 rows or more, so 20 of 20 rows"),
        ([100, 2, 2, 2, 2, 2, 2], "7 of 7 documents have 2 rows or more, so 14 of 112 rows"),
        ([9], "1 of 1 documents have 9 rows"),
    ],
)
def test_documents_that_cannot_be_exchanged_are_refused(lengths, fact):
    X, Y = unrelated(lengths, 0)
    documents = np.repeat(np.arange(len(lengths)), lengths)
    with pytest.raises(DegenerateError, match=fact):
        permutation_test(X, Y, rs.LinearCKA(), documents=documents)
    assert 0 < p_of(X, Y, rs.LinearCKA(), documents=documents, unit="rows", n_resamples=9) <= 1


def test_a_measure_that_is_not_defined_on_the_tested_rows_is_refused():
    X, Y = unrelated([3] * 6, 0)
    X[:], longer = 1.0, np.array([3] * 6)
    X, Y = (np.concatenate([rows, np.random.default_rng(1).standard_normal((2, 6))]) for rows in (X, Y))
    documents = np.append(np.repeat(np.arange(6), longer), [6, 6])
    assert np.isfinite(rs.compare(X, Y, rs.LinearCKA()).value)
    with pytest.raises(DegenerateError, match="every feature of X is constant over the 18 rows"):
        permutation_test(X, Y, rs.LinearCKA(), documents=documents, n_resamples=9)


def test_wrong_arguments(stores):
    X, Y = unrelated([4] * 6, 0)
    for options, error, message in (
        ({"unit": "documents"}, OptionError, "Pass documents="),
        ({"alternative": "both"}, OptionError, "alternative must be"),
        ({"alpha": 1.0}, OptionError, "alpha must be a fraction"),
        ({"alpha": True}, OptionError, "alpha must be a fraction"),
        ({"documents": np.arange(23)}, ShapeError, "each of the 24 rows"),
        ({"documents": [None] * 24}, OptionError, "numbers or names"),
    ):
        with pytest.raises(error, match=message):
            permutation_test(X, Y, rs.LinearCKA(), **options)
    with pytest.raises(ShapeError, match="document of each of the .* texts"):
        permutation_test(*stores, rs.LinearCKA(), documents=np.arange(3000))


def test_p_values_of_unrelated_rows_are_uniform():
    rng = np.random.default_rng(1)
    p = []
    for _ in range(40):
        X, Y = rng.standard_normal((2, 20, 2))
        p.append(permutation_test(X, Y, rs.LinearCKA(), n_resamples=9)[0].details["permutation"]["p"])
    # ten equally likely values 0.1 ... 1: mean 0.55, standard deviation 0.287
    assert np.mean(p) == pytest.approx(0.55, abs=3.5 * 0.287 / np.sqrt(40))
    assert np.mean(np.array(p) <= 0.101) < 0.1 + 3.5 * 0.3 / np.sqrt(40)


def test_measures_that_do_not_depend_on_the_matching_have_no_permutation_test(rng):
    X, Y = rng.standard_normal((30, 4)) + 1, rng.standard_normal((30, 3)) + 1
    free = [kind() for kind in all_measures().values() if not kind.depends_on_matching]
    assert {type(m).__name__ for m in free} == {"Concentricity", "Magnitude", "MetricSpaceMagnitude", "Uniformity"}
    for measure in free:
        with pytest.raises(OptionError, match="does not depend on the matching"):
            permutation_test(X, Y, [rs.LinearCKA(), measure])
    orders = [rng.permutation(30) for _ in range(4)]
    for kind in all_measures().values():  # the declaration is right
        measure = kind(k=3) if "k" in kind.__dataclass_fields__ else kind()
        change = np.ptp([compare(X, Y[order], measure).value for order in orders])
        assert bool(change > 1e-6) is kind.depends_on_matching, measure


@pytest.mark.parametrize(("measure", "precision"), [(rs.LinearCKA(), "auto"), (rs.DistanceCorrelation(), "fp32")])
def test_permutations_that_change_nothing_count_as_equal(measure, precision):
    """Rows of X of two kinds, Y equal to X: a third of the permutations gives the value 1, up to rounding."""
    X = np.repeat(np.random.default_rng(3).standard_normal((2, 7)), 2, axis=0)
    (tested,) = permutation_test(X, X, measure, n_resamples=299, precision=precision)
    assert abs(tested.details["permutation"]["p"] - 1 / 3) < 0.08

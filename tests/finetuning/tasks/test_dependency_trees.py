"""Trees from arc scores: the best tree with one child of the root, equal for any number of threads."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyrepsim.core.errors import DegenerateError, DTypeError, NonFiniteError, OptionError, ShapeError
from pyrepsim.finetuning.tasks.dependency import decode
from tests.helpers.references_trees import best_by_enumeration, best_by_networkx, is_tree, total

BACKENDS = ["cpu", "reference"]
INF = np.inf


def decode_one(scores, **options):
    return decode(np.asarray(scores)[None], [len(scores)], **options)[0]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_best_tree_is_not_the_best_heads_nor_the_best_tree_with_two_roots(backend):
    # Word 1 and word 2 each prefer the root (20 in all); with one child of the root the best is 0 -> 2 -> 1.
    assert decode_one([[10.0, 0.0, 8.0], [10.0, 1.0, 0.0]], backend=backend).tolist() == [2, 0]
    # Words 1 and 2 prefer each other; the cycle is opened where that costs least.
    assert decode_one([[1.0, 0.0, 9.0], [4.0, 9.0, 0.0]], backend=backend).tolist() == [2, 0]


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 4), st.sampled_from([2, 5, 1000]), st.floats(0, 0.5), st.integers(0, 2**32 - 1))
def test_enumeration(n, values, forbidden, seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(-values, values, (n, n + 1)).astype(np.float64)  # whole numbers: many ties, exact sums
    scores[rng.random(scores.shape) < forbidden] = -INF
    best = best_by_enumeration(scores)
    for backend in BACKENDS:
        if best is None:
            with pytest.raises(DegenerateError, match="sentence 0"):
                decode_one(scores, backend=backend)
        else:
            heads = decode_one(scores, backend=backend)
            assert is_tree(heads)
            assert total(scores, heads) == best


def test_five_words_against_enumeration(rng):
    for _ in range(3):
        scores = rng.standard_normal((5, 6)).astype(np.float32)
        assert total(scores, decode_one(scores)) == pytest.approx(best_by_enumeration(scores), abs=1e-6)


@pytest.mark.parametrize("n", [8, 13])
@pytest.mark.parametrize("root", [-5.0, 0.0, 5.0])
def test_networkx(rng, n, root):
    scores = rng.standard_normal((n, n + 1))
    scores[:, 0] += root
    scores[rng.random(scores.shape) < 0.2] = -INF
    heads = decode_one(scores)
    assert is_tree(heads)
    assert total(scores, heads) == pytest.approx(best_by_networkx(scores), abs=1e-9)


@pytest.mark.parametrize("kind", ["nested cycles", "normal", "ties"])
def test_both_backends_find_equally_good_trees(rng, kind):
    n, batch = 16, 2
    scores = rng.standard_normal((batch, n, n + 1))
    if kind == "nested cycles":  # pairs of words, pairs of pairs, ... prefer each other
        word = np.arange(n)
        for level in (2, 4, 8):
            scores[:, :, 1:][:, word[:, None] // level == word // level] += 10.0
    if kind == "ties":
        scores = np.round(scores)
    lengths = np.full(batch, n)
    result = [decode(scores, lengths, backend=backend) for backend in BACKENDS]
    for b in range(batch):
        assert is_tree(result[0][b])
        assert total(scores[b], result[0][b]) == pytest.approx(total(scores[b], result[1][b]), abs=1e-9)


def test_the_single_root_keeps_full_precision():
    # The scores differ in the last digits of a float64: a penalty added to them would hide it.
    scores = np.ones((3, 4))
    scores[:, 0] = 1e3
    scores[2, 0] += 2e-13
    scores[0, 2] += 4e-16
    assert decode_one(scores).tolist() == [2, 3, 0]


def test_ties_take_the_lower_head_for_any_threads_and_batch():
    scores = np.zeros((50, 6, 7))
    heads = decode(scores, [6] * 50, n_threads=1)
    assert (heads == heads[0]).all()
    assert is_tree(heads[0])


def test_thread_and_batch_agnosticism(rng):
    scores = np.round(rng.standard_normal((70, 9, 10)) * 2).astype(np.float32)
    lengths = rng.integers(0, 10, 70)
    one = decode(scores, lengths, n_threads=1)
    assert np.array_equal(one, decode(scores, lengths, n_threads=3))
    for b in (0, 17, 69):
        n = lengths[b]
        assert np.array_equal(one[b, :n], decode(scores[b : b + 1, :n, : n + 1], [n])[0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_lengths_padding_and_diagonal(rng, backend):
    scores = rng.standard_normal((3, 5, 6))
    lengths = [5, 2, 0]
    clean = decode(scores, lengths, backend=backend)
    dirty = scores.copy()
    dirty[1, 2:], dirty[1, :, 3:], dirty[2] = np.nan, INF, np.nan
    dirty[:, np.arange(5), np.arange(1, 6)] = np.nan
    heads = decode(dirty, lengths, backend=backend)
    assert heads.dtype == np.int64
    assert np.array_equal(heads, clean)
    assert (heads[1, 2:] == -1).all()
    assert (heads[2] == -1).all()
    assert decode(np.zeros((0, 4, 5)), [], backend=backend).shape == (0, 4)
    assert decode(np.zeros((2, 0, 1)), [0, 0], backend=backend).shape == (2, 0)


def test_accepted_array_types(rng):
    import torch

    scores = rng.integers(-100, 100, (2, 4, 5)).astype(np.float64)
    expected = decode(scores, [4, 3])
    strided = np.asfortranarray(scores)[:, ::-1][:, ::-1]
    readonly = scores.astype(np.float32)
    readonly.setflags(write=False)
    half = torch.tensor(scores, dtype=torch.bfloat16).requires_grad_()
    for given_scores in (strided, readonly, scores.astype(np.int64), scores.astype(np.float16), half, scores.tolist()):
        assert np.array_equal(decode(given_scores, torch.tensor([4, 3])), expected)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("bad", [np.nan, INF, 2e300, -2e300])
def test_scores_that_are_not_finite(rng, backend, bad):
    scores = rng.standard_normal((40, 3, 4))
    scores[17, 1, 3] = scores[30, 0, 0] = bad
    with pytest.raises(NonFiniteError, match="sentence 17 has .* for word 2 with head 3"):
        decode(scores, [3] * 40, backend=backend)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("forbidden", ["root", "word", "joined"])
def test_sentences_without_a_tree_are_named(rng, backend, forbidden):
    scores = rng.standard_normal((5, 4, 5))
    if forbidden == "root":
        scores[3, :, 0] = -INF
    elif forbidden == "word":
        scores[3, 2] = -INF
    else:  # two halves that only the root joins
        scores[3, :2, 3:] = scores[3, 2:, 1:3] = -INF
    with pytest.raises(DegenerateError, match="sentence 3"):
        decode(scores, [4] * 5, backend=backend)


@pytest.mark.parametrize(
    ("scores", "lengths", "options", "error"),
    [
        (np.zeros((3, 4)), [3], {}, ShapeError),
        (np.zeros((1, 3, 3)), [3], {}, ShapeError),
        (np.zeros((1, 3, 4)), [3, 3], {}, ShapeError),
        (np.zeros((1, 3, 4)), [4], {}, ShapeError),
        (np.zeros((1, 3, 4)), [-1], {}, ShapeError),
        (np.zeros((1, 3, 4)), [2.5], {}, ShapeError),
        (np.zeros((1, 3, 4), dtype=complex), [3], {}, DTypeError),
        (np.zeros((1, 3, 4)), [3], {"n_threads": 0}, OptionError),
        (np.zeros((1, 3, 4)), [3], {"backend": "cuda"}, OptionError),
    ],
)
def test_bad_input(scores, lengths, options, error):
    with pytest.raises(error):
        decode(scores, lengths, **options)

"""Generated sentences: repeatable, varied, and English as far as a grammar goes."""

from __future__ import annotations

import re

import pytest

from pyrepsim.cli.sample_text import sample_sentences
from pyrepsim.core.errors import OptionError


def test_a_seed_names_a_text():
    assert sample_sentences(50, seed=3) == sample_sentences(50, seed=3)
    assert sample_sentences(50, seed=3) == sample_sentences(80, seed=3)[:50]
    assert sample_sentences(50, seed=3) != sample_sentences(50, seed=4)


def test_sentences_differ_in_wording_and_length():
    sentences = sample_sentences(2000)
    assert len(set(sentences)) == 2000
    lengths = sorted(len(sentence.split()) for sentence in sentences)
    assert lengths[0] <= 3
    assert 8 <= lengths[1000] <= 16
    assert lengths[-1] >= 35
    assert len({word for sentence in sentences for word in re.findall(r"\w+", sentence.lower())}) > 300


@pytest.mark.parametrize(
    "slip",
    [
        r"[{}~\xa0]",
        r"\ba ([aeiou]|hour\b)",
        r"\ban [^aeiouh]",
        r"  ",
        r"^\"?[a-z]",
        r"^The (keys was|key were)\b",
    ],
)
def test_no_slip_of_grammar(slip: str):
    assert [sentence for sentence in sample_sentences(2000) if re.search(slip, sentence)] == []


def test_a_sentence_ends():
    assert all(re.search(r'[.?]"?$|" (said|asked) .*\.$', sentence) for sentence in sample_sentences(500))


def test_no_sentences_is_an_error():
    with pytest.raises(OptionError, match="at least 1: got 0"):
        sample_sentences(0)

"""Schemes of entity tags are recognised, checked and converted; entities by the definition of conlleval."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pyrepsim.core.errors import TextError
from pyrepsim.data.entity_tags import as_iob2, entities
from pyrepsim.data.tagged import TaggedSentence, read_tagged_columns
from tests.helpers.references_tagging import entities_by_definition


def converted(folder: Path, tags: str) -> TaggedSentence:
    """A file of one sentence with these tags, read and converted."""
    path = folder / "a.conll"
    path.write_text("".join(f"word{i}\t{tag}\n" for i, tag in enumerate(tags.split())), encoding="utf-8")
    (sentence,) = as_iob2(read_tagged_columns(path, word=0, tag=-1))
    return sentence


@pytest.mark.parametrize(
    ("scheme", "expected"),
    [
        ("B-x I-x O B-x B-x B-y", "B-x I-x O B-x B-x B-y"),
        ("I-x I-x O I-x B-x I-y", "B-x I-x O B-x B-x B-y"),
        ("I-x I-y", "B-x B-y"),
        ("B-x E-x O S-x S-x B-y I-y E-y", "B-x I-x O B-x B-x B-y I-y I-y"),
        ("B-x L-x O U-x U-x B-y I-y L-y", "B-x I-x O B-x B-x B-y I-y I-y"),
        ("B-creative-work I-creative-work", "B-creative-work I-creative-work"),
    ],
)
def test_schemes_are_converted_to_iob2(tmp_path: Path, scheme: str, expected: str):
    assert " ".join(converted(tmp_path, scheme).tags) == expected


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        ("B-x O I-x", r"a.conll:3 \('word2'\) starts one with 'I-x', .*a.conll:1 \('word0'\) with 'B-x'"),
        ("O B-x I-y", r"a.conll:3 \('word2'\) starts one with 'I-y'"),
        ("S-x I-x E-x", r"a.conll:2 \('word1'\) has 'I-x' after 'S-x'"),
        ("S-x B-x O", r"a.conll:3 \('word2'\) has 'O' after 'B-x'"),
        ("S-x B-x", r"a.conll:2 \('word1'\) has 'the end' after 'B-x'"),
        ("S-x B-x E-y", r"a.conll:3 \('word2'\) has 'E-y' after 'B-x'"),
        ("S-x B-x B-x", r"a.conll:3"),
        ("E-x", r"a.conll:1 \('word0'\) has 'E-x' after 'the beginning'"),
        ("O place", r"a.conll:2 \('word1'\) has 'place'"),
        ("O X-place", "a.conll:2"),
        ("O B-", "a.conll:2"),
    ],
)
def test_invalid_sequences(tmp_path: Path, tags: str, message: str):
    with pytest.raises(TextError, match=message):
        converted(tmp_path, tags)


def test_entities_are_those_of_the_definition(rng: np.random.Generator):
    for _ in range(300):
        tags = rng.choice(["O", "B-x", "I-x", "B-y", "I-y"], int(rng.integers(0, 9))).tolist()
        assert set(entities(tags)) == set(entities_by_definition(tags)), tags
        assert entities(tags) == sorted(entities(tags))

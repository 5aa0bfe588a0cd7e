"""The targets of fuzzing without atheris: valid inputs, inputs that were faults, and seeded mutations of both."""

from __future__ import annotations

import random

import pytest

from tests.fuzz.running import CORPUS, TARGETS, corpus, run_one

N_MUTATIONS = 500
TOKENS = [
    *(b"\0", b"\xff", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\xc2\x85", b"\n\n", b"\r", b"\t", b"  ", b"\\ud83d"),
    *(b"NaN", b"1e999", b"-1", b"9" * 400, b"9007199254740993", b"[" * 3000, b"{}", b"[]", b"null", b"true", b'""'),
    *(b'"a":1,"a":1,', b"(((", b"))", b"# global.columns = ID\n", b"1-2", b"8.1", b"_", b"\x1b[2J", b"../", b"PK\3\4"),
]


def mutated(data: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Return `data` with one to four changes: bytes flipped, cut, repeated, replaced, or joined with another input."""
    text = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        start = rng.randrange(len(text) + 1)
        end = min(len(text), start + rng.choice([1, 2, 8, 64, 1000]))
        kind = rng.randrange(6)
        if kind == 0 and start < len(text):
            text[start] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del text[start:end]
        elif kind == 2:
            text[start:start] = text[start:end] * rng.choice([1, 2, 20])
        elif kind == 3:
            text[start:end] = rng.choice(TOKENS)
        elif kind == 4:
            text[start:start] = rng.choice(TOKENS)
        else:
            other = rng.choice(others)
            text[start:] = other[rng.randrange(len(other) + 1) :]
    return bytes(text)


@pytest.mark.parametrize("name", TARGETS)
def test_odd_files_end_in_errors_of_pyrepsim(name: str):
    inputs = corpus(name)
    rng = random.Random(name)
    n_read = 0
    for data in (*inputs, b"", b"\0", b"\1", *(mutated(rng.choice(inputs), inputs, rng) for _ in range(N_MUTATIONS))):
        try:
            run_one(name, data)
        except Exception as error:
            error.add_note(f"{name}: {data[:2000]!r}")
            raise
        n_read += 1
    assert n_read == len(inputs) + 3 + N_MUTATIONS


def test_the_corpus_is_small():
    assert sum(file.stat().st_size for file in CORPUS.rglob("*") if file.is_file()) < 200_000

"""Extraction compared with a bare forward loop over the same batches, and with a naive loop.

The three run in turns, so that a slow phase of the machine affects all of them. Ours includes tokenising, planning,
writing and syncing. The bare loop gets prepared batches and discards the activations. The naive loop runs on a quarter
of the texts, 32 at a time in corpus order, and keeps float16 rows in memory.
"""

from __future__ import annotations

import itertools
import time
from statistics import median

import numpy as np
import pytest

from benchmarks.harness import report
from pyrepsim.core.errors import MissingExtraError

torch = pytest.importorskip("torch", reason="no torch: extraction needs the extra [torch]")

from pyrepsim.data import read_texts  # noqa: E402
from pyrepsim.extraction import extract, plan_extraction  # noqa: E402
from pyrepsim.models import demo_models, load_encoder  # noqa: E402

TEXTS, NAIVE_TEXTS, ROUNDS = 900, 225, 3


def mixed_length_texts(n: int) -> list[str]:
    """Random texts with lengths of sentences and paragraphs: lognormal, 27 words on average, up to 350."""
    rng = np.random.default_rng(0)
    words = np.array(
        [
            "the",
            "a",
            "of",
            "in",
            "model",
            "layer",
            "token",
            "river",
            "bank",
            "keys",
            "are",
            "here",
            "was",
            "running",
            "over",
            "under",
            "light",
            "green",
        ]
    )
    return [" ".join(rng.choice(words, size)) for size in np.clip(rng.lognormal(2.9, 0.9, n), 1, 350).astype(int)]


@pytest.fixture(scope="module")
def encoder():
    try:
        return load_encoder(demo_models()[0], device="cpu")
    except MissingExtraError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def corpus():
    return read_texts(mixed_length_texts(TEXTS))


def bare_loop(encoder, batches):
    for ids, mask in batches:
        encoder.hidden_states(ids, mask)


def naive_loop(encoder, corpus):
    kept = [[] for _ in encoder.layers]
    texts = [document.text for document in corpus]
    for start in range(0, len(texts), 32):
        inputs = encoder.tokenizer(texts[start : start + 32], padding=True, return_tensors="pt")
        with torch.no_grad():
            output = encoder.module(**inputs, output_hidden_states=True)
        mask = inputs["attention_mask"].bool()
        for rows, state in zip(kept, output.hidden_states, strict=True):
            rows.append(state[mask].half().numpy())
    return [np.concatenate(rows) for rows in kept]


def seconds(function, *arguments):
    started = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - started


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_tokens_per_second(benchmark, encoder, corpus, tmp_path, dtype):
    plan = plan_extraction(encoder, corpus)
    batches = [torch.from_numpy(batch.ids) for layout in plan.shards() for batch in layout.batches()]
    batches = [(ids.clamp(min=0), (ids >= 0).long()) for ids in batches]
    some = read_texts([document.text for document in corpus[:NAIVE_TEXTS]])
    some_tokens = plan_extraction(encoder, some).n_tokens
    bare, naive = [], []

    def others():
        bare.append(plan.n_tokens / seconds(bare_loop, encoder, batches))
        naive.append(some_tokens / seconds(naive_loop, encoder, some))

    folders = (
        tmp_path / f"store{number}" for number in itertools.count()
    )  # new folders, so that removing an old one is not timed

    def ours():
        extract(encoder, corpus, next(folders), dtype=dtype)

    benchmark.pedantic(ours, setup=others, rounds=ROUNDS, warmup_rounds=1)
    tokens_per_second = plan.n_tokens / benchmark.stats.stats.median
    report(
        benchmark,
        tokens=plan.n_tokens,
        tokens_per_second=tokens_per_second,
        fraction_of_bare=tokens_per_second / median(bare[-ROUNDS:]),
        times_naive=tokens_per_second / median(naive[-ROUNDS:]),
        useful_frac=plan.useful_frac,
    )

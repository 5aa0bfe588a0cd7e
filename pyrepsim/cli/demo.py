"""The demo: two real models, every layer, five measures over all tokens, from text to a page."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import OptionError
from .reading import TextOptions

__all__ = ["Demo", "demo_sentences"]

_SENTENCES = Path(__file__).parent / "demo_sentences.txt.gz"


@dataclass(frozen=True)
class Demo(TextOptions):
    """Compare two real models layer by layer: a table, a figure and a page."""

    model_x: str | None = None
    """First model: hub id, id@revision or folder. By default all-MiniLM-L6-v2, from a package on PyPI."""
    model_y: str | None = None
    """Second model. By default a model that was fine-tuned from the first."""
    texts: str | None = None
    """Text to run through both: a file, or the hub id of a data set. By default sentences that come with pyrepsim."""
    sentences: int = 4000
    """How many of the 4000 sentences to use if no texts are given."""
    out: str = "demo-output"
    """Folder for the stores, the figure and the page."""
    overwrite: bool = False
    """Extract again if the folder holds stores of other texts or models."""

    def run(self, _call: object = None) -> int:
        """Extract, compare, print the table, draw the figure and write the page."""
        default_models = self.model_x is None
        if default_models != (self.model_y is None):
            raise OptionError("The demo compares two models: got one. Give both --model-x and --model-y, or neither.")
        if self.texts is None and self.source_options():
            raise OptionError(
                "--field, --subset and --split choose from --texts: this demo uses its own sentences. Leave them out."
            )

        import pyrepsim as rs

        from ..models import demo_models

        started = time.perf_counter()
        out = Path(self.out)
        model_x, model_y = demo_models() if default_models else (self.model_x, self.model_y)
        print(f"model x: {model_x}\nmodel y: {model_y}\n")
        source = demo_sentences(self.sentences) if self.texts is None else self.texts
        texts = rs.read_texts(source, **self.source_options())
        options = {"overwrite": self.overwrite, **self.forward_options()}

        with _step("extract all layers of model x"):
            rs.extract(model_x, texts, out=out / "acts-x", **options)
        with _step("extract all layers of model y"):
            rs.extract(model_y, texts, out=out / "acts-y", same_plan_as=out / "acts-x", **options)
        X, Y = rs.open_store(out / "acts-x"), rs.open_store(out / "acts-y")

        with_bands = [rs.LinearCKA(debiased=True), rs.RSA()]
        measures = [rs.LinearCKA(debiased=True), rs.SVCCA(), rs.PWCCA(), rs.RSA(), rs.Procrustes()]
        with _step(f"compare {len(X.layers)} layers by {len(measures)} measures in one pass"):
            scores: Any = rs.compare(X, Y, measures)
        print(f"\n{scores.table()}\n")

        with _step(f"{len(with_bands)} measures again, with 95 % intervals over sentences"):
            intervals: Any = rs.compare(X, Y, with_bands, interval=rs.Jackknife(blocks=min(16, len(texts))))
        with _step("draw the figure and the page"):
            curves = rs.Scores([*intervals, *(s for s in scores if s.measure not in intervals.measures)])
            curves.plot(out / "layers.svg")
            curves.plot(out / "layers.png")
            title = "What fine-tuning changed, layer by layer" if default_models else None
            scores.html(out / "index.html", title=title)
            scores.to_jsonl(out / "scores.jsonl")

        for name in ("index.html", "layers.svg", "layers.png", "scores.jsonl"):
            print(f"  {out / name}")
        print(f"{time.perf_counter() - started:6.1f} s  in total")
        return 0


def demo_sentences(n: int) -> list[str]:
    """Return the first `n` of the 4000 sentences in demo_sentences.txt.gz, which a small grammar generated.

    They are grammatical, not meaningful, and have 1 to about 60 words. OptionError if `n` is out of range.
    """
    sentences = gzip.decompress(_SENTENCES.read_bytes()).decode("utf-8").splitlines()
    if not 1 <= n <= len(sentences):
        raise OptionError(
            f"The demo has {len(sentences)} sentences of its own: got --sentences {n}. Give a number from 1 to "
            f"{len(sentences)}, or your own text with --texts."
        )
    return sentences[:n]


@contextmanager
def _step(what: str) -> Iterator[None]:
    start = time.perf_counter()
    yield
    print(f"{time.perf_counter() - start:6.1f} s  {what}", flush=True)

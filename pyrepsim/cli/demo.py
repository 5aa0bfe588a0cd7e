"""The demo: two real models, every layer, five measures over all tokens, from text to a page."""

from __future__ import annotations

import gzip
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import OptionError
from .reading import ReadingOptions

__all__ = ["Demo", "demo_sentences"]

_SENTENCES = Path(__file__).parent / "demo_sentences.txt.gz"


@dataclass(frozen=True)
class Demo(ReadingOptions):
    """Compare two real models layer by layer: a table, a figure and a page."""

    model_a: str | None = None
    """First model: hub id, id@revision or folder. By default all-MiniLM-L6-v2, as pip brings it."""
    model_b: str | None = None
    """Second model. By default a model that was fine-tuned from the first."""
    texts: str | None = None
    """Text to run through both: a file, or the hub id of a data set. By default sentences that come with pyrepsim."""
    sentences: int = 4000
    """How many of the 4000 sentences to use if no texts are given."""
    out: str = "demo-output"
    """Folder for the stores, the figure and the page."""
    overwrite: bool = False
    """Extract again where the folder holds stores of other texts or models."""

    def run(self, _call: object = None) -> int:
        """Run all steps, one after the other."""
        ours = self.model_a is None
        if ours != (self.model_b is None):
            raise OptionError("The demo compares two models: got one. Give both --model-a and --model-b, or neither.")

        if self.texts is None and self.choice():
            raise OptionError(
                "--field, --subset and --split choose from --texts: the demo's own sentences have none. Leave them out."
            )

        import pyrepsim as rs

        from ..models.demo import demo_models

        started = time.perf_counter()
        out = Path(self.out)

        a, b = demo_models() if ours else (self.model_a, self.model_b)
        print(f"model a: {a}\nmodel b: {b}\n")

        if self.texts is None:
            texts = rs.read_texts(demo_sentences(self.sentences))
        else:
            texts = rs.read_texts(self.texts, **self.choice())
        how = {"overwrite": self.overwrite, **self.manner()}

        with _step("extract all layers of model a"):
            rs.extract(a, texts, out=out / "acts-a", **how)
        with _step("extract all layers of model b"):
            rs.extract(b, texts, out=out / "acts-b", same_plan_as=out / "acts-a", **how)
        x, y = rs.open_store(out / "acts-a"), rs.open_store(out / "acts-b")

        measures = [
            rs.LinearCKA(debiased=True),
            rs.SVCCA(),
            rs.PWCCA(),
            rs.RSA(),
            rs.Procrustes(),
        ]
        with _step(f"compare {len(x.layers)} layers by {len(measures)} measures in one pass"):
            scores = rs.compare(x, y, measures)
        assert isinstance(scores, rs.Scores)  # two stores

        print(f"\n{scores.table()}\n")

        with _step("draw"):
            scores.plot(out / "layers.svg")
            scores.plot(out / "layers.png")
            scores.html(out / "index.html", title="What fine-tuning changed, layer by layer" if ours else None)
            scores.to_jsonl(out / "scores.jsonl")

        for name in ("index.html", "layers.svg", "layers.png", "scores.jsonl"):
            print(f"  {out / name}")
        print(f"{time.perf_counter() - started:6.1f} s  in all")
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

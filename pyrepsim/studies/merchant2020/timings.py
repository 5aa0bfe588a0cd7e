"""Seconds of the parts of a study on the machine at hand, from a few repetitions on made-up activations."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from .scales import Similarity

if TYPE_CHECKING:
    from ...store import ActivationStore

__all__ = ["Line", "time_comparison", "time_edge_updates", "time_structural_sentences"]

_N_SENTENCES, _N_WORDS = 64, 16
_UPDATES = (2, 10)  # of probes, and
_BLOCKS = (2, 4)  # of documents: their times are subtracted, so that what is done once does not count


@dataclass(frozen=True)
class Line:
    """Seconds of x things: `start` + `each` * x."""

    start: float
    each: float

    @classmethod
    def through(cls, first: tuple[float, float], second: tuple[float, float]) -> Line:
        """The line through two points (x, seconds); neither its start nor its slope is below 0."""
        each = max(second[1] - first[1], 0.0) / (second[0] - first[0])
        return cls(max(first[1] - each * first[0], 0.0), each)

    def at(self, x: float) -> float:
        return self.start + self.each * x


def time_edge_updates(width: int, n_layers: int, device: str) -> Line:
    """Seconds of one update of m edge probes on a batch of sentences, as a line in m."""
    from ...probing.edge import EdgeProbeRecipe, fit_edge_probes

    targets = [{"span1": [i, i + 1], "label": "NV"[i % 2]} for i in range(_N_WORDS)]
    records = [{"text": _text(i), "targets": targets} for i in range(_N_SENTENCES)]
    with tempfile.TemporaryDirectory(prefix="pyrepsim-plan-") as folder:
        store = _write(Path(folder) / "tokens", width, n_layers)

        def seconds(members: list[str], updates: int) -> float:
            recipe = EdgeProbeRecipe(validate_every=updates, max_validations=1)
            options: dict[str, Any] = {"members": members, "seeds": [0], "recipe": recipe, "device": device}
            return _time(lambda: fit_edge_probes(store, records, dev=(store, records), progress=False, **options))

        points = []
        for members, count in ((["mix"], 1), (["layers"], n_layers)):
            seconds(members, _UPDATES[0])  # the first call takes longer
            few, more = (seconds(members, updates) for updates in _UPDATES)
            points.append((count, max(more - few, 0.0) / (_UPDATES[1] - _UPDATES[0])))
    return Line.through(*points)


def time_structural_sentences(width: int, n_layers: int, rank: int, device: str) -> float:
    """Seconds of one sentence and epoch of structural probes on all layers."""
    from ...probing.structural import StructuralProbeRecipe, fit_structural_probes

    heads = list(range(_N_WORDS))
    trees = [
        SimpleNamespace(words=_text(i).split(" "), heads=heads, xpos=["NN"] * _N_WORDS, where=f"made-up:{i}")
        for i in range(_N_SENTENCES)
    ]
    with tempfile.TemporaryDirectory(prefix="pyrepsim-plan-") as folder:
        store = _write(Path(folder) / "words", width, n_layers)

        def seconds(epochs: int) -> float:
            recipe, ranks = StructuralProbeRecipe(epochs=epochs), [min(rank, width)]
            return _time(
                lambda: fit_structural_probes(
                    store, trees, trees[:1], ranks=ranks, recipe=recipe, device=device, progress=False
                )
            )

        seconds(1)
        one, two = (seconds(epochs) for epochs in (1, 2))
    return max(two - one, 0.0) / _N_SENTENCES


def time_comparison(width: int, options: Similarity) -> Line:
    """Seconds of all measures of one layer with their intervals, as a line in the number of rows.

    Each block that is left out takes the same time, so few are timed.
    """
    from .comparison import compare_stores

    few, more = (replace(options, blocks=blocks) for blocks in _BLOCKS)
    n = max(_N_SENTENCES, 2 * width // _N_WORDS)  # of sentences: rows enough for PWCCA
    with tempfile.TemporaryDirectory(prefix="pyrepsim-plan-") as folder:
        pairs = [tuple(_write(Path(folder) / f"{size}-{k}", width, 1, size, k) for k in (0, 1)) for size in (n, 2 * n)]
        times = [_time(lambda x=x, y=y: compare_stores(x, y, few)) for x, y in pairs]
        x, y = pairs[0]
        block = max(_time(lambda: compare_stores(x, y, more)) - times[0], 0.0) / (_BLOCKS[1] - _BLOCKS[0])
    by_rows = Line.through((n * _N_WORDS, times[0]), (2 * n * _N_WORDS, times[1]))
    return replace(by_rows, start=by_rows.start + (options.blocks - _BLOCKS[0]) * block)


def _text(i: int) -> str:
    return " ".join(f"w{i}" for _ in range(_N_WORDS))


def _write(path: Path, width: int, n_layers: int, n_sentences: int = _N_SENTENCES, seed: int = 0) -> ActivationStore:
    """A store of random activations of `_text(0)`, `_text(1)`, ..., one row for each word."""
    from ...store import write_store
    from ...store.columns import word_hashes

    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((n_sentences * _N_WORDS, width)).astype(np.float16)
    starts = [[place * (len(f"w{i}") + 1) for place in range(_N_WORDS)] for i in range(n_sentences)]
    ends = [[start + len(f"w{i}") for start in own] for i, own in enumerate(starts)]
    columns = {
        "doc_id": np.repeat(np.arange(n_sentences), _N_WORDS),
        "position": np.tile(np.arange(_N_WORDS), n_sentences),
        "token_id": word_hashes([f"w{i}" for i in range(n_sentences) for _ in range(_N_WORDS)]),
        "char_start": np.array(starts).ravel(),
        "char_end": np.array(ends).ravel(),
    }
    return write_store(path, {f"layer.{layer}": rows for layer in range(n_layers)}, columns=columns, dtype="float16")


def _time(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started

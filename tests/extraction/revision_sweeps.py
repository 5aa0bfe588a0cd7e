"""Helpers of the tests of `compare_revisions`: sweeps over tiny models, and what a sweep did."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pyrepsim as rs
from pyrepsim.extraction import revisions as sweeps
from pyrepsim.models import revisions as finding
from pyrepsim.results import RevisionScores

MEASURES = ["LinearCKA(debiased=True)", "Procrustes", "RSA"]
SWEEP: dict[str, Any] = {"device": "cpu", "progress": False, "n_threads": 1}


def texts() -> list[str]:
    rng = np.random.default_rng(0)
    words = ["the", "keys", "are", "here", "running", "river", "qz", "unable", "bank", "flows"]
    return [" ".join(rng.choice(words, size)) for size in rng.integers(1, 16, 40)]


TEXTS = texts()


def changed(base: Path, out: Path, seed: int) -> Path:
    """A model whose weights differ from those of `base` by noise; without tokenizer, as Trainer saves checkpoints."""
    from transformers import AutoModel

    model = AutoModel.from_pretrained(base)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    model.save_pretrained(out)
    return out


def sweep(model: Any, revisions: Sequence[str] | None = None, measures: Any = None, **options: Any) -> RevisionScores:
    return rs.compare_revisions(model, revisions, TEXTS, measures or MEASURES, **{**SWEEP, **options})


class Calls:
    """Counts what a sweep does, and can interrupt it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loaded: list[str] = []
        self.compared = 0
        self.stores: list[int] = []
        self.stop_at: int | None = None
        self.modules: list[weakref.ref[Any]] = []
        self.alive: list[int] = []
        load, compare, extract = finding.load_beside, sweeps.scores_of_sides, sweeps.extract

        def load_beside(model: Any, *arguments: Any, **options: Any) -> Any:
            self.loaded.append(Path(str(model)).name)
            return load(model, *arguments, **options)

        def counted(sides: Any, *arguments: Any, **options: Any) -> Any:
            self.compared += 1
            folder = Path(sides.source.provenance["store_x"]).parent
            self.stores.append(len(list(folder.glob("*/manifest.json"))))
            if self.compared == self.stop_at:
                raise KeyboardInterrupt
            return compare(sides, *arguments, **options)

        def extracted(encoder: Any, *arguments: Any, **options: Any) -> Any:
            self.alive.append(sum(module() is not None for module in self.modules))
            self.modules.append(weakref.ref(encoder.module))
            return extract(encoder, *arguments, **options)

        monkeypatch.setattr(finding, "load_beside", load_beside)
        monkeypatch.setattr(sweeps, "scores_of_sides", counted)
        monkeypatch.setattr(sweeps, "extract", extracted)

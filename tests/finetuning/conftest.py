"""A task that a tiny model learns in seconds: does a sentence name the river?"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pyrepsim.finetuning.tasks.base import Feature, Task
from tests.helpers.tiny_models import WORDS, tiny_bert


@dataclass(frozen=True)
class Sentence:
    text: str
    label: str
    where: str


@dataclass(frozen=True, kw_only=True)
class Rivers(Task):
    """One sentence, two labels."""

    name: ClassVar[str] = "rivers"
    metric: ClassVar[str] = "accuracy"
    hub: ClassVar[Mapping[str, str]] = {}

    def read(self, source: Any) -> list[Sentence]:
        lines = Path(source).read_text().splitlines()
        return [Sentence(*line.split("\t"), f"{source}:{i}") for i, line in enumerate(lines, 1)]

    def fit(self, examples: Sequence[Sentence]) -> Rivers:
        return replace(self, labels=tuple(sorted({example.label for example in examples})))

    def head(self) -> dict[str, Any]:
        return {"kind": "sequence", "labels": len(self.labels), "pooling": "mean"}

    def encode(self, examples: Sequence[Sentence], tokenizer: Any, *, max_length: int) -> list[Feature]:
        ids = tokenizer([e.text for e in examples], truncation=True, max_length=max_length)["input_ids"]
        targets = [self.labels.index(e.label) for e in examples]
        return [Feature({"input_ids": i, "label": t}, n) for n, (i, t) in enumerate(zip(ids, targets, strict=True))]

    def read_out(self, feature: Feature, outputs: Mapping[str, Any]) -> str:
        return self.labels[int(outputs["logits"].argmax())]

    def score(self, examples: Sequence[Sentence], predictions: Sequence[str]) -> dict[str, float]:
        right = sum(e.label == p for e, p in zip(examples, predictions, strict=True))
        return {"accuracy": right / len(examples)}

    def write(self, examples: Sequence[Sentence], predictions: Sequence[str], path: Any) -> None:
        Path(path).write_text(json.dumps(list(predictions)))


@pytest.fixture(scope="session")
def rivers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Files of the task: train and dev."""
    folder = tmp_path_factory.mktemp("rivers")
    draw = random.Random(0)
    files = {}
    for name, n in {"train": 203, "dev": 60}.items():
        lines = []
        for _ in range(n):
            words = [draw.choice(WORDS) for _ in range(draw.randint(2, 12))]
            lines.append(f"{' '.join(words)}\t{'yes' if 'river' in words else 'no'}")
        files[name] = folder / f"{name}.tsv"
        files[name].write_text("\n".join(lines) + "\n")
    return files


@pytest.fixture(scope="session")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random BERT of four blocks."""
    return tiny_bert(tmp_path_factory.mktemp("encoder") / "model", layers=4, spread=0.1)

"""A hub cache with tiny models under well-known ids: examples with hub ids run offline, through the real loader."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.helpers.tiny_models import tiny_bert

BASE = "bert-base-uncased"
TUNED = "textattack/bert-base-uncased-MNLI"
_COMMIT = "0" * 40


def fill_cache(cache: Path) -> None:
    """Put `BASE` and a model fine-tuned from it, `TUNED`, into a hub cache, laid out as huggingface_hub does."""
    import torch
    from transformers import BertModel

    for name in (BASE, TUNED):
        repository = cache / f"models--{name.replace('/', '--')}"
        snapshot = repository / "snapshots" / _COMMIT
        tiny_bert(snapshot, positions=512)
        if name == TUNED:
            model = BertModel.from_pretrained(snapshot)
            generator = torch.Generator().manual_seed(1)
            with torch.no_grad():
                for depth, block in enumerate(model.encoder.layer, start=1):
                    for parameter in block.parameters():
                        parameter += 0.02 * depth * torch.randn(parameter.shape, generator=generator)
            model.save_pretrained(snapshot)
        (repository / "refs").mkdir(parents=True)
        (repository / "refs" / "main").write_text(_COMMIT)


def empty_cache(cache: Path) -> None:
    for folder in cache.glob("models--*"):
        shutil.rmtree(folder)

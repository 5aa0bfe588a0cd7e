"""A tiny BERT and a descendant whose last layer moved, saved as folders: what the demo needs, in milliseconds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.tiny_models import tiny_bert


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("models")
    base = tiny_bert(folder / "base", positions=512)
    tuned = tiny_bert(folder / "tuned", positions=512)
    model = transformers.BertModel.from_pretrained(tuned)
    with torch.no_grad():
        for parameter in model.encoder.layer[-1].parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    model.save_pretrained(tuned)
    return base, tuned

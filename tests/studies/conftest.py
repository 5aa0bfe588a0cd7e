"""Tiny encoders: a BERT and a descendant whose last layer moved, for the demo; one that knows the synthetic words."""

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


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two blocks, 16 wide, whose vocabulary is that of the synthetic data."""
    pytest.importorskip("transformers")
    from pyrepsim.tasks.synthetic import write_synthetic
    from tests.helpers.tiny_synthetic import synthetic_bert

    folder = tmp_path_factory.mktemp("encoder")
    write_synthetic(folder / "data", train=40, dev=24, test=16)
    texts = [path.read_text(encoding="utf-8") for path in (folder / "data").rglob("*") if path.is_file()]
    return synthetic_bert(folder / "tiny", texts, width=16)

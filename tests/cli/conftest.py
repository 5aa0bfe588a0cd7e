"""Two small stores with matched rows, and the command line run in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.cli import main
from tests.helpers.tiny_models import tiny_bert


class Ran(NamedTuple):
    """Status and output of a command."""

    status: int
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Ran]:
    """Run `pyrepsim` with these arguments in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Ran:
        status = main([str(word) for word in words])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Ran(status, captured.out, captured.err)

    return run


@pytest.fixture
def stores(tmp_path: Path, rng: np.random.Generator) -> tuple[Path, Path]:
    """`acts/base` and `acts/tuned`: three layers of twelve features over 200 tokens."""
    rows = {"doc_id": np.arange(200) // 10, "position": np.arange(200) % 10, "token_id": np.arange(200) % 7}
    shared = rng.standard_normal((200, 12))
    paths = tmp_path / "acts" / "base", tmp_path / "acts" / "tuned"
    for path, noise in zip(paths, (0.0, 0.5), strict=True):
        layers = {
            name: shared * (1 + k) + noise * k * rng.standard_normal((200, 12))
            for k, name in enumerate(("embeddings", "layer.0", "layer.1"))
        }
        plan = {"rows": {"texts": "t"}, "model": {"name": path.name}}
        rs.write_store(path, layers, columns=rows, plan=plan, dtype="float32")
    return paths


@pytest.fixture(scope="session")
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A BERT, and a copy whose last layer was changed."""
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

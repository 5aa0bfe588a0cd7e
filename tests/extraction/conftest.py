from __future__ import annotations

import shutil
from pathlib import Path

import pytest

pytest.importorskip("transformers", reason="no transformers: extraction needs the extra [torch]")

from pyrepsim.models import Encoder, load_encoder
from tests.extraction.revision_sweeps import Calls, changed
from tests.helpers import tiny_models

SENTENCES = [
    "the keys to the cabinet are here",
    "don't run",
    "",
    "the river bank flows, running unplayable games 🙂 across the unknown Großstadt",
    "keys",
    "[SEP] the [CLS] keys <|endoftext|> are here",
    "the bank of the river and the keys of the bank are here and there and everywhere else",
    "  two  spaces\tand a tab ",
    "run runs running",
]


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Two BERTs of one tokenizer and two widths, and a decoder with another."""
    root = tmp_path_factory.mktemp("models")
    return {
        "base": tiny_models.tiny_bert(root / "base"),
        "tuned": tiny_models.tiny_bert(root / "tuned", seed=1, width=24, layers=3),
        "gpt2": tiny_models.tiny_gpt2(root / "gpt2"),
    }


@pytest.fixture(scope="session")
def encoders(folders: dict[str, Path]) -> dict[str, Encoder]:
    return {name: load_encoder(folder, device="cpu") for name, folder in folders.items()}


@pytest.fixture(scope="session")
def base(encoders: dict[str, Encoder]) -> Encoder:
    return encoders["base"]


@pytest.fixture(autouse=True)
def _no_worker_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def sentences() -> list[str]:
    return list(SENTENCES)


@pytest.fixture(scope="session")
def different(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Four models with the same tokenizer and different weights."""
    root = tmp_path_factory.mktemp("different")
    base = tiny_models.tiny_bert(root / "base")
    for seed in (1, 2, 3):
        shutil.copytree(base, root / f"m{seed}")
        changed(base, root / f"m{seed}", seed)
    return {name: root / name for name in ("m1", "m2", "m3", "base")}


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    return Calls(monkeypatch)

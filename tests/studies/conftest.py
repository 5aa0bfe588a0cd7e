"""A tiny encoder that knows the words of the synthetic data."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import run  # noqa: F401


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two blocks, 16 wide, whose vocabulary is that of the synthetic data."""
    pytest.importorskip("transformers")
    from pyrepsim.studies.synthetic import write_synthetic
    from tests.helpers.tiny_synthetic import synthetic_bert

    folder = tmp_path_factory.mktemp("encoder")
    write_synthetic(folder / "data", train=40, dev=24, test=16)
    texts = [path.read_text(encoding="utf-8") for path in (folder / "data").rglob("*") if path.is_file()]
    return synthetic_bert(folder / "tiny", texts, width=16)

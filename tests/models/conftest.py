from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import tiny_models

pytest.importorskip("transformers", reason="no transformers: the models room needs the extra [torch]")


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.tiny_bert(tmp_path_factory.mktemp("bert"))


@pytest.fixture(scope="session")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_models.tiny_gpt2(tmp_path_factory.mktemp("gpt2"))

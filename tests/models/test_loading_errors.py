"""Every way a model can fail to load: a message with rule, fact and remedy, never invented weights."""

from __future__ import annotations

import json
import logging
import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import huggingface_hub.constants
import pytest
import transformers
from safetensors.torch import load_file, save_file

from pyrepsim.core.errors import BackendError, ModelError, OptionError
from pyrepsim.data.hub import why_unreachable
from pyrepsim.models import load_encoder, wrap
from tests.helpers.tiny_models import wordpiece

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def copy(bert: Path, tmp_path: Path) -> Path:
    return shutil.copytree(bert, tmp_path / "model")


@pytest.fixture
def offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No network, and an own hub cache, which is returned."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.mark.parametrize("name", ["./no/such", "/no/such", "a/b/c", "~nobody/model", Path("nothing")])
def test_a_path_that_does_not_exist(name: str | Path):
    with pytest.raises(ModelError, match="must be an existing folder: .* does not exist"):
        load_encoder(name)


def test_a_file(copy: Path):
    with pytest.raises(ModelError, match=r"is a file. Give the folder"):
        load_encoder(copy / "config.json")


def test_a_folder_without_a_model(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(ModelError, match=r"has no config.json \(it holds notes.txt\)"):
        load_encoder(tmp_path)


def test_a_folder_without_weights(copy: Path):
    (copy / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no file named model.safetensors"):
        load_encoder(copy)


def test_damaged_weights(copy: Path):
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(ModelError, match="Check the folder's config.json and weight files"):
        load_encoder(copy)


def test_missing_weights_are_never_filled_with_random_numbers(copy: Path):
    weights = load_file(copy / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1, the first 'encoder.layer.1.output.dense.weight'"):
        load_encoder(copy)


@pytest.mark.parametrize("keep", [(), ("tokenizer_config.json",)])
def test_a_missing_tokenizer_is_an_error(copy: Path, keep: tuple[str, ...]):
    for file in copy.glob("*token*"):
        if file.name not in keep:
            file.unlink()
    with pytest.raises(ModelError, match="tokenizer.save_pretrained"):
        load_encoder(copy)


def test_a_slow_tokenizer(bert: Path):
    class Slow:
        is_fast = False

    with pytest.raises(ModelError, match=r"has a slow one \(Slow\)"):
        wrap(transformers.AutoModel.from_pretrained(bert), Slow(), name="old")


def test_code_from_a_repository_is_never_run(copy: Path, tmp_path: Path):
    marker = tmp_path / "ran"
    (copy / "evil.py").write_text(f"open({str(marker)!r}, 'w').close()\nclass Config: pass\nclass Model: pass\n")
    config = {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}}
    (copy / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError):
        load_encoder(copy)
    assert not marker.exists()


def test_an_unreachable_hub(offline: Path):
    with pytest.raises(ModelError, match=r"is not a local folder .* the hub cannot be reached \(OfflineMode"):
        load_encoder("bert-base-uncased")
    with pytest.raises(ModelError, match="'bert-base-uncased' at revision 'v2' .* `hf download .* --revision v2`"):
        load_encoder("bert-base-uncased@v2")


@pytest.fixture
def unreachable(offline: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub address without a server, and an own hub cache, which is returned."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    return offline


def test_a_hub_that_does_not_answer_is_tried_once(unreachable: Path, caplog: pytest.LogCaptureFixture):
    started = time.perf_counter()
    with pytest.raises(ModelError, match=r"the hub cannot be reached \(.*127\.0\.0\.1:9.*`hf download bert-base"):
        load_encoder("bert-base-uncased")
    assert time.perf_counter() - started < 6
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_hub_that_never_answers_times_out(unreachable: Path, monkeypatch: pytest.MonkeyPatch):
    class Silent:
        def head(self, endpoint: str, timeout: float) -> None:
            time.sleep(2)  # a name lookup may ignore the timeout

    monkeypatch.setattr("huggingface_hub.utils.get_session", Silent)
    monkeypatch.setattr("pyrepsim.data.hub._SECONDS", 0.1)
    with pytest.raises(ModelError, match=r"cannot be reached \(no answer in 0 s"):
        load_encoder("bert-base-uncased")


@pytest.mark.parametrize(("status", "why"), [(200, None), (404, None), (502, "https://hub answers with status 502")])
def test_any_answer_except_a_gateway_error_means_reachable(
    status: int, why: str | None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "https://hub")
    session = SimpleNamespace(head=lambda endpoint, timeout: SimpleNamespace(status_code=status))
    monkeypatch.setattr("huggingface_hub.utils.get_session", lambda: session)
    assert why_unreachable() == why


def in_the_cache(bert: Path, cache: Path) -> None:
    shutil.copytree(bert, cache / "models--someone--tiny" / "snapshots" / COMMIT)
    refs = cache / "models--someone--tiny" / "refs"
    refs.mkdir()
    (refs / "main").write_text(COMMIT)


def test_a_cached_hub_model_loads_if_the_hub_does_not_answer(bert: Path, unreachable: Path):
    in_the_cache(bert, unreachable)
    encoder = load_encoder("someone/tiny", device="cpu")
    assert (encoder.name, encoder.revision) == ("someone/tiny", COMMIT)


def test_a_cached_hub_model_loads_offline_at_its_commit(bert: Path, offline: Path):
    in_the_cache(bert, offline)
    for name, revision in (
        ("someone/tiny", None),
        ("someone/tiny@main", None),
        ("someone/tiny", COMMIT),
        (f"someone/tiny@{COMMIT}", COMMIT),
    ):
        encoder = load_encoder(name, revision=revision, device="cpu")
        assert (encoder.name, encoder.revision) == ("someone/tiny", COMMIT)
        assert encoder.weights == load_encoder(bert, device="cpu").weights


@pytest.mark.parametrize("name", ["two words", "", "a--b"])
def test_an_invalid_hub_id(name: str, offline: Path):
    with pytest.raises(ModelError):
        load_encoder(name)


def test_contradictory_revisions(bert: Path):
    with pytest.raises(OptionError, match="Leave revision out"):
        load_encoder(bert, revision="main")
    with pytest.raises(OptionError, match="one revision: got 'a' in 'x/y@a' and revision='b'"):
        load_encoder("x/y@a", revision="b")


@pytest.mark.parametrize("device", ["nonsense", "cuda:99"])
def test_an_unknown_device(bert: Path, device: str):
    with pytest.raises(BackendError, match="Use device='cpu'"):
        load_encoder(bert, device=device)


def test_a_tokenizer_with_only_special_tokens_is_refused(bert: Path):
    model = transformers.AutoModel.from_pretrained(bert)
    tokenizer = wordpiece()
    tokenizer.add_special_tokens({"additional_special_tokens": sorted(tokenizer.get_vocab())})
    with pytest.raises(ModelError, match="none with a vocabulary"):
        wrap(model, tokenizer, name="bare")

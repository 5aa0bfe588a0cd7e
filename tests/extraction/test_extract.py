"""`extract` as a process: resuming, several workers, overflow, failures, output."""

from __future__ import annotations

import dataclasses
import inspect
import logging
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import pyrepsim
from pyrepsim.core.errors import LayerError, NonFiniteError, OptionError, StoreError
from pyrepsim.data import read_texts
from pyrepsim.extraction import extract, plan_extraction
from pyrepsim.extraction.options import ExtractionOptions
from pyrepsim.models import Encoder, load_encoder
from pyrepsim.store import StoreWriter, open_store, verify
from tests.store.faults import injected

ROOT = Path(__file__).resolve().parents[2]
TEXTS = [f"the keys {'are here ' * (i % 7)}{i}" for i in range(60)]


@pytest.fixture
def small_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    """Six shards for TEXTS."""
    monkeypatch.setattr("pyrepsim.extraction.plan.SHARD_TOKENS", 100)


def test_the_store_records_its_request(folders: dict[str, Path], tmp_path: Path):
    store = extract(folders["base"], ["the keys"], tmp_path / "s", layers=["layer.1", 0], device="cpu")
    assert store.layers == ("embeddings", "layer.1")
    plan = store.plan
    assert plan["model"]["id"] == str(folders["base"])
    assert plan["model"]["weights"] == load_encoder(folders["base"], device="cpu").weights
    assert plan["policy"]["max_length"] == 64
    assert plan["environment"]["device"] == "cpu"
    assert plan["environment"]["pyrepsim"] == pyrepsim.__version__
    assert set(plan["rows"]) == {"texts", "documents", "unit", "tokens", "batches"}
    assert verify(tmp_path / "s") == []


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("count", [1, 2, 3, 20])
def test_the_store_does_not_depend_on_the_number_of_workers(base: Encoder, count: int, tmp_path: Path):
    alone = extract(base, TEXTS, tmp_path / "alone")
    stores = [extract(base, TEXTS, tmp_path / "many", worker=f"{i}/{count}") for i in range(count)]
    sealed = [store for store in stores if store is not None]
    assert {store.digest for store in sealed} == {alone.digest}
    assert (stores[0] is None) == (count > 1), "the first of several workers does not finish the store"


@pytest.mark.usefixtures("small_shards")
def test_the_worker_is_read_from_the_environment(base: Encoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert extract(base, TEXTS, tmp_path / "s") is None
    committed = sorted(int(path.stem) for path in (tmp_path / "s" / "journal").glob("*.json"))
    assert committed == list(range(1, max(committed) + 1, 2))


@pytest.mark.usefixtures("small_shards")
def test_an_interrupted_extraction_is_resumed_to_the_same_store(
    base: Encoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    whole = extract(base, TEXTS, tmp_path / "whole")
    calls = []

    def stop_at_the_fifth(*arguments: object) -> object:
        calls.append(1)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return original(*arguments)

    original = Encoder.hidden_states
    monkeypatch.setattr(Encoder, "hidden_states", stop_at_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        extract(base, TEXTS, tmp_path / "s")
    with pytest.raises(StoreError):
        open_store(tmp_path / "s")
    assert 0 < len(list((tmp_path / "s" / "journal").glob("*.json"))) <= 4
    assert extract(base, TEXTS, tmp_path / "s").digest == whole.digest
    done = len(calls)
    assert done < 12
    assert extract(base, TEXTS, tmp_path / "s").digest == whole.digest
    assert len(calls) == done, "a sealed store is not computed again"


@pytest.mark.usefixtures("small_shards")
@pytest.mark.parametrize("file", ["layers/L01/shard-00001.safetensors", "tokens/shard-00000.safetensors"])
def test_a_damaged_shard_is_computed_again(base: Encoder, tmp_path: Path, file: str, caplog: pytest.LogCaptureFixture):
    whole = extract(base, TEXTS, tmp_path / "s")
    (tmp_path / "s" / "manifest.json").unlink()  # as after a kill before the store was sealed
    path = tmp_path / "s" / file
    content = path.read_bytes()
    path.write_bytes(content[:-9] + bytes([content[-9] ^ 1]) + content[-8:])
    again = extract(base, TEXTS, tmp_path / "s")
    assert again.digest == whole.digest
    assert path.read_bytes() == content
    assert "It is written again" in caplog.text


@pytest.mark.usefixtures("small_shards")
def test_a_killed_extraction_is_resumed_to_the_same_store(base: Encoder, folders: dict[str, Path], tmp_path: Path):
    code = (
        "import sys\n"
        "import pyrepsim.extraction.plan as limits; limits.SHARD_TOKENS = 100\n"
        "from pyrepsim.extraction import extract\n"
        "from tests.store.faults import injected\n"
        "with injected('write:3:kill'):\n"
        f"    extract({str(folders['base'])!r}, {TEXTS!r}, sys.argv[1], device='cpu')"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "s")]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, check=False)
    assert run.returncode == -signal.SIGKILL, run.stderr.decode()
    journal = tmp_path / "s" / "journal"
    assert sorted(path.name for path in journal.glob("*.json")) == ["00000.json", "00001.json", "00002.json"]
    assert extract(base, TEXTS, tmp_path / "s").digest == extract(base, TEXTS, tmp_path / "whole").digest


def test_a_store_is_not_resumed_with_another_plan(base: Encoder, tmp_path: Path):
    extract(base, ["the keys"], tmp_path / "s")
    with pytest.raises(StoreError, match="differs in"):
        extract(base, ["the keys"], tmp_path / "s", dtype="float32")
    store = extract(base, ["the keys"], tmp_path / "s", dtype="float32", overwrite=True)
    assert store.dtype == "float32"


def test_overwrite_removes_only_stores(base: Encoder, tmp_path: Path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.tex").write_text("years of work")
    with pytest.raises(StoreError):
        extract(base, ["the keys"], tmp_path / "thesis", overwrite=True)
    assert (tmp_path / "thesis" / "chapter.tex").exists()


def test_same_plan_as_gives_the_same_rows(encoders: dict[str, Encoder], sentences: list[str], tmp_path: Path):
    first = extract(encoders["base"], sentences, tmp_path / "a", batch_tokens=70)
    second = extract(encoders["tuned"], sentences, tmp_path / "b", same_plan_as=first)
    third = extract(encoders["tuned"], sentences, tmp_path / "c", same_plan_as=str(tmp_path / "a"))
    assert second.plan["rows"] == first.plan["rows"]
    assert second.rows_digest == first.rows_digest
    assert third.digest == second.digest
    with pytest.raises(OptionError, match="same tokens"):
        extract(encoders["gpt2"], sentences, tmp_path / "d", same_plan_as=first)


def test_same_plan_as_refuses_a_store_without_extraction_plan(base: Encoder, tmp_path: Path):
    from pyrepsim.store import write_store

    write_store(tmp_path / "arrays", {"x": np.zeros((3, 2), np.float32)})
    with pytest.raises(OptionError, match="no extraction plan in it"):
        extract(base, ["the keys"], tmp_path / "s", same_plan_as=tmp_path / "arrays")


def test_nan_is_refused_with_layer_and_document(folders: dict[str, Path], tmp_path: Path):
    encoder = load_encoder(folders["base"], device="cpu")
    river = encoder.tokenizer.convert_tokens_to_ids("river")
    with torch.no_grad():
        encoder.module.embeddings.word_embeddings.weight[river] = float("nan")
    with pytest.raises(NonFiniteError, match=r"in layer 'embeddings' for document '2' \('the river'\)"):
        extract(encoder, ["keys", "run", "the river", "here"], tmp_path / "s")


@pytest.fixture
def loud(folders: dict[str, Path]) -> Encoder:
    """An encoder whose layer.1 overflows float16 on texts with "river" in them."""
    encoder = load_encoder(folders["base"], device="cpu")
    river = encoder.tokenizer.convert_tokens_to_ids("river")
    original = encoder.module.forward

    def forward(input_ids: torch.Tensor, **options: object) -> object:
        output = original(input_ids=input_ids, **options)
        scale = 1.0 + 1e6 * (input_ids == river).any(dim=1).float()
        output.hidden_states = (*output.hidden_states[:-1], output.hidden_states[-1] * scale[:, None, None])
        return output

    encoder.module.forward = forward
    return encoder


@pytest.mark.usefixtures("small_shards")
def test_a_shard_that_overflows_float16_is_float32_and_no_other_is(loud: Encoder, tmp_path: Path):
    texts = [*TEXTS[:30], "the river", *TEXTS[30:]]
    store = extract(loud, texts, tmp_path / "s")
    exact = extract(loud, texts, tmp_path / "exact", dtype="float32")
    found = [np.concatenate([c.astype(np.float32) for c in s["layer.1"].chunks()]) for s in (store, exact)]
    assert np.abs(found[1]).max() > 65504
    scale = np.abs(found[1]).max(axis=1, keepdims=True)
    assert (np.abs(found[0] - found[1]) / scale).max() < 2.0**-11
    # A worker that computes the overflowing shard last, or not at all, writes the same bytes.
    for index in (3, 2, 1, 0):
        last = extract(loud, texts, tmp_path / "workers", worker=f"{index}/4")
    assert last.digest == store.digest


def test_values_that_overflow_float32_raise_an_error(base: Encoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setattr("pyrepsim.extraction.forward.largest", lambda rows: torch.full((len(rows),), float("nan")))
    monkeypatch.setattr("pyrepsim.extraction.forward.check_finite", lambda *_: None)
    with pytest.raises(NonFiniteError, match="must fit in float32: layer 'embeddings' overflows it"):
        extract(base, ["the keys"], tmp_path / "s")


def test_values_that_are_infinite_only_in_float32_are_refused(folders: dict[str, Path], tmp_path: Path):
    encoder = load_encoder(folders["base"], device="cpu")
    original = encoder.module.forward

    def forward(**options: object) -> object:
        output = original(**options)
        output.hidden_states = tuple(state.double() * 1e300 for state in output.hidden_states)
        return output

    encoder.module.forward = forward
    with pytest.raises(NonFiniteError, match="in layer 'embeddings' for document '0'"):
        extract(encoder, ["the keys"], tmp_path / "s")


@pytest.mark.usefixtures("small_shards")
def test_a_worker_does_not_seal_while_another_writes_the_last_shard(
    base: Encoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    commit, last = StoreWriter.commit, []

    def commit_or_lose(self: StoreWriter, shard: int, rows: dict, activations: dict) -> bool:
        if shard == len(self.shard_rows) - 1 and not last:  # another process has locked it and is still writing
            last.append(shard)
            return False
        return commit(self, shard, rows, activations)

    monkeypatch.setattr(StoreWriter, "commit", commit_or_lose)
    assert extract(base, TEXTS, tmp_path / "s") is None
    assert not (tmp_path / "s" / "manifest.json").exists()
    assert extract(base, TEXTS, tmp_path / "s") is not None


@pytest.mark.usefixtures("small_shards")
def test_a_plan_does_not_count_finished_shards(base: Encoder, tmp_path: Path):
    out = tmp_path / "s"
    whole = plan_extraction(base, TEXTS, out=out)
    assert whole.n_bytes_left == whole.n_bytes == plan_extraction(base, TEXTS).n_bytes
    assert not out.exists()
    extract(base, TEXTS, out, worker="0/2")
    half = plan_extraction(base, TEXTS, out=out)
    assert half.n_bytes == whole.n_bytes
    assert 0 < half.n_bytes_left < 0.7 * whole.n_bytes
    with pytest.raises(StoreError, match=r"differs in dtype \('float16' before, 'float32' now\).*--overwrite"):
        plan_extraction(base, TEXTS, out=out, dtype="float32")
    with pytest.raises(StoreError, match="differs in plan.rows.texts"):
        plan_extraction(base, TEXTS[1:], out=out)
    extract(base, TEXTS, out)
    done = plan_extraction(base, TEXTS, out=out)
    assert (done.n_bytes_left, done.estimated_seconds) == (0, 0.0)


@pytest.mark.usefixtures("small_shards")
def test_a_plan_counts_only_the_share_of_its_worker(base: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole = plan_extraction(base, TEXTS)
    shares = [plan_extraction(base, TEXTS, worker=f"{index}/3") for index in range(3)]
    assert all(0 < share.n_bytes_left < 0.6 * whole.n_bytes for share in shares)
    assert sum(share.n_bytes_left for share in shares) == whole.n_bytes == shares[0].n_bytes
    extract(base, TEXTS, tmp_path / "s", worker="0/3")
    assert plan_extraction(base, TEXTS, worker="0/3", out=tmp_path / "s").estimated_seconds == 0.0
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "3")
    assert plan_extraction(base, TEXTS, out=tmp_path / "s").n_bytes_left == shares[1].n_bytes_left


def test_options_are_in_the_signature_and_others_are_refused(base: Encoder):
    for function in (extract, plan_extraction):
        shown = inspect.signature(function).parameters
        assert shown["dtype"].default == "float16"
        names = {field.name for field in dataclasses.fields(ExtractionOptions)}
        assert not names - shown.keys()
        assert all(shown[name].kind is inspect.Parameter.KEYWORD_ONLY for name in names)
    with pytest.raises(TypeError, match="unexpected keyword argument 'dtyp'"):
        plan_extraction(base, TEXTS, dtyp="float32")  # pyright: ignore[reportCallIssue]


def test_progress_is_shown_only_on_request(base: Encoder, tmp_path: Path, capfd: pytest.CaptureFixture[str]):
    extract(base, TEXTS, tmp_path / "quiet")
    assert capfd.readouterr() == ("", "")
    extract(base, TEXTS, tmp_path / "loud", progress=True)
    shown = capfd.readouterr().err
    assert "extract: 100%" in shown
    assert "tokens/s" in shown


def test_the_log_has_tokens_per_second(base: Encoder, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, logger="pyrepsim.extraction"):
        extract(base, TEXTS, tmp_path / "s")
    assert "tokens/s" in caplog.text
    assert "not padding" in caplog.text


def test_a_full_disk_is_a_store_error(base: Encoder, tmp_path: Path):
    with pytest.raises(StoreError, match="space"), injected("write:0:enospc"):
        extract(base, TEXTS, tmp_path / "s")
    assert extract(base, TEXTS, tmp_path / "s") is not None


def test_errors_are_raised_before_the_folder_is_made(base: Encoder, tmp_path: Path):
    with pytest.raises(OptionError):
        extract(base, TEXTS, tmp_path / "s", dtype="int8")
    with pytest.raises(LayerError):
        extract(base, TEXTS, tmp_path / "s", layers="layer.9")
    with pytest.raises(OptionError):
        extract(base, TEXTS, tmp_path / "s", worker="2/2")
    assert not (tmp_path / "s").exists()


def test_texts_from_a_file_and_a_model_from_a_path(folders: dict[str, Path], tmp_path: Path):
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    from_file = extract(str(folders["base"]), str(tmp_path / "texts.txt"), tmp_path / "a", device="cpu")
    from_list = extract(folders["base"], read_texts(TEXTS), tmp_path / "b", device="cpu")
    assert from_file.rows_digest == from_list.rows_digest

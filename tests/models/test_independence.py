"""Rows do not depend on other texts: models that read padding run one text at a time; a memory is refused."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as hf

import pyrepsim as rs
from pyrepsim.analysis.attention import attention_divergence
from pyrepsim.core.errors import ModelError
from pyrepsim.models import load_encoder, wrap
from pyrepsim.models.independence import ONE_AT_A_TIME, PADDED
from tests.helpers.tiny_models import save, tiny_bert, tiny_gpt2, wordpiece

SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
SIZES |= {"max_position_embeddings": 64}
READ_PADDING: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "mobilebert": (
        hf.MobileBertConfig,
        hf.MobileBertModel,
        SIZES
        | {"embedding_size": 16, "true_hidden_size": 16, "intra_bottleneck_size": 16}
        | {"num_feedforward_networks": 1},
    ),
    "fnet": (hf.FNetConfig, hf.FNetModel, SIZES),
    "convbert": (hf.ConvBertConfig, hf.ConvBertModel, SIZES | {"embedding_size": 16}),
    "nystromformer": (hf.NystromformerConfig, hf.NystromformerModel, SIZES),
}
LONG, SHORT = "the keys to the cabinet are here and the river flows", "the river"


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "pyrepsim" / "models"


def spread_weights(model: Any, std: float = 0.3) -> Any:
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, std)
    return model


def family(name: str, folder: Path) -> Path:
    config, model, sizes = READ_PADDING[name]
    tokenizer = wordpiece()
    return save(folder, spread_weights(model(config(vocab_size=len(tokenizer), pad_token_id=0, **sizes))), tokenizer)


class Calls:
    """Counts the forward passes of every BERT, and the largest number of tokens of one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        original = hf.BertModel.forward

        def counted(module: Any, *args: Any, **options: Any) -> Any:
            self.sizes.append(options["input_ids"].numel())
            return original(module, *args, **options)

        monkeypatch.setattr(hf.BertModel, "forward", counted)


@pytest.mark.parametrize("name", READ_PADDING)
def test_models_that_read_padding_run_one_text_at_a_time(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    folder = family(name, tmp_path / "model")
    with caplog.at_level(logging.WARNING, "pyrepsim.models"):
        both = rs.extract(folder, [LONG, SHORT], tmp_path / "both", dtype="float32", device="cpu")
    assert [record.getMessage() for record in caplog.records if "one text at a time" in record.getMessage()]
    assert both is not None
    assert both.plan["model"]["batching"] == ONE_AT_A_TIME
    alone = rs.extract(folder, [SHORT], tmp_path / "alone", dtype="float32", device="cpu")
    assert alone is not None
    for layer in both.layers:
        assert np.array_equal(np.asarray(both[layer])[both.columns.doc_id == 1], np.asarray(alone[layer]))


@pytest.mark.parametrize("name", ["mobilebert", "convbert"])
def test_streamed_scores_and_attention_are_those_of_texts_alone(name: str, tmp_path: Path):
    folder, other = family(name, tmp_path / "model"), tmp_path / "other"
    save(other, spread_weights(hf.AutoModel.from_pretrained(folder), 0.31), wordpiece())
    options: dict[str, Any] = {"device": "cpu", "progress": False}
    together = rs.compare_models(folder, other, [LONG, SHORT, LONG], "LinearCKA", **options)
    alone = rs.compare_models(folder, other, [LONG, SHORT, LONG], "LinearCKA", batch_tokens=1, **options)
    assert [score.value for score in together] == pytest.approx([score.value for score in alone], rel=1e-9)
    assert together[0].provenance["batching_x"] == ONE_AT_A_TIME
    one, many = (
        attention_divergence(folder, other, [LONG, SHORT], batch_tokens=tokens, **options) for tokens in (1, 4096)
    )
    assert one.values == pytest.approx(many.values, rel=1e-6)


def test_predictions_do_not_depend_on_the_other_examples(tmp_path: Path):
    folder = family("mobilebert", tmp_path / "model")
    rows = ["sentence\tlabel", f"{LONG}\tyes", f"{SHORT}\tno", "keys\tyes"]
    (tmp_path / "data.tsv").write_text("\n".join(rows) + "\n")
    recipe = rs.TrainingRecipe(epochs=1, batch_size=2, max_length=32)
    data = tmp_path / "data.tsv"
    run = rs.finetune(folder, "sequence", out=tmp_path / "run", train=data, dev=data, recipe=recipe, device="cpu")
    assert run.record["inputs"]["model"]["batching"] == ONE_AT_A_TIME
    from pyrepsim.finetuning.prediction import predict
    from pyrepsim.finetuning.tuned_run import TunedRun

    logits: list[Any] = []
    tuned = TunedRun(run, device="cpu")
    task: Any = type(
        "Kept",
        (),
        {
            "read_out": staticmethod(lambda _, outputs: outputs["logits"]),
            "predict": staticmethod(lambda _, __, read: read),
        },
    )()
    examples, features = tuned._data
    for chosen in ([0, 1, 2], [1]):
        some = [features[i] for i in chosen]
        logits.append(predict(tuned.model, task, examples, some, **tuned._options))
    assert np.array_equal(logits[0][1], logits[1][0])


def test_a_bert_is_padded_and_its_record_is_as_before(tmp_path: Path):
    encoder = load_encoder(tiny_bert(tmp_path / "model"), device="cpu")
    assert (encoder.batching, encoder.causal) == (PADDED, False)
    assert set(encoder.record()) == {"id", "revision", "weights"}


class Remembering(hf.BertModel):
    """A BERT whose hidden states depend on earlier calls, in one of several ways."""

    kind = "count"
    seen = 0

    def forward(self, *args: Any, **options: Any) -> Any:  # type: ignore[override]
        output = super().forward(*args, **options)
        length = options["input_ids"].shape[1]
        shift = {
            "count": 1e-2 * self.seen,
            "longest": 1e-2 * max(self.seen, length),
            "random": 1e-2 * float(torch.rand(())),
        }[self.kind]
        self.seen = max(self.seen, length) if self.kind == "longest" else self.seen + 1
        output.hidden_states = (*output.hidden_states[:-1], output.hidden_states[-1] + shift)
        return output


@pytest.mark.parametrize("kind", ["count", "longest", "random"])
def test_a_model_with_a_memory_or_chance_is_refused(kind: str, tmp_path: Path):
    module = Remembering.from_pretrained(tiny_bert(tmp_path / "model"))
    module.kind = kind
    encoder = wrap(module, wordpiece(), name="mine")
    with pytest.raises(ModelError, match=r"same rows in every call: those of 'mine' .* in layer 'layer\.1'"):
        rs.extract(encoder, [LONG, SHORT], tmp_path / "store")
    assert not (tmp_path / "store").exists()


def test_dropout_that_evaluation_mode_does_not_end_is_refused(tmp_path: Path):
    module = hf.BertModel.from_pretrained(tiny_bert(tmp_path / "model"))
    module.encoder.layer[0].output.dropout = AlwaysDropout()
    with pytest.raises(ModelError, match="randomness"):
        _ = wrap(module, wordpiece(), name="mine").batching


class AlwaysDropout(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.dropout(x, 0.5, training=True)


def test_training_mode_that_was_set_later_does_not_change_the_rows(tmp_path: Path):
    encoder = load_encoder(tiny_bert(tmp_path / "model"), device="cpu")
    ids = torch.tensor([[5, 9, 17, 30]])
    wanted = encoder.hidden_states(ids, torch.ones_like(ids))
    encoder.module.train()
    assert torch.equal(encoder.hidden_states(ids, torch.ones_like(ids))[-1], wanted[-1])


def test_the_check_takes_five_passes_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_cache: Path):
    folder = tiny_bert(tmp_path / "model")
    calls = Calls(monkeypatch)
    encoder = load_encoder(folder, device="cpu")
    before = len(calls.sizes)
    assert encoder.batching == PADDED
    assert len(calls.sizes) - before == 5
    assert max(calls.sizes) <= 32
    (file,) = own_cache.iterdir()
    for _ in range(2):
        again = load_encoder(folder, device="cpu")
        before = len(calls.sizes)
        assert (again.batching, again.causal) == (PADDED, False)
        assert len(calls.sizes) == before
    file.write_text('{"again": []}')
    assert load_encoder(folder, device="cpu").batching == PADDED
    assert len(calls.sizes) > before + 5
    assert "together" in file.read_text()


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert load_encoder(tiny_bert(tmp_path / "model"), device="cpu").batching == PADDED


@pytest.mark.parametrize("change", ["subclass", "hook", "other weights"])
def test_a_changed_module_is_checked_again(change: str, tmp_path: Path, own_cache: Path):
    folder = tiny_bert(tmp_path / "model")
    assert load_encoder(folder, device="cpu").batching == PADDED
    module = (Remembering if change == "subclass" else hf.BertModel).from_pretrained(folder)
    if change == "hook":
        module.encoder.layer[1].register_forward_hook(lambda *_: torch.rand(1, 1, 16))
    if change == "other weights":
        module.embeddings.word_embeddings.weight.data += 1
        assert wrap(module, wordpiece(), name="x").batching == PADDED
        assert len(os.listdir(own_cache)) == 2
        return
    with pytest.raises(ModelError):
        _ = wrap(module, wordpiece(), name="x").batching


def decoder_bert(folder: Path) -> Path:
    config = hf.BertConfig(vocab_size=len(wordpiece()), is_decoder=True, **SIZES)
    return save(folder, hf.BertModel(config), wordpiece())


def t5(folder: Path) -> Path:
    config = hf.T5Config(vocab_size=len(wordpiece()), d_model=16, d_kv=8, d_ff=32, num_layers=2, num_heads=2)
    return save(folder, hf.T5Model(config), wordpiece())


@pytest.mark.parametrize(("make", "causal"), [(tiny_bert, False), (tiny_gpt2, True), (decoder_bert, True), (t5, False)])
def test_causality_is_found_by_reading_on(make: Callable[[Path], Path], causal: bool, tmp_path: Path):
    assert load_encoder(make(tmp_path / "model"), device="cpu").causal is causal


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("make", [tiny_bert, tiny_gpt2])
def test_other_types_have_their_own_tolerance(make: Callable[[Path], Path], dtype: torch.dtype, tmp_path: Path):
    loaded = load_encoder(make(tmp_path / "model"), device="cpu")
    encoder = wrap(loaded.module.to(dtype), loaded.tokenizer, name="half")
    assert (encoder.batching, encoder.causal) == (PADDED, make is tiny_gpt2)


def test_a_model_with_few_positions_is_checked_too(tmp_path: Path):
    assert load_encoder(tiny_bert(tmp_path / "model", positions=4), device="cpu").batching == PADDED

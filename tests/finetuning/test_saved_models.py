"""What fine-tuning saves is opened again: runs of any architecture, found out before the training if it is not so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

import pyrepsim as rs
from pyrepsim.core.errors import CorruptStoreError, ModelError
from pyrepsim.finetuning import finetune, trainer
from pyrepsim.finetuning.recipes import Ablation, TrainingRecipe
from pyrepsim.finetuning.run import open_run
from pyrepsim.finetuning.task_model import load_head
from pyrepsim.models import Encoder, load_encoder, saving
from pyrepsim.models.saving import save_encoder
from tests.finetuning.conftest import Rivers
from tests.helpers.tiny_models import save, tiny_bert, tiny_gpt2, wordpiece

RECIPE = TrainingRecipe(epochs=1, batch_size=64, learning_rate=3e-3, max_length=32)

SIZES = {"d_model": 16, "d_kv": 8, "d_ff": 32, "num_heads": 2, "decoder_start_token_id": 0}
HALVES = {
    f"{side}_{size}": n for side in ("encoder", "decoder") for size, n in (("attention_heads", 2), ("ffn_dim", 32))
}
HALVES |= {"d_model": 16, "encoder_layers": 2, "decoder_layers": 3, "max_position_embeddings": 64}
CONFIGS: dict[str, Any] = {
    "t5": lambda n: hf.T5Config(vocab_size=n, num_layers=2, num_decoder_layers=3, **SIZES),
    "mt5": lambda n: hf.MT5Config(vocab_size=n, num_layers=2, num_decoder_layers=1, **SIZES),
    "bart": lambda n: hf.BartConfig(vocab_size=n, **HALVES),
    "mbart": lambda n: hf.MBartConfig(vocab_size=n, **HALVES),
    "pegasus": lambda n: hf.PegasusConfig(vocab_size=n, **HALVES),
}


def encoder_decoder(folder: Path, name: str) -> Path:
    torch.manual_seed(0)
    tokenizer = wordpiece()
    return save(folder, hf.AutoModel.from_config(CONFIGS[name](len(tokenizer))), tokenizer)


@pytest.fixture(scope="module", params=[*CONFIGS, "bert", "gpt2", "t5 encoder", "tied"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models") / request.param
    if request.param == "bert":
        return tiny_bert(folder)
    if request.param == "gpt2":
        return tiny_gpt2(folder)
    tokenizer = wordpiece()
    torch.manual_seed(0)
    if request.param == "t5 encoder":
        return save(folder, hf.T5EncoderModel(CONFIGS["t5"](len(tokenizer))), tokenizer)
    if request.param == "tied":  # a language model whose output layer is its embeddings
        config = hf.BertConfig(
            vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
        )
        return save(folder, hf.BertForMaskedLM(config), tokenizer)
    return encoder_decoder(folder, request.param)


def tuned(model: Path, rivers: dict[str, Path], out: Path, **options: Any) -> rs.Run:
    return finetune(
        model, Rivers(), train=rivers["train"], dev=rivers["dev"], out=out, recipe=RECIPE, device="cpu", **options
    )


def states(encoder: Encoder, ids: list[int]) -> torch.Tensor:
    tokens = torch.tensor([ids])
    return torch.stack(encoder.hidden_states(tokens, torch.ones_like(tokens)))


@pytest.mark.parametrize("ablation", [None, Ablation(layers=1)])
def test_a_run_of_any_architecture_is_opened_again(
    model: Path, ablation: Ablation | None, rivers: dict[str, Path], tmp_path: Path
):
    run = tuned(model, rivers, tmp_path / "run", ablation=ablation)
    assert [path.name for path in tmp_path.iterdir()] == ["run"], "the check before the training leaves nothing"
    again, base = load_encoder(run, device="cpu"), load_encoder(model, device="cpu")
    assert len(again.layers) == 1 + (2 if ablation is None else 1)
    assert again.weights != base.weights
    assert again.tokenizer_digest == base.tokenizer_digest
    load_head(run.folder, again)
    store = rs.extract(run, ["the keys", "river bank"], out=tmp_path / "run-acts", device="cpu")
    other = rs.extract(base, ["the keys", "river bank"], out=tmp_path / "acts", same_plan_as=store)
    assert 0 < rs.compare(store, other, rs.LinearCKA())[0].value <= 1


@pytest.mark.parametrize("name", CONFIGS)
def test_transformers_opens_the_encoder_of_an_encoder_decoder(name: str, tmp_path: Path):
    encoder = load_encoder(encoder_decoder(tmp_path / "model", name), device="cpu")
    for parameter in encoder.module.parameters():
        parameter.data.add_(0.01)
    save_encoder(encoder, tmp_path / "saved")
    module = hf.AutoModel.from_pretrained(tmp_path / "saved").eval().get_encoder()
    ids = torch.tensor([[5, 6, 7]])
    with torch.no_grad():
        expected = encoder.module(ids, torch.ones_like(ids)).last_hidden_state
        assert torch.equal(module(ids, torch.ones_like(ids)).last_hidden_state, expected)


def test_missing_weights_of_the_encoder_part_are_an_error(tmp_path: Path):
    from safetensors.torch import load_file, save_file

    folder = encoder_decoder(tmp_path / "model", "t5")
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.block.1.layer.0.SelfAttention.q.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"lacks 1, the first 'encoder.block.1.layer.0.SelfAttention.q.weight'"):
        load_encoder(folder, device="cpu")


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_model_that_does_not_open_again_is_refused_before_training(
    overwrite: bool, encoder: Path, rivers: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def never(*_: Any) -> None:
        raise AssertionError("it was trained")

    if overwrite:
        kept = tuned(encoder, rivers, tmp_path / "run")
    whole = saving.save_encoder

    def lossy(encoder: Encoder, folder: Path, **options: Any) -> None:
        first = next(iter(encoder.module.parameters())).data
        first += 1
        whole(encoder, folder, **options)
        first -= 1

    monkeypatch.setattr(trainer.TaskTrainer, "train_or_resume", never)
    monkeypatch.setattr("pyrepsim.finetuning.training.save_encoder", lossy)
    with pytest.raises(ModelError, match=r"must open again as it is: .* has other weights after"):
        tuned(encoder, rivers, tmp_path / "run", overwrite=overwrite)
    assert [path.name for path in tmp_path.iterdir()] == (["run"] if overwrite else [])
    if overwrite:
        assert open_run(kept.folder).scores == kept.scores


def test_a_model_with_an_adapter_is_refused(encoder: Path, rivers: dict[str, Path], tmp_path: Path):
    loaded = load_encoder(encoder, device="cpu")
    loaded.module._hf_peft_config_loaded = True
    with pytest.raises(ModelError, match="Merge it"):
        save_encoder(loaded, tmp_path / "saved")


def test_a_changed_file_of_a_run_is_found(encoder: Path, rivers: dict[str, Path], tmp_path: Path):
    run = tuned(encoder, rivers, tmp_path / "run")
    for name in ("model.safetensors", "config.json", "tokenizer.json", "head.safetensors", "head.json"):
        content = (run.folder / name).read_bytes()
        at = len(content) - 20
        (run.folder / name).write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        for use in (load_encoder, open_run):
            with pytest.raises(CorruptStoreError, match=f"{name} must be as it was written"):
                use(run.folder)
        (run.folder / name).write_bytes(content)
    (run.folder / "tokenizer_config.json").unlink()
    with pytest.raises(CorruptStoreError, match="must be there"):
        load_encoder(run.folder)

"""Adapters of peft: off is the base bit for bit, on is the adapted model, over one loaded base."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers

import pyrepsim as rs
from pyrepsim.cli.main import main
from pyrepsim.core.errors import MissingExtraError, ModelError, OptionError
from pyrepsim.models import loading
from tests.helpers.tiny_models import byte_level, save, tiny_bert, tiny_gpt2
from tests.models.test_untouched import assert_untouched

peft: Any = pytest.importorskip("peft", reason="no peft: adapters are optional")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")  # of peft
hf = transformers
TEXTS = ["the keys to the cabinet are here", "the river bank", "plays"]


def tiny_llama(folder: Path) -> Path:
    tokenizer = byte_level()
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "max_position_embeddings": 64}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1, "initializer_range": 0.5}
    torch.manual_seed(0)
    model = hf.LlamaForCausalLM(hf.LlamaConfig(vocab_size=len(tokenizer), **sizes, **heads))
    return save(folder, model, tokenizer)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("bases")
    makers = {"bert": tiny_bert, "gpt2": tiny_gpt2, "llama": tiny_llama}
    return {name: make(root / name) for name, make in makers.items()}


LORA = {
    "bert": (hf.AutoModel, {"target_modules": ["query", "value"]}),
    "bert with a head": (hf.AutoModelForSequenceClassification, {"task_type": "SEQ_CLS", "target_modules": ["query"]}),
    "bert by path": (
        hf.AutoModelForMaskedLM,
        {"target_modules": r"bert\.encoder\.layer\.\d+\.attention\.self\.query"},
    ),
    "bert embeddings": (hf.AutoModelForMaskedLM, {"target_modules": ["word_embeddings", "dense"]}),
    "bert whole modules": (hf.AutoModel, {"target_modules": ["query"], "modules_to_save": ["intermediate"]}),
    "gpt2": (hf.AutoModelForCausalLM, {"task_type": "CAUSAL_LM", "target_modules": ["c_attn"], "fan_in_fan_out": True}),
    "llama all linear": (hf.AutoModelForCausalLM, {"task_type": "CAUSAL_LM", "target_modules": "all-linear"}),
    "llama dora": (hf.AutoModelForCausalLM, {"target_modules": ["q_proj"], "use_dora": True}),
    "llama ranks": (
        hf.AutoModelForCausalLM,
        {"target_modules": ["q_proj"], "rank_pattern": {"model.layers.0.self_attn.q_proj": 3}},
    ),
    "llama one layer": (hf.AutoModelForCausalLM, {"target_modules": ["q_proj"], "layers_to_transform": [1]}),
    "llama tokens": (hf.AutoModelForCausalLM, {"target_modules": ["q_proj"], "trainable_token_indices": [3, 4]}),
}


def adapted(base: Path, kind: Any, seed: int = 5, **options: Any) -> Any:
    """A model with an adapter that changes its rows."""
    torch.manual_seed(seed)
    model = peft.get_peft_model(kind.from_pretrained(base), peft.LoraConfig(**options))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.copy_(0.3 * torch.randn_like(parameter))
    return model


@pytest.fixture
def lora(bases: dict[str, Path]) -> Any:
    return adapted(bases["bert"], hf.AutoModelForMaskedLM, target_modules=["query", "value"])


@pytest.fixture
def folder(lora: Any, tmp_path: Path) -> Path:
    lora.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


def rows(encoder: Any, text: str = TEXTS[0]) -> torch.Tensor:
    ids = encoder.tokenizer(text, return_tensors="pt")["input_ids"]
    return torch.stack(encoder.hidden_states(ids, torch.ones_like(ids)))


@pytest.mark.parametrize("kind", LORA)
def test_off_is_the_base_and_on_is_the_adapted_model(kind: str, bases: dict[str, Path], tmp_path: Path):
    head, options = LORA[kind]
    base = bases[kind.partition(" ")[0]]
    model = adapted(base, head, **options)
    model.save_pretrained(tmp_path / "adapter")
    plain, encoder = rs.load_encoder(base, device="cpu"), rs.load_encoder(tmp_path / "adapter", device="cpu")
    inner = model.get_base_model().base_model.eval()
    ids = plain.tokenizer(TEXTS[0], return_tensors="pt")["input_ids"]
    with torch.no_grad():
        wanted = torch.stack(inner(input_ids=ids, output_hidden_states=True).hidden_states)
    assert not torch.equal(rows(plain), wanted)
    for one in (encoder, rs.wrap(model), encoder.with_adapter("on"), encoder.with_adapter("default")):
        assert torch.equal(rows(one), wanted)
        assert one.settings == {"adapter": "default"}
        assert one.weights == encoder.weights != plain.weights
    for off in (encoder.with_adapter("off"), rs.wrap(model, adapter="off"), rs.load_encoder(model, adapter="off")):
        assert torch.equal(rows(off), rows(plain))
        assert off.weights == plain.weights
        assert off.settings == {"adapter": "off"}
    assert torch.equal(rows(encoder), wanted)
    merged = rs.wrap(model.merge_and_unload(), plain.tokenizer)
    assert float((rows(merged) - wanted).abs().max()) < 1e-6 * float(wanted.abs().max())
    assert "adapter" not in merged.settings


def test_an_adapter_that_is_switched_off_is_switched_on(lora: Any, bases: dict[str, Path]):
    tokenizer = rs.load_encoder(bases["bert"], device="cpu").tokenizer
    on, off = (rs.wrap(lora, tokenizer, adapter=adapter) for adapter in ("on", "off"))
    wanted, without = rows(on), rows(off)
    assert not torch.equal(wanted, without)
    with lora.disable_adapter():
        for encoder, due in ((on, wanted), (off, without), (rs.wrap(lora, tokenizer), without)):
            assert torch.equal(rows(encoder), due)
        assert all(layer.disable_adapters for layer in lora.modules() if hasattr(layer, "disable_adapters"))


def test_one_base_is_loaded_for_both_sides(folder: Path, bases: dict[str, Path], monkeypatch: pytest.MonkeyPatch):
    loads = []
    whole = loading._load_module
    monkeypatch.setattr(loading, "_load_module", lambda *args: loads.append(args[0]) or whole(*args))
    options: dict[str, Any] = {"device": "cpu", "progress": False}
    scores = rs.compare_models(folder, folder, TEXTS, "LinearCKA", adapter=("off", "on"), **options)
    assert [source.location for source in loads] == [str(bases["bert"])]
    assert (scores[-1].provenance["adapter_x"], scores[-1].provenance["adapter_y"]) == ("off", "default")
    apart = rs.compare_models(bases["bert"], folder, TEXTS, "LinearCKA", **options)
    assert [score.value for score in scores] == [score.value for score in apart]
    assert scores[0].provenance["weights_x"] == apart[0].provenance["weights_x"]
    assert scores[-1].value < 0.999
    same = rs.compare_models(folder, folder, TEXTS, "LinearCKA", **options)
    assert len(loads) == 4
    assert same[-1].value == pytest.approx(1)


def test_stores_record_the_adapter(folder: Path, bases: dict[str, Path], tmp_path: Path):
    base = rs.extract(bases["bert"], TEXTS, tmp_path / "base", device="cpu")
    off = rs.extract(folder, TEXTS, tmp_path / "off", device="cpu", adapter="off", same_plan_as=base)
    on = rs.extract(folder, TEXTS, tmp_path / "on", device="cpu", same_plan_as=base)
    assert base is not None
    assert off is not None
    assert on is not None
    assert (off.plan["model"]["adapter"], on.plan["model"]["adapter"]) == ("off", "default")
    assert off.plan["model"]["weights"] == base.plan["model"]["weights"]
    for layer in base.layers:
        assert np.array_equal(np.asarray(off[layer]), np.asarray(base[layer]))
    assert not np.array_equal(np.asarray(on["layer.1"]), np.asarray(base["layer.1"]))
    assert rs.compare(off, on, "LinearCKA")[0].provenance["adapter_y"] == "default"


def test_the_command_line_chooses_adapters(folder: Path, tmp_path: Path):
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    words = [str(folder), str(folder), "--texts", str(tmp_path / "texts.txt"), "--measures", "LinearCKA"]
    words += ["--adapter", "off,on", "--device", "cpu", "--out", str(tmp_path / "scores.jsonl")]
    assert main(["compare", *words]) == 0
    provenance = json.loads((tmp_path / "scores.jsonl").read_text().splitlines()[0])["provenance"]
    assert (provenance["adapter_x"], provenance["adapter_y"]) == ("off", "default")


def test_one_of_several_adapters(lora: Any, bases: dict[str, Path]):
    other = adapted(bases["bert"], hf.AutoModelForMaskedLM, seed=7, target_modules=["query", "value"])
    weights = {name.replace("default", "second"): tensor for name, tensor in other.state_dict().items()}
    lora.add_adapter("second", peft.LoraConfig(target_modules=["query", "value"]))
    lora.load_state_dict(weights, strict=False)
    first, second = rs.wrap(lora), rs.wrap(lora, adapter="second")
    assert torch.equal(rows(second), rows(rs.wrap(other)))
    assert not torch.equal(rows(second), rows(first))
    assert second.settings == {"adapter": "second"}
    lora.set_adapter("second")
    assert rs.wrap(lora).settings == {"adapter": "second"}
    lora.base_model.set_adapter(["default", "second"])
    assert rs.wrap(lora).settings == {"adapter": "default+second"}
    with pytest.raises(OptionError, match="adapter must be on, off or one of default, second: got 'third'"):
        rs.wrap(lora, adapter="third")


def test_an_adapter_that_the_user_switched_off_stays_off(lora: Any, bases: dict[str, Path]):
    with lora.disable_adapter():
        encoder = rs.wrap(lora)
        assert encoder.settings == {"adapter": "off"}
        assert torch.equal(rows(encoder), rows(rs.load_encoder(bases["bert"], device="cpu")))


def test_the_scale_of_an_adapter_is_part_of_its_digest(lora: Any):
    before = rs.wrap(lora).weights
    for module in lora.modules():
        if isinstance(getattr(module, "scaling", None), dict):
            module.scaling["default"] *= 2
    assert rs.wrap(lora).weights != before


@pytest.mark.parametrize("adapter", [None, "on", "off", "default"])
def test_the_model_in_memory_is_not_changed(adapter: str | None, lora: Any, bases: dict[str, Path], tmp_path: Path):
    lora.train()
    for index, parameter in enumerate(lora.parameters()):
        parameter.requires_grad_(index % 2 == 0)
    assert_untouched(lora, lambda: rs.extract(lora, TEXTS, tmp_path / "store", adapter=adapter))
    assert_untouched(lora, lambda: rs.compare_models(lora, lora, TEXTS, "LinearCKA", adapter=("off", adapter)))


def test_a_trainer_s_checkpoint_of_an_adapter(lora: Any, tmp_path: Path, bases: dict[str, Path]):
    lora.save_pretrained(tmp_path / "run" / "checkpoint-5")
    rs.load_encoder(bases["bert"], device="cpu").tokenizer.save_pretrained(tmp_path / "run")
    assert torch.equal(rows(rs.load_encoder(tmp_path / "run" / "checkpoint-5", device="cpu")), rows(rs.wrap(lora)))


def test_what_cannot_be_switched_or_opened(lora: Any, folder: Path, bases: dict[str, Path], tmp_path: Path):
    with pytest.raises(OptionError, match="chooses an adapter of peft: .* has none"):
        rs.load_encoder(bases["bert"], device="cpu", adapter="off")
    biased = adapted(bases["bert"], hf.AutoModel, target_modules=["query"], bias="all")
    with pytest.raises(ModelError, match="adapted with bias='all'"):
        rs.wrap(biased, adapter="off")
    lora.merge_adapter()
    with pytest.raises(ModelError, match="it is merged into them"):
        rs.wrap(lora, adapter="off")
    with pytest.raises(ModelError, match="has an adapter, which is apart"):
        rs.finetune(folder, "sst2", out=tmp_path / "run", train="a", dev="a", device="cpu")
    config = peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    with pytest.raises(ModelError, match="PREFIX_TUNING puts vectors before the text"):
        rs.wrap(peft.get_peft_model(hf.AutoModelForCausalLM.from_pretrained(bases["gpt2"]), config))


def changed(folder: Path, **values: Any) -> None:
    path = folder / "adapter_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_damaged_adapters(folder: Path, bases: dict[str, Path], tmp_path: Path):
    from safetensors.torch import load_file, save_file

    def copy(name: str) -> Path:
        return shutil.copytree(folder, tmp_path / name)

    changed(moved := copy("moved"), base_model_name_or_path=str(tmp_path / "nowhere"))
    with pytest.raises(ModelError, match="must be an existing folder: .*nowhere"):
        rs.load_encoder(moved)
    changed(nameless := copy("nameless"), base_model_name_or_path=None)
    with pytest.raises(ModelError, match="has base_model_name_or_path=None"):
        rs.load_encoder(nameless)
    (copy("odd") / "adapter_config.json").write_text("[]")
    with pytest.raises(ModelError, match=r"adapter_config.json .* cannot be read"):
        rs.load_encoder(tmp_path / "odd")
    (copy("cut") / "adapter_model.safetensors").write_bytes(b"x" * 20)
    with pytest.raises(ModelError, match="An adapter is a folder that peft wrote"):
        rs.load_encoder(tmp_path / "cut", device="cpu")
    weights = load_file(folder / "adapter_model.safetensors")
    save_file(dict(list(weights.items())[1:]), copy("short") / "adapter_model.safetensors")
    with pytest.raises(ModelError, match="lacks 1, the first 'base_model.model.bert.encoder.layer.0"):
        rs.load_encoder(tmp_path / "short", device="cpu")
    changed(other := copy("other"), base_model_name_or_path=str(bases["llama"]))
    with pytest.raises(ModelError, match="must fit its base model"):
        rs.load_encoder(other, device="cpu")
    shutil.copy(bases["bert"] / "model.safetensors", copy("both"))
    with pytest.raises(ModelError, match=r"holds adapter_config.json and model.safetensors. Move one"):
        rs.load_encoder(tmp_path / "both")


def test_without_peft(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(MissingExtraError, match="needs peft.*`pip install peft`"):
        rs.load_encoder(folder, device="cpu")


def test_an_adapter_in_the_hub_cache(folder: Path, lora: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    commit = "0123456789abcdef0123456789abcdef01234567"
    cached = tmp_path / "hub" / "models--someone--lora"
    shutil.copytree(folder, cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(commit)
    encoder = rs.load_encoder("someone/lora", device="cpu")
    assert (encoder.name, encoder.revision) == ("someone/lora", commit)
    assert torch.equal(rows(encoder), rows(rs.wrap(lora)))

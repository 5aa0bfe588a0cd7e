"""Blocks, truncation, re-initialisation and reverting for every family, checked by the hidden states."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers as hf

from pyrepsim.core.errors import LayerError, ModelError
from pyrepsim.models import load_encoder
from pyrepsim.models.blocks import find_blocks
from pyrepsim.models.layer_changes import reinitialise, reinitialise_all, revert, truncate
from tests.helpers.tiny_models import save, wordpiece

SIZES = {"hidden_size": 16, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 32}
BERT_LIKE = SIZES | {"max_position_embeddings": 64}
IDS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3}
# Configuration, model, sizes, path of the blocks, and first parts of the names of embeddings and shared parameters.
FAMILIES: dict[str, tuple[Any, Any, dict[str, Any], str, set[str]]] = {
    "bert": (hf.BertConfig, hf.BertModel, BERT_LIKE, "encoder.layer", {"embeddings"}),
    "roberta": (hf.RobertaConfig, hf.RobertaModel, BERT_LIKE, "encoder.layer", {"embeddings"}),
    "distilbert": (
        hf.DistilBertConfig,
        hf.DistilBertModel,
        {"dim": 16, "n_layers": 3, "n_heads": 2, "hidden_dim": 32, "max_position_embeddings": 64},
        "transformer.layer",
        {"embeddings"},
    ),
    "electra": (
        hf.ElectraConfig,
        hf.ElectraModel,
        BERT_LIKE | {"embedding_size": 8},
        "encoder.layer",
        {"embeddings", "embeddings_project"},
    ),
    "mpnet": (hf.MPNetConfig, hf.MPNetModel, BERT_LIKE, "encoder.layer", {"embeddings", "encoder"}),
    "deberta": (
        hf.DebertaV2Config,
        hf.DebertaV2Model,
        BERT_LIKE | {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "conv_kernel_size": 3},
        "encoder.layer",
        {"embeddings", "encoder"},
    ),
    "xlnet": (
        hf.XLNetConfig,
        hf.XLNetModel,
        {"d_model": 16, "n_layer": 3, "n_head": 2, "d_inner": 32},
        "layer",
        {"word_embedding"},
    ),
    "gpt2": (
        hf.GPT2Config,
        hf.GPT2Model,
        {"n_embd": 16, "n_layer": 3, "n_head": 2, "n_positions": 64, "bos_token_id": 2, "eos_token_id": 3},
        "h",
        {"wte", "wpe"},
    ),
    "modernbert": (
        hf.ModernBertConfig,
        hf.ModernBertModel,
        BERT_LIKE | IDS | {"cls_token_id": 2, "sep_token_id": 3},
        "layers",
        {"embeddings"},
    ),
    "llama": (hf.LlamaConfig, hf.LlamaModel, BERT_LIKE | IDS | {"num_key_value_heads": 2}, "layers", {"embed_tokens"}),
}
NORMED = {"gpt2", "modernbert", "llama"}  # these apply a final normalisation to the last state
TOKENS = torch.tensor([[2, 17, 30, 9, 41, 3]])

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # the models' own


def build(family: str, seed: int = 0) -> Any:
    config, model, sizes, *_ = FAMILIES[family]
    torch.manual_seed(seed)
    return model(config(vocab_size=len(wordpiece()), **sizes)).eval()


def states(module: Any) -> tuple[torch.Tensor, ...]:
    with torch.no_grad():
        mask = torch.ones_like(TOKENS)
        return module(input_ids=TOKENS, attention_mask=mask, output_hidden_states=True).hidden_states


def weights(module: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def shaken(module: torch.nn.Module) -> Any:
    """A copy in which every weight has changed, like a tuned model."""
    moved = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter) + 0.01)
    return moved


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param


def test_blocks_and_embeddings_of_each_family(family: str):
    module = build(family)
    path, first = FAMILIES[family][3:]
    blocks = find_blocks(module)
    assert (blocks.path, len(blocks)) == (path, 3)
    assert {name.partition(".")[0] for name in blocks.parameters_of("embeddings")} == first
    shares = [blocks.parameters_of(layer) for layer in blocks.layers]
    names = [name for share in shares for name in share]
    assert sorted(names) == sorted(name for name, _ in module.named_parameters())  # each weight in one layer


def test_finding_blocks_does_not_change_the_module(family: str):
    module = build(family).train()
    next(module.parameters()).requires_grad_(False)
    before, state = weights(module), torch.get_rng_state()
    find_blocks(module)
    assert all(child.training for child in module.modules())
    assert [p.requires_grad for p in module.parameters()].count(False) == 1
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(child._forward_pre_hooks for child in module.modules())


@pytest.mark.parametrize("k", [0, 1, 2])
def test_a_hidden_state_depends_only_on_the_parameters_below(family: str, k: int):
    module = build(family)
    at, above = states(module)[k : k + 2]
    below = find_blocks(module).below(k)
    moved = shaken(module)
    for name, parameter in moved.named_parameters():
        if name in below:
            parameter.data.copy_(below[name])
    assert torch.equal(states(moved)[k], at)  # with these parameters fixed, the state is fixed
    for name, parameter in below.items():
        if not name.startswith(FAMILIES[family][3]):  # every parameter outside the blocks is used by them
            kept = parameter.detach().clone()
            parameter.data.normal_()
            assert not torch.equal(states(module)[k + 1], above), name
            parameter.data.copy_(kept)


def test_below_all_blocks_is_every_parameter(family: str):
    module = build(family)
    assert set(find_blocks(module).below(3)) == {name for name, _ in module.named_parameters()}


def test_a_truncated_model_keeps_its_lower_states_and_loads_again(family: str, tmp_path: Path):
    module = build(family)
    whole = states(module)
    truncate(module, 2)
    cut = states(module)
    same = 2 if family in NORMED else 3
    assert len(cut) == 3
    assert all(torch.equal(a, b) for a, b in zip(cut[:same], whole[:same], strict=True))
    encoder = load_encoder(save(tmp_path / "cut", module, wordpiece()), device="cpu")
    assert list(encoder.layers) == ["embeddings", "layer.0", "layer.1"]
    again = encoder.hidden_states(TOKENS, torch.ones_like(TOKENS))
    assert all(torch.equal(a, b) for a, b in zip(cut, again, strict=True))
    assert len(find_blocks(encoder.module)) == 2


def test_only_the_chosen_blocks_are_reinitialised(family: str):
    module = shaken(build(family))
    before = weights(module)
    state = torch.get_rng_state()
    reinitialise(module, [1, 2], seed=5)
    assert torch.equal(torch.get_rng_state(), state)
    inside = tuple(f"{FAMILIES[family][3]}.{index}." for index in (1, 2))
    for name, parameter in module.named_parameters():
        assert torch.isfinite(parameter).all()
        assert torch.equal(parameter, before[name]) != name.startswith(inside), name


def test_reinitialised_weights_have_the_distribution_of_a_new_model():
    module = build("bert")
    module.config.initializer_range = 0.3
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(7.0)
    reinitialise(module, [2], seed=0)
    block = find_blocks(module).modules[2]
    matrices = torch.cat([p.detach().ravel() for p in block.parameters() if p.dim() == 2])
    assert matrices.std() == pytest.approx(0.3, rel=0.05)
    assert matrices.mean() == pytest.approx(0.0, abs=0.02)
    assert all((p == 0).all() for name, p in block.named_parameters() if name.endswith("bias"))
    assert all((p == 1).all() for name, p in block.named_parameters() if name.endswith("LayerNorm.weight"))


def test_reinitialised_weights_depend_only_on_seed_and_block(tmp_path: Path):
    folder = save(tmp_path / "model", build("bert"), wordpiece())
    drawn = []
    for indices, seed in (([2], 3), ([0, 1, 2], 3), ([2], 4)):
        module = load_encoder(folder, device="cpu").module  # transformers marks loaded weights; they must be drawn too
        torch.randn(len(drawn))
        reinitialise(module, indices, seed=seed)
        drawn.append(find_blocks(module).modules[2].state_dict()["output.dense.weight"])
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_reinitialise_all_changes_every_weight_by_seed(family: str):
    drawn = []
    for seed in (5, 5, 6):
        module = shaken(build(family))
        before = weights(module)
        state = torch.get_rng_state()
        reinitialise_all(module, seed=seed)
        assert torch.equal(torch.get_rng_state(), state)
        assert not any(torch.equal(p, before[name]) for name, p in module.named_parameters())
        drawn.append(torch.cat([p.detach().ravel() for p in module.parameters()]))
    assert torch.isfinite(drawn[0]).all()
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


def test_reverting_all_layers_gives_the_base_and_one_layer_changes_one(family: str):
    base = build(family)
    tuned = shaken(base)
    before = weights(tuned)
    layers = find_blocks(base).layers
    everything = revert(tuned, base, layers)
    assert all(torch.equal(p, base.get_parameter(name)) for name, p in everything.named_parameters())
    one = revert(tuned, base, ["layer.1"])
    changed = {name for name, p in one.named_parameters() if not torch.equal(p, tuned.get_parameter(name))}
    assert changed == set(find_blocks(base).parameters_of("layer.1"))
    assert all(torch.equal(before[name], tensor) for name, tensor in tuned.state_dict().items())


def test_reverting_refuses_another_architecture():
    base, other = build("bert"), build("roberta")
    with pytest.raises(LayerError, match=r"layer\.2, rest: BertModel has no layer\.3"):
        revert(base, base, ["layer.3"])
    wide = hf.BertModel(hf.BertConfig(**BERT_LIKE | {"intermediate_size": 48}, vocab_size=99))
    with pytest.raises(ModelError, match=r"intermediate.*\(48, 16\) in one and \(32, 16\)"):
        revert(wide, base, ["layer.0"])
    truncate(other, 2)
    with pytest.raises(ModelError, match="3 blocks, the base 2"):
        revert(base, other, ["layer.0"])


def test_shared_layers_are_refused():
    shared = hf.AlbertModel(hf.AlbertConfig(**BERT_LIKE, embedding_size=8, vocab_size=99))
    with pytest.raises(ModelError, match="AlbertModel shares 1 group of weights among all its layers"):
        find_blocks(shared)


def test_a_list_of_blocks_that_does_not_run_in_order_is_refused():
    module = build("bert")
    layers = module.encoder.layer
    layers[1] = layers[0]
    with pytest.raises(ModelError, match="run once each, in order: BertModel has none"):
        find_blocks(module)


def test_a_model_that_cannot_be_truncated_is_not_changed():
    grouped = hf.AlbertModel(hf.AlbertConfig(**BERT_LIKE, embedding_size=8, num_hidden_groups=3, vocab_size=99))
    before = weights(grouped)
    with pytest.raises(ModelError, match="2 of 3 blocks would not"):
        truncate(grouped, 2)
    assert grouped.config.num_hidden_layers == 3
    assert weights(grouped).keys() == before.keys()
    with pytest.raises(ModelError, match="has 3 blocks, got layers=4"):
        truncate(build("bert"), 4)


def test_a_rule_that_does_not_set_every_weight_is_refused():
    module = build("bert")
    find_blocks(module).modules[0].extra = torch.nn.Parameter(torch.ones(3))
    with pytest.raises(ModelError, match="does not set 'extra'"):
        reinitialise(module, [0], seed=0)

"""Hook points against plain forward hooks of PyTorch, and against what changes when a part of a model is changed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
import torch
import transformers as hf

from pyrepsim.core.errors import LayerError, ModelError, OptionError
from pyrepsim.models import wrap
from pyrepsim.models.hooks import find_points, recording
from pyrepsim.models.points import Point, Rows
from tests.helpers.architectures import INPUTS, build, encoder_of
from tests.helpers.tiny_models import wordpiece

Tensor = torch.Tensor
Cut = Callable[[Tensor], Tensor]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # the models' own


def whole(tensor: Tensor) -> Tensor:
    return tensor


def third(part: int, heads: int = 4) -> Cut:
    """Queries, keys or values of GPT-NeoX: for each head its query, its key and its value."""
    return lambda tensor: tensor.reshape(*tensor.shape[:2], heads, 3, -1)[..., part, :].flatten(2)


def per_token(tensor: Tensor) -> Tensor:
    return tensor.reshape(2, -1, tensor.shape[-1]) if tensor.ndim == 2 else tensor


def head(index: int, size: int = 4) -> Cut:
    return lambda tensor: tensor[..., index * size : (index + 1) * size]


LLAMA = {
    "layer.1.input": ("layers.1", "input", whole),
    "layer.1.output": ("layers.1", "output", whole),
    "layer.1.attention.input": ("layers.1.input_layernorm", "output", whole),
    "layer.0.queries": ("layers.0.self_attn.q_proj", "output", whole),
    "layer.0.queries.3": ("layers.0.self_attn.q_proj", "output", head(3)),
    "layer.0.keys": ("layers.0.self_attn.k_proj", "output", whole),
    "layer.0.values.1": ("layers.0.self_attn.v_proj", "output", head(1)),
    "layer.0.heads": ("layers.0.self_attn.o_proj", "input", whole),
    "layer.0.heads.2": ("layers.0.self_attn.o_proj", "input", head(2)),
    "layer.0.attention": ("layers.0.self_attn", "output", whole),
    "layer.0.mlp.input": ("layers.0.post_attention_layernorm", "output", whole),
    "layer.0.neurons": ("layers.0.mlp.down_proj", "input", whole),
    "layer.0.mlp": ("layers.0.mlp", "output", whole),
    "final_norm.input": ("layers.1", "output", whole),
    "final_norm": ("norm", "output", whole),
    "layers.1.post_attention_layernorm.input": ("layers.1.post_attention_layernorm", "input", whole),
}
PLAIN: dict[str, dict[str, tuple[str, str, Cut]]] = {
    "llama": LLAMA,
    "qwen3": {name: entry for name, entry in LLAMA.items() if entry[2] in (whole, per_token)}
    | {"layer.1.heads.2": ("layers.1.self_attn.o_proj", "input", head(2, 8))}
    | {"layer.1.keys.1": ("layers.1.self_attn.k_proj", "output", head(1, 8))},
    "mixtral": {name: entry for name, entry in LLAMA.items() if name != "layer.0.neurons"}
    | {
        "layer.0.router": ("layers.0.mlp.gate", "output", per_token),
        "layer.0.experts": ("layers.0.mlp.experts", "output", per_token),
        "layers.1.mlp.gate.input": ("layers.1.mlp.gate", "input", per_token),
    },
    "gpt_neox": {
        "layer.1.input": ("layers.1", "input", whole),
        "layer.1.attention.input": ("layers.1.attention", "input", whole),
        "layer.1.queries": ("layers.1.attention.query_key_value", "output", third(0)),
        "layer.1.keys": ("layers.1.attention.query_key_value", "output", third(1)),
        "layer.1.values": ("layers.1.attention.query_key_value", "output", third(2)),
        "layer.1.values.2": ("layers.1.attention.query_key_value", "output", lambda t: head(2)(third(2)(t))),
        "layer.1.heads.3": ("layers.1.attention.dense", "input", head(3)),
        "layer.1.attention": ("layers.1.attention", "output", whole),
        "layer.1.neurons": ("layers.1.mlp.dense_4h_to_h", "input", whole),
        "layer.1.mlp": ("layers.1.mlp", "output", whole),
        "layer.1.output": ("final_layer_norm", "input", whole),
        "final_norm": ("final_layer_norm", "output", whole),
        "layers.0.post_attention_layernorm": ("layers.0.post_attention_layernorm", "output", whole),
    },
    "bert": {
        "layer.1.input": ("encoder.layer.1", "input", whole),
        "layer.1.attention.input": ("encoder.layer.1.attention.self.query", "input", whole),
        "layer.1.queries.0": ("encoder.layer.1.attention.self.query", "output", head(0)),
        "layer.1.keys": ("encoder.layer.1.attention.self.key", "output", whole),
        "layer.1.values": ("encoder.layer.1.attention.self.value", "output", whole),
        "layer.1.heads": ("encoder.layer.1.attention.self", "output", whole),
        "layer.1.attention": ("encoder.layer.1.attention.output.dense", "output", whole),
        "layer.1.mlp.input": ("encoder.layer.1.intermediate", "input", whole),
        "layer.1.neurons": ("encoder.layer.1.intermediate", "output", whole),
        "layer.1.mlp": ("encoder.layer.1.output.dense", "output", whole),
        "layer.1.output": ("encoder.layer.1", "output", whole),
        "encoder.layer.0.attention.output": ("encoder.layer.0.attention.output", "output", whole),
        "embeddings.LayerNorm.input": ("embeddings.LayerNorm", "input", whole),
    },
    "vit": {
        "layer.1.input": ("layers.1", "input", whole),
        "layer.1.attention.input": ("layers.1.layernorm_before", "output", whole),
        "layer.1.queries.1": ("layers.1.attention.q_proj", "output", head(1)),
        "layer.1.heads": ("layers.1.attention.o_proj", "input", whole),
        "layer.1.attention": ("layers.1.attention", "output", whole),
        "layer.1.neurons": ("layers.1.mlp.fc2", "input", whole),
        "layer.1.mlp": ("layers.1.mlp", "output", whole),
        "final_norm.input": ("layernorm", "input", whole),
        "final_norm": ("layernorm", "output", whole),
    },
}


def by_plain_hooks(
    module: torch.nn.Module, wanted: dict[str, tuple[str, str, Cut]], **inputs: Tensor
) -> dict[str, Any]:
    """One forward pass with a hook of PyTorch for each point."""
    found: dict[str, Tensor] = {}
    handles = []
    for name, (path, side, _) in wanted.items():
        child = module.get_submodule(path)
        if side == "output":

            def after(_: Any, __: Any, output: Any, name: str = name) -> None:
                found[name] = (output[0] if isinstance(output, tuple) else output).clone()

            handles.append(child.register_forward_hook(after))
        else:

            def before(_: Any, args: Any, kwargs: Any, name: str = name) -> None:
                found[name] = (args[0] if args else kwargs["hidden_states"]).clone()

            handles.append(child.register_forward_pre_hook(before, with_kwargs=True))
    with torch.inference_mode():
        states = module(**inputs, output_hidden_states=True).hidden_states
    for handle in handles:
        handle.remove()
    n = states[0].shape[:2]
    found = {name: cut(found[name].reshape(*n, -1)) for name, (_, __, cut) in wanted.items()}
    return found | {"embeddings": states[0], "layer.0": states[1], "layer.1": states[2]}


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("n_texts", [1, 8])
@pytest.mark.parametrize("family", [name for name in PLAIN if name != "vit"])
def test_points_of_text_models_equal_plain_hooks_bit_for_bit(family: str, n_texts: int, side: str):
    encoder = encoder_of(family)
    generator = torch.Generator().manual_seed(1)
    lengths = [9, 5, 1, 9, 3, 7, 2, 8][:n_texts]
    real = torch.arange(9) < torch.tensor(lengths)[:, None]
    mask = (real.flip(1) if side == "left" else real).long()
    ids = torch.randint(5, 70, (n_texts, 9), generator=generator).masked_fill(mask == 0, encoder.pad_id)
    wanted = by_plain_hooks(encoder.module, PLAIN[family], input_ids=ids, attention_mask=mask)
    found = encoder.hidden_states(ids, mask, list(wanted))
    widths = encoder.widths(list(wanted))
    for name, tensor in zip(wanted, found, strict=True):
        assert torch.equal(tensor, wanted[name]), name
        assert widths[name] == tensor.shape[-1]
    alone = encoder.hidden_states(ids, mask, list(PLAIN[family]))  # a pass without hidden states
    assert all(torch.equal(tensor, wanted[name]) for name, tensor in zip(PLAIN[family], alone, strict=True))


@pytest.mark.parametrize("n_images", [1, 8])
def test_points_of_vit_equal_plain_hooks_bit_for_bit(n_images: int):
    module = build("vit")

    def states(n: int) -> Any:
        with torch.inference_mode():
            return module(**INPUTS["image"](n), output_hidden_states=True).hidden_states

    points = find_points(
        module, lambda: states(2), dict.fromkeys(("embeddings", "layer.0", "layer.1"), 16), Rows(2, 5), name="vit"
    )
    chosen = {name: points.point(name) for name in points.find(list(PLAIN["vit"]))}
    with recording(module, chosen) as found:
        states(n_images)
    wanted = by_plain_hooks(module, PLAIN["vit"], **INPUTS["image"](n_images))
    for name, point in chosen.items():
        assert torch.equal(point.rows(found[name], Rows(n_images, 5), name), wanted[name]), name


def test_the_last_hidden_state_is_after_the_final_normalisation_where_the_model_has_one():
    ids = torch.tensor([[9, 20, 31, 42, 53]])
    for family in ("llama", "gpt2", "t5", "modernbert", "opt", "mamba"):
        encoder = encoder_of(family)
        raw, read, normalised, last = encoder.hidden_states(
            ids, torch.ones_like(ids), ["layer.1.output", "final_norm.input", "final_norm", "layer.1"]
        )
        assert torch.equal(raw, read)
        assert torch.equal(normalised, last)
        assert not torch.equal(raw, last)
    encoder = encoder_of("clip_text")
    raw, last = encoder.hidden_states(ids, torch.ones_like(ids), ["final_norm.input", "layer.1"])
    assert torch.equal(raw, last)


# ---- names -------------------------------------------------------------------------------------------------------


def test_names_paths_and_patterns_come_in_the_models_order():
    encoder = encoder_of("bert")
    assert list(encoder.widths(["layer.1", "layer.*.mlp", 0])) == [
        "embeddings",
        "layer.0.mlp",
        "layer.1.mlp",
        "layer.1",
    ]
    assert encoder.widths("layer.*.heads.0") == {"layer.0.heads.0": 4, "layer.1.heads.0": 4}
    assert list(encoder.widths(["layer.*"])) == ["layer.0", "layer.1"]
    assert encoder.widths(["encoder.layer.*.intermediate.dense"]) == {
        "encoder.layer.0.intermediate.dense": 24,
        "encoder.layer.1.intermediate.dense": 24,
    }
    assert list(encoder.widths(["encoder.layer.*.output.dense.input"])) == [
        "encoder.layer.0.output.dense.input",
        "encoder.layer.1.output.dense.input",
    ]
    assert len(encoder.widths("layer.0.**")) == len([name for name in encoder.points if name.startswith("layer.0")])
    assert list(encoder.widths()) == ["embeddings", "layer.0", "layer.1"]


def test_a_module_that_runs_for_several_layers_is_found_by_canonical_names_alone():
    encoder = encoder_of("albert")
    ids = torch.tensor([[9, 20, 31, 42, 53]])
    encoder.widths(["layer.0.attention"]), encoder.batching
    seen: list[Tensor] = []
    module = encoder.module.get_submodule("encoder.albert_layer_groups.0.albert_layers.0.attention.dense")
    handle = module.register_forward_hook(lambda _, __, output: seen.append(output.clone()))
    found = encoder.hidden_states(ids, torch.ones_like(ids), ["layer.0.attention", "layer.1.attention"])
    handle.remove()
    assert all(torch.equal(a, b) for a, b in zip(found, seen, strict=True))
    assert not torch.equal(*found)
    with pytest.raises(LayerError, match=r"must run once in a forward pass: .*attention.dense' runs 2 times"):
        encoder.widths(["encoder.albert_layer_groups.0.albert_layers.0.attention.dense"])


def test_layouts_other_than_sequences_tokens_width_are_brought_to_it():
    ids = torch.tensor([[9, 20, 31, 42, 53], [8, 7, 6, 5, 9]])
    encoder = encoder_of("xlnet")  # (tokens, sequences, width)
    found, last = encoder.hidden_states(ids, torch.ones_like(ids), ["layer.1.ff", "layer.1"])
    assert torch.equal(found, last)
    encoder = encoder_of("opt")  # (sequences * tokens, width)
    found = encoder.hidden_states(ids, torch.ones_like(ids), ["decoder.layers.0.fc1", "layer.0.neurons"])
    assert torch.equal(found[0].relu(), found[1])
    assert found[0].shape == (2, 5, 24)
    encoder = encoder_of("qwen3")  # (sequences, tokens, heads, head size)
    found = encoder.hidden_states(
        ids, torch.ones_like(ids), ["layers.0.self_attn.q_norm", "layers.0.self_attn.q_norm.input"]
    )
    assert found[0].shape == (2, 5, 32)
    assert torch.equal(found[1], encoder.hidden_states(ids, torch.ones_like(ids), ["layer.0.queries"])[0])


@pytest.mark.parametrize(
    ("family", "name", "message"),
    [
        ("bert", "layer.7.mlp", "is a hidden state .*, a hook point or the path of a module"),
        ("bert", "pooler.dense", r"must have rows: .* shape \(2, 16\) for 2 sequences of 7 tokens"),
        ("bert", "encoder", "must have one row per token|encoder"),
        ("bert", "layer.*.routers", "matches none"),
        ("bert", "encoder.layer.0.attention.*x", "matches none"),
        ("llama", "rotary_emb", r"shape \(1, 7, 4\)"),
        ("mixtral", "layer.0.neurons", "each expert has its own"),
        ("mixtral", "layer.*.neurons", r"matches none \(layer.0.neurons: each expert has its own"),
        ("mixtral", "layers.0.mlp.experts.act_fn", "one row of numbers per token"),
        ("mixtral", "layers.0.mlp.gate.output.output", "got 'layers.0.mlp.gate.output.output'"),
        ("deepseek", "layer.1.keys", "computes it from a common projection"),
        ("mamba", "layer.0.attention", "no projections of queries, keys and values by known names"),
        ("xlnet", "layer.0.heads.1", "no projections of queries, keys and values by known names"),
        ("convbert", "layer.0.heads.1", "its 16 features cannot be divided among 2 heads"),
        ("bert", "layer.0.heads.4", "a hook point or the path of a module"),
    ],
)
def test_what_cannot_be_recorded_is_refused_by_name_and_reason(family: str, name: str, message: str):
    encoder = encoder_of(family)
    if name == "encoder":
        assert encoder.widths([name]) == {"encoder": 16}  # its first value is the last hidden state
        return
    with pytest.raises(LayerError, match=message):
        encoder.widths([name])
    with pytest.raises(LayerError):
        encoder.hidden_states(torch.tensor([[5, 6]]), torch.ones(1, 2), [name])


def test_a_pattern_leaves_out_what_has_no_rows_and_says_so(caplog: pytest.LogCaptureFixture):
    encoder = encoder_of("mixtral")
    with caplog.at_level(logging.WARNING, "pyrepsim.models"):
        found = encoder.widths("layers.0.mlp.**")
    assert list(found) == ["layers.0.mlp", "layers.0.mlp.gate", "layers.0.mlp.experts"]
    assert "1 of 4 modules are left out (layers.0.mlp.experts.act_fn)" in caplog.text


def test_layers_of_wrong_kinds_are_refused():
    encoder = encoder_of("bert")
    for wrong in (9, -9, None, 1.0, ("a", "b")):
        with pytest.raises(LayerError, match="layers must be layers of 'bert'"):
            encoder.widths([wrong])  # type: ignore[list-item]
    with pytest.raises(OptionError, match="at least one layer"):
        encoder.widths([])


def test_an_unknown_order_of_a_fused_projection_is_refused():
    encoder = wrap(build("gpt2"), wordpiece(64), name="gpt2")
    for block in encoder.module.h:
        block.attn.__class__ = type("MyAttention", (hf.models.gpt2.modeling_gpt2.GPT2Attention,), {})
    with pytest.raises(LayerError, match="order of the columns of h.0.attn.c_attn is not known for MyAttention"):
        encoder.widths(["layer.0.queries"])
    assert encoder.widths(["layer.0.heads.1", "h.0.attn.c_attn"]) == {"layer.0.heads.1": 4, "h.0.attn.c_attn": 48}


# ---- hooks -------------------------------------------------------------------------------------------------------


class InPlace(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = torch.nn.Linear(4, 4), torch.nn.ReLU(inplace=True)

    def forward(self, x: Tensor, fail: bool = False) -> Tensor:
        x = self.second(self.first(x))
        if fail:
            raise RuntimeError("stop")
        return x


def test_a_point_keeps_its_values_when_a_later_module_changes_them_in_place():
    module = InPlace().eval()
    x = torch.randn(2, 3, 4)
    with torch.inference_mode(), recording(module, {"a": Point("first", "output", 0, "rows", 4)}) as found:
        module(x)
    assert torch.equal(found["a"], module.first(x))
    assert (found["a"] < 0).any()


def test_hooks_are_removed_also_after_an_error_and_those_of_the_user_stay():
    module = InPlace().eval()
    seen: list[int] = []
    module.first.register_forward_hook(lambda *_: seen.append(1))
    point = {"a": Point("first", "output", 0, "rows", 4), "b": Point("second", "input", 0, "rows", 4)}
    with pytest.raises(RuntimeError, match="stop"), recording(module, point):
        module(torch.randn(2, 3, 4), fail=True)
    assert len(module.first._forward_hooks) == 1
    assert not module.second._forward_pre_hooks
    assert seen == [1]


def test_a_module_that_does_not_run_in_a_pass_is_named():
    module = InPlace().eval()
    with pytest.raises(ModelError, match="must run in every forward pass: 'a'"):
        with recording(module, {"a": Point("second", "output", 1, "rows", 4)}):
            module(torch.randn(2, 3, 4))
    with pytest.raises(ModelError, match=r"'a' has shape \(2, 3, 4\) for 3 sequences of 2 tokens"):
        Point("first", "output", 0, "rows", 4).rows(torch.zeros(2, 3, 4), Rows(3, 2), "a")


def test_a_model_that_reads_padding_gives_the_points_of_each_text_alone():
    module = hf.FNetModel(
        hf.FNetConfig(
            vocab_size=128, hidden_size=16, num_hidden_layers=2, intermediate_size=24, tpu_short_seq_length=32
        )
    ).eval()
    encoder = wrap(module, wordpiece(64), name="fnet")
    assert encoder.batching == "one text at a time"
    ids = torch.tensor([[9, 20, 31, 42, 53], [8, 7, 0, 0, 0]])
    mask = torch.tensor([[1] * 5, [1, 1, 0, 0, 0]])
    name = "encoder.layer.1.intermediate"
    found = encoder.hidden_states(ids, mask, [name, "layer.1"])
    alone = encoder.hidden_states(ids[1:, :2], mask[1:, :2], [name, "layer.1"])
    assert all(torch.equal(a[1, :2], b[0]) for a, b in zip(found, alone, strict=True))


@pytest.mark.parametrize("family", ["gpt2", "mamba", "rwkv", "xlnet"])
def test_embeddings_are_what_the_first_block_reads_in_every_model(family: str):
    """Mamba and RWKV return the outputs of all blocks, and the last one again after the final normalisation."""
    encoder = encoder_of(family, **({"num_hidden_layers": 8} if family == "rwkv" else {}))  # it rescales every sixth
    ids = torch.tensor([[9, 20, 31, 42, 53]])
    last = list(encoder.layers)[-1]
    names = ["embeddings", "layer.0.input", "layer.0", "layer.0.output", "layer.1.input", last]
    begin, read, state, given, following, end = encoder.hidden_states(ids, torch.ones_like(ids), names)
    assert torch.equal(begin, read)
    assert torch.equal(state, given)
    assert torch.equal(following, given)
    with torch.no_grad():
        assert torch.equal(end, encoder.module(ids, use_cache=False).last_hidden_state)
    assert not any(child._forward_hooks or child._forward_pre_hooks for child in encoder.module.modules())

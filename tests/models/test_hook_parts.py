"""The parts of attention by what a change of one of them changes: no layout of a projection is taken from its code."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from pyrepsim.models import Encoder
from pyrepsim.models.points import Point
from tests.architectures.families import FAMILIES
from tests.helpers.architectures import TEXT_MODELS, encoder_of

Tensor = torch.Tensor

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # the models' own

_LACKING = {family.name: {n for lack in family.lacks for n in lack.full_names()} for family in FAMILIES.values()}
IN_BLOCK_0 = ("layer.0.queries", "layer.0.keys", "layer.0.values", "layer.0.heads", "layer.0.heads.0")
READ = [name for name in TEXT_MODELS if not FAMILIES[name].refused]
WITH_ATTENTION = [name for name in READ if _LACKING[name].isdisjoint(IN_BLOCK_0)]
WITH_BOTH = [name for name in READ if _LACKING[name].isdisjoint(("layer.0.attention", "layer.0.mlp"))]
WITH_BOTH.remove("falcon_h1")  # a state space model runs beside its attention
POST_NORM = (
    *("albert", "bart", "bert", "big_bird", "convbert", "deberta", "distilbert", "electra", "layoutlm", "marian"),
    *("mpnet", "nomic_bert", "roberta", "xlm_roberta"),
)
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {name: (name, {}) for name in WITH_ATTENTION} | {
    "falcon, a key a head": ("falcon", {"multi_query": False}),
    "falcon, groups": ("falcon", {"new_decoder_architecture": True, "num_kv_heads": 2}),
    "qwen3_next, attention": ("qwen3_next", {"full_attention_interval": 1, "layer_types": None}),
    "gpt_bigcode, a key a head": ("gpt_bigcode", {"multi_query": False}),
}


def changed(encoder: Encoder, name: str, token: int, ids: Tensor) -> Tensor:
    """Which heads of which tokens change, (tokens, heads), if one point changes at one token."""
    point = encoder.points.point(name)
    assert isinstance(point, Point)
    before = encoder.hidden_states(ids, torch.ones_like(ids), ["layer.0.heads"])[0]
    calls = [0]

    def change(_: Any, __: Any, output: Tensor) -> Tensor:
        calls[0] += 1
        if calls[0] - 1 != point.turn:
            return output
        output = output.clone()
        columns = slice(None) if point.columns is None else torch.from_numpy(point.columns)
        output[:, token, columns] += 1.0 + torch.arange(point.width) % 3
        return output

    handle = encoder.module.get_submodule(point.path).register_forward_hook(change)
    after = encoder.hidden_states(ids, torch.ones_like(ids), ["layer.0.heads"])[0]
    handle.remove()
    difference = (after - before).abs()[0].reshape(ids.shape[1], 4, -1).amax(dim=2)
    return difference > 1e-5 * before.abs().max()


@pytest.mark.parametrize("variant", VARIANTS)
def test_queries_keys_values_and_heads_are_those_that_the_attention_uses(variant: str):
    """A query changes its own token only; a key and a value change others too; each changes the heads of its group."""
    family, options = VARIANTS[variant]
    encoder = encoder_of(family, **options)
    ids = torch.tensor([[9, 20, 31, 42, 53]])
    n_keys = sum(name.startswith("layer.0.keys.") for name in encoder.points)
    assert sum(name.startswith("layer.0.queries.") for name in encoder.points) == 4
    known = {"falcon": 1, "gpt_bigcode": 1, "falcon, groups": 2}
    assert n_keys == known.get(variant, TEXT_MODELS[family][1].get("num_key_value_heads", 4))
    encoder.points  # noqa: B018 - found before the model is changed
    joined = ("olmo2", "olmo3", "olmoe")
    for index in range(4):
        moved = changed(encoder, f"layer.0.queries.{index}", 2, ids)
        heads = range(4) if family in joined else [index]  # it normalises all queries together
        assert moved.nonzero().tolist() == [[2, h] for h in heads]
        if encoder.causal and family != "gpt_oss":  # the first token has one key, whatever its query
            assert not changed(encoder, f"layer.0.queries.{index}", 0, ids).any()
    for index in range(n_keys):
        own = list(range(index * 4 // n_keys, (index + 1) * 4 // n_keys))
        for role in ("keys", "values"):
            moved = changed(encoder, f"layer.0.{role}.{index}", 2, ids)
            if not (family in joined and role == "keys"):  # it normalises all keys together
                assert sorted({h for _, h in moved.nonzero().tolist()}) == own
            assert any(token > 2 for token, _ in moved.nonzero().tolist())


@pytest.mark.parametrize("variant", VARIANTS)
def test_values_of_zero_give_heads_of_zero(variant: str):
    """Keys and queries do not have this property, nor has a value that is mixed up with them."""
    family, options = VARIANTS[variant]
    encoder = encoder_of(family, **options)
    point = encoder.points.point("layer.0.values")
    assert isinstance(point, Point)
    columns = slice(None) if point.columns is None else torch.from_numpy(point.columns)

    def zero(_: Any, __: Any, output: Tensor) -> Tensor:
        output = output.clone()
        output[..., columns] = 0.0
        return output

    ids = torch.tensor([[9, 20, 31, 42, 53]])
    handle = encoder.module.get_submodule(point.path).register_forward_hook(zero)
    heads = encoder.hidden_states(ids, torch.ones_like(ids), ["layer.0.heads"])[0]
    handle.remove()
    assert heads.abs().max() == 0.0


@pytest.mark.parametrize("family", WITH_BOTH)
def test_attention_and_mlp_are_what_they_add_to_the_residual_stream(family: str):
    """Zero outputs of both leave a block that only normalises its input, and both have the width of the block."""
    encoder = encoder_of(family)
    points = {name: encoder.points.point(name) for name in ("layer.0.attention", "layer.0.mlp")}
    assert all(isinstance(point, Point) and point.width == encoder.layers["layer.0"] for point in points.values())

    def zero(_: Any, __: Any, output: Any) -> Any:
        zeros = torch.zeros_like(output[0] if isinstance(output, tuple) else output)
        return (zeros, *output[1:]) if isinstance(output, tuple) else zeros

    handles = [encoder.module.get_submodule(p.path).register_forward_hook(zero) for p in points.values()]  # type: ignore[union-attr]
    ids = torch.tensor([[9, 20, 31, 42, 53]])
    before, after = encoder.hidden_states(ids, torch.ones_like(ids), ["layer.0.input", "layer.0.output"])
    for handle in handles:
        handle.remove()
    cosine = torch.nn.functional.cosine_similarity(
        before - before.mean(-1, keepdim=True), after - after.mean(-1, keepdim=True), dim=-1
    )
    post_norm = family in POST_NORM and cosine.min() > 0.9
    assert torch.equal(before, after) or post_norm or family in ("gemma2", "olmo2")

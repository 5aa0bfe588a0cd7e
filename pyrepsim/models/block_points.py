"""The parts of each transformer block by canonical names: attention, heads, queries, keys, values, MLP, experts.

They are found among the calls of one forward pass, by the names that transformers gives to projections and by what each
call read and gave. Whatever is not certain is left out, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from .calls import Call
from .fused import fused_columns, gated_columns
from .points import Point, Rows

__all__ = ["block_points", "find_blocks"]

_PROJECTIONS = {
    "queries": ("q_proj", "query", "q", "q_lin", "query_proj", "q_head", "q_b_proj", "linear_q"),
    "keys": ("k_proj", "key", "k", "k_lin", "key_proj", "k_head", "linear_k"),
    "values": ("v_proj", "value", "v", "v_lin", "value_proj", "v_head", "linear_v"),
    "fused": ("c_attn", "query_key_value", "Wqkv", "qkv_proj", "qkv"),
    "latent": ("kv_a_proj_with_mqa",),
}
_ROLES = {name: role for role, names in _PROJECTIONS.items() for name in names}
_ATTENTION = ("attention.input", "queries", "keys", "values", "heads", "attention")
_MLPS = ("mlp", "feed_forward", "ffn", "ff", "mlp_block")
_HEADS = ("num_heads", "num_attention_heads", "n_heads", "n_head")


def block_points(whole: Call, states: Sequence[torch.Tensor], rows: Rows) -> tuple[dict[str, Point], dict[str, str]]:
    """Return the points of all blocks and of the final normalisation, and why others are missing.

    Parameters
    ----------
    whole : Call
        The calls of a forward pass.
    states : sequence of Tensor
        The hidden states that the model returned: the input of the first block, and the output of each block.
    rows : Rows
        The sequences and tokens of the pass.
    """
    blocks = find_blocks(whole, states, rows)
    if blocks is None:
        reason = "the model has no list of blocks that read its hidden states"
        return {}, dict.fromkeys(("layer", "final_norm"), reason)
    points: dict[str, Point] = {}
    missing: dict[str, str] = {}
    for index, block in enumerate(blocks):
        parts = _Block(block, rows)
        points |= {f"layer.{index}.{name}": point for name, point in parts.points.items()}
        missing |= {f"layer.{index}.{name}": reason for name, reason in parts.missing.items()}
    norm = _final_norm(whole, blocks[-1])
    if norm is None:
        missing["final_norm"] = "no normalisation reads the output of the last block"
        return points, missing
    for name, side in (("final_norm.input", "input"), ("final_norm", "output")):
        point = rows.point(norm, side)
        (points if isinstance(point, Point) else missing)[name] = point  # type: ignore[index]
    return points, missing


def find_blocks(whole: Call, states: Sequence[torch.Tensor], rows: Rows) -> list[Call] | None:
    """Return the calls of the outermost list of modules that read the hidden states, all but the last.

    In Mamba and RWKV the first state is not what the first block reads, but what it gives.
    """
    waiting = [whole] if len(states) > 1 else []
    while waiting:
        lists: dict[str, list[Call]] = {}
        for call in waiting:
            for inner in call.inner:
                if inner.name.isdigit():
                    lists.setdefault(inner.path.rpartition(".")[0], []).append(inner)
        for calls in lists.values():
            if len(calls) != len(states) - 1:
                continue
            if all(rows.equal(call.read, state) for call, state in zip(calls, states[:-1], strict=True)):
                return calls
            if rows.equal(calls[0].given, states[0]):
                return calls
        waiting = [inner for call in waiting for inner in call.inner]
    return None


def _final_norm(whole: Call, last: Call) -> Call | None:
    """The first call after the last block that reads its output and is a normalisation of each token."""
    seen = False
    for call in whole.below():
        if seen and call.read is last.given and "norm" in type(call.module).__name__.lower():
            same = call.given is not None and last.given is not None and call.given.shape == last.given.shape
            return call if same else None
        seen = seen or call is last
    return None


class _Block:
    """The points of one call of a block, by the last parts of their names, and why others are missing."""

    def __init__(self, block: Call, rows: Rows) -> None:
        self.block, self.rows = block, rows
        self.points: dict[str, Point] = {}
        self.missing: dict[str, str] = {}
        self.width = 0 if block.given is None else block.given.shape[-1]
        self.maps = [call for call in block.below() if self._is_map(call)]
        self._put("input", block, "input")
        self._mlp(self._attention())
        self._put("output", block)

    def _put(self, name: str, call: Call, side: str = "output") -> None:
        point = self.rows.point(call, side)
        if isinstance(point, Point):
            self.points[name] = point
        else:
            self.missing[name] = point

    def _miss(self, names: Sequence[str], reason: str) -> None:
        self.missing |= dict.fromkeys(names, reason)

    def _is_map(self, call: Call) -> bool:
        """Whether a call applies a matrix to each token. What runs inside it, as in an adapter, is a part of it."""
        inside = any(_has_matrix(above) for above in call.above() if above is not self.block)
        return _has_matrix(call) and not inside and self.rows.fits(call.read) and self.rows.fits(call.given)

    def _attention(self) -> Call | None:
        """Find the attention; return the call that holds all of it."""
        roles: dict[str, Call] = {}
        for call in self.maps:
            role = _ROLES.get(call.name)
            if role in roles:
                self._miss(_ATTENTION, f"the block has two modules {call.name!r}")
                return None
            if role is not None:
                roles[role] = call
        if not (roles.keys() & {"fused", "latent"} or roles.keys() >= {"queries", "keys", "values"}):
            self._miss(_ATTENTION, "the block has no projections of queries, keys and values by known names")
            return None
        last = max(roles.values(), key=self.maps.index)
        later = self.maps[self.maps.index(last) + 1 :]
        for holder in last.above():
            if holder is self.block:
                break
            inside = [call for call in later if holder in call.above() and _width(call) == self.width]
            if inside:
                self._put("attention.input", next(iter(roles.values())), "input")
                self._heads(roles, inside[-1])
                self._put("attention", inside[-1])
                return holder
        self._miss(_ATTENTION, f"no output projection to {self.width} features follows {last.path}")
        return None

    def _heads(self, roles: Mapping[str, Call], out: Call) -> None:
        """Points of queries, keys, values and heads, together and head by head."""
        core = next(next(iter(roles.values())).above())
        n_heads = _n_heads(core.module)
        for role in ("queries", "keys", "values"):
            if role in roles:
                self._put(role, roles[role])
            elif "latent" in roles:
                self._miss([role], f"{type(core.module).__name__} computes it from a common projection")
        queries = self.points.get("queries")
        if queries is not None and (chosen := gated_columns(core.module, queries.width, n_heads)) is not None:
            self.points["queries"] = queries.of_columns(chosen)
        fused = roles.get("fused")
        if fused is not None:
            columns = fused_columns(core.module, _width(fused), n_heads)
            if columns is None:
                reason = f"the order of the columns of {fused.path} is not known for {type(core.module).__name__}"
                self._miss(("queries", "keys", "values"), reason)
            whole = self.rows.point(fused)
            if columns is not None and isinstance(whole, Point):
                self.points |= {role: whole.of_columns(chosen) for role, chosen in columns.items()}
        self._put("heads", out, "input")
        size = self.points["queries"].width // n_heads if "queries" in self.points else 0
        for role in ("queries", "keys", "values", "heads"):
            point = self.points.get(role)
            if point is None:
                continue
            n = point.width // size if role in ("keys", "values") and size else n_heads
            values = self.points.get("values") if role == "heads" and size else None
            more = values is not None and point.width not in (n * size, values.width)  # ConvBERT: convolutions too
            if point.width % n or more:
                reason = f"its {point.width} features cannot be divided among {n} heads"
                self._miss([f"{role}.{head}" for head in range(n)], reason)
                continue
            for head, chosen in enumerate(np.arange(point.width).reshape(n, -1)):
                self.points[f"{role}.{head}"] = point.of_columns(chosen)

    def _mlp(self, attention: Call | None) -> None:
        """Find the feed-forward part: what has its name, or what is outside the attention."""
        experts = [call for call in self.block.below() if call.name == "experts" or ".experts." in call.path]
        if experts:
            self._experts(experts)
            return
        named = next((call for call in self.block.inner if call.name in _MLPS), None)
        if named is not None:
            maps = [call for call in self.maps if named in call.above()]
        elif attention is not None:
            maps = [call for call in self.maps if attention not in call.above()]
        else:
            self._miss(("mlp.input", "neurons", "mlp"), self.missing["attention"])
            return
        first, last = maps[:-1], maps[-1:]
        if len(first) not in (1, 2) or any(call.read is not first[0].read for call in first):
            where = "outside its attention" if named is None else f"in {named.path}"
            reason = f"the {len(maps)} linear maps {where} are not one or two that read the same and one after them"
            self._miss(("mlp.input", "neurons", "mlp"), reason)
            return
        self._put("mlp.input", first[0], "input")
        self._put("neurons", last[0], "input")
        self._put("mlp", last[0])

    def _experts(self, experts: Sequence[Call]) -> None:
        """Points of a mixture of experts: the router's logits, the sum of the experts, and the whole module."""
        holder = next(experts[0].above())
        self._miss(["neurons"], "each expert has its own, and reads a part of the tokens")
        self._put("mlp.input", holder, "input")
        router = next((call for call in holder.inner if call.name in ("gate", "router")), None)
        if router is None:
            self._miss(["router"], f"{holder.path} has no module named gate or router")
        else:
            self._put("router", router)
        self._put("experts", experts[0])
        self._put("mlp", holder)


def _width(call: Call) -> int:
    return 0 if call.given is None else call.given.shape[-1]


def _has_matrix(call: Call) -> bool:
    weight = getattr(call.module, "weight", None)
    return isinstance(weight, torch.Tensor) and weight.ndim == 2 and not isinstance(call.module, torch.nn.Embedding)


def _n_heads(attention: torch.nn.Module) -> int:
    """Number of heads of the queries, as the module or its configuration gives it; 1 if neither does."""
    for owner in (attention, getattr(attention, "config", None)):
        for name in _HEADS:
            value: Any = getattr(owner, name, None)
            if isinstance(value, int) and value > 0:
                return value
    return 1

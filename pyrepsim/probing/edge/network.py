"""The forward pass of many edge probes: parameters have a leading axis of members, products are batched products.

One probe, for a target with the spans 1 and 2 (Tenney et al., 2019, section 3):

    x = h_l                            one layer, or gamma sum_l softmax(a)_l h_l over the layers 0..K of a mix
    z_k = x W_k + b_k                  tokens of span k, width -> projection, with other weights for each span
    p_k = sum_t softmax_t(z_k v_k) z_k over the tokens t of the span (a bias would cancel in the softmax)
    f = dropout(norm(tanh([p_1; p_2] A + a))) B + b        family "mlp";  [p_1; p_2] B + b for "linear"

Members over one layer come first, because only the mixes need gradients with respect to their input. [p_1; p_2] A is
computed as p_1 A_1 + p_2 A_2, once for each different span: targets that share a span share its product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .batches import Batch, SpanIndex
from .recipe import EdgeProbeRecipe, Member

__all__ = [
    "Network",
    "Parameters",
    "Shape",
    "code_lengths",
    "decisions",
    "initial_parameters",
    "losses",
]

Parameters = dict[str, torch.Tensor]

_DENSE = 64  # entries of a dense product that cost as much as copying one token


@dataclass(frozen=True)
class Shape:
    """The numbers that decide the shapes of a probe's parameters."""

    sources: tuple[str, ...]
    width: int
    n_spans: int
    n_labels: int


def initial_parameters(shape: Shape, recipe: EdgeProbeRecipe, generator: torch.Generator) -> Parameters:
    """Return the parameters of one member: linear maps uniform in ±1/sqrt(inputs), mixing scalars 0, gamma 1."""
    parameters: Parameters = {}

    def linear(name: str, n_in: int, n_out: int, *, bias: bool = True) -> None:
        bound = n_in**-0.5
        parameters[f"{name}.weight"] = torch.empty(n_in, n_out).uniform_(-bound, bound, generator=generator)
        if bias:
            parameters[f"{name}.bias"] = torch.empty(1, n_out).uniform_(-bound, bound, generator=generator)

    pooled = recipe.projection or shape.width
    for k in range(shape.n_spans):
        if recipe.projection is not None:
            linear(f"project{k}", shape.width, recipe.projection)
        linear(f"attend{k}", pooled, 1, bias=False)
    features = shape.n_spans * pooled
    if recipe.family == "mlp":
        linear("hidden", features, recipe.hidden)
        parameters["norm.weight"], parameters["norm.bias"] = torch.ones(1, recipe.hidden), torch.zeros(1, recipe.hidden)
        features = recipe.hidden
    linear("out", features, shape.n_labels)
    parameters["mix.scalars"], parameters["mix.gamma"] = torch.zeros(len(shape.sources)), torch.ones(())
    return parameters


class Network:
    """The forward pass of `members`, whose parameters are stacked in their order."""

    def __init__(self, members: Sequence[Member], shape: Shape, recipe: EdgeProbeRecipe, device: torch.device) -> None:
        self.members, self._shape, self._recipe = tuple(members), shape, recipe
        self._n_single = sum(not member.is_mix for member in members)
        place = {name: i for i, name in enumerate(shape.sources)}
        singles = [place[member.sources[0]] for member in self.members[: self._n_single]]
        self._singles = _places(singles, device)
        outside = [[name not in member.sources for name in shape.sources] for member in self.members[self._n_single :]]
        self._outside = torch.tensor(outside, dtype=torch.bool, device=device).view(-1, len(shape.sources))

    def mixing_weights(self, parameters: Parameters) -> torch.Tensor:
        """Return the softmax of the scalars, (mixes, sources); 0 for layers outside a mix."""
        scalars = parameters["mix.scalars"][self._n_single :]
        return scalars.masked_fill(self._outside, -torch.inf).softmax(-1)

    def logits(self, parameters: Parameters, batch: Batch, masks: torch.Tensor | None = None) -> torch.Tensor:
        """Return logits (members, targets, labels); `masks` (members, targets, hidden) multiply the hidden units."""
        mixed = None
        if self._n_single < len(self.members):
            weights = self.mixing_weights(parameters) * parameters["mix.gamma"][self._n_single :, None]
            n_sources, *rest = batch.x.shape
            mixed = (weights @ batch.x.reshape(n_sources, -1)).view(-1, *rest)
        single = batch.x[self._singles] if self._n_single else None
        inputs = [x for x in (single, mixed) if x is not None]
        pooled = [self._span(parameters, k, batch, inputs) for k in range(len(batch.spans))]
        if self._recipe.family == "linear":
            return _concatenated_product(pooled, batch.spans, parameters, "out")
        hidden = torch.tanh(_concatenated_product(pooled, batch.spans, parameters, "hidden"))
        hidden = torch.nn.functional.layer_norm(hidden, hidden.shape[-1:])
        features = torch.addcmul(parameters["norm.bias"], hidden, parameters["norm.weight"])
        if masks is not None:
            features = features * masks
        return torch.baddbmm(parameters["out.bias"], features, parameters["out.weight"])

    def _span(self, parameters: Parameters, k: int, batch: Batch, inputs: list[torch.Tensor]) -> torch.Tensor:
        """Return the pooled vectors of span k, (members, different spans, projection)."""
        span = batch.spans[k]
        if span.rows is not None:
            inputs = [x.index_select(1, span.rows) for x in inputs]
        if self._recipe.projection is not None:
            sizes = [len(x) for x in inputs]
            weights, biases = (parameters[f"project{k}.{part}"].split(sizes) for part in ("weight", "bias"))
            inputs = [torch.baddbmm(*terms) for terms in zip(biases, inputs, weights, strict=True)]
        tokens = torch.cat(inputs) if len(inputs) > 1 else inputs[0]
        if not span.single:
            return _attend(tokens, parameters[f"attend{k}.weight"], span)
        return tokens if span.entry is None else tokens.index_select(1, span.entry)


def _places(singles: list[int], device: torch.device) -> slice | torch.Tensor:
    """Return the sources of members over one layer: as a slice, which copies nothing, if they are consecutive."""
    first = singles[0] if singles else 0
    if singles == list(range(first, first + len(singles))):
        return slice(first, first + len(singles))
    return torch.tensor(singles, dtype=torch.int64, device=device)


def losses(logits: torch.Tensor, y: torch.Tensor, kind: str) -> torch.Tensor:
    """Return mean losses in nats, (members,).

    The mean is over targets and labels (sigmoid), or over the targets with a label (softmax).
    """
    if kind == "softmax":
        return _cross_entropy(logits, y).sum(1) / y.sum().clamp(min=1)
    target = y.expand_as(logits)
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none").mean((1, 2))


def code_lengths(logits: torch.Tensor, y: torch.Tensor, kind: str) -> torch.Tensor:
    """Return the code length of each target in nats, (members, targets).

    It is -log p of the target's label (softmax), or the sum over all labels (sigmoid).
    """
    if kind == "softmax":
        return _cross_entropy(logits, y)
    target = y.expand_as(logits)
    return torch.nn.functional.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(2)


def decisions(logits: torch.Tensor, kind: str) -> torch.Tensor:
    """Return the predicted labels as booleans: those with p >= 0.5 (sigmoid), or the most likely one (softmax)."""
    if kind == "softmax":
        return torch.zeros_like(logits, dtype=torch.bool).scatter_(2, logits.argmax(2, keepdim=True), True)
    return logits >= 0


def _cross_entropy(logits: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    return -(logits.log_softmax(2) * y).sum(2)


def _concatenated_product(
    pooled: Sequence[torch.Tensor], spans: Sequence[SpanIndex], parameters: Parameters, name: str
) -> torch.Tensor:
    """Return [p_1; p_2] A + a of each target, from the pooled vectors of the different spans."""
    total = parameters[f"{name}.bias"]
    weights = parameters[f"{name}.weight"].chunk(len(spans), 1)
    for vectors, span, weight in zip(pooled, spans, weights, strict=True):
        if span.place is None:
            total = torch.baddbmm(total, vectors, weight)
        else:
            total = total + torch.bmm(vectors, weight).index_select(1, span.place)
    return total


def _attend(tokens: torch.Tensor, weight: torch.Tensor, span: SpanIndex) -> torch.Tensor:
    """Return weighted sums of the tokens of each span; the weights are a softmax of their logits in the span."""
    logits = torch.bmm(tokens, weight).squeeze(2)
    if span.entry is not None:
        logits = logits.index_select(1, span.entry)
    owner = span.owner.expand_as(logits)
    n_members, n_tokens, width = tokens.shape
    top = logits.new_full((n_members, span.n_different), -torch.inf).scatter_reduce(1, owner, logits.detach(), "amax")
    raised = (logits - top.gather(1, owner)).exp()
    total = raised.new_zeros(n_members, span.n_different).index_add(1, span.owner, raised)
    weights = raised / total.gather(1, owner)
    # Long spans share tokens. A dense product (spans x tokens) then needs less memory than a copy of each token.
    if span.entry is not None and span.n_different * n_tokens <= _DENSE * len(span.entry):
        sums = weights.new_zeros(n_members, span.n_different * n_tokens)
        sums = sums.index_add(1, span.owner * n_tokens + span.entry, weights)
        return sums.view(n_members, span.n_different, -1) @ tokens
    picked = tokens if span.entry is None else tokens.index_select(1, span.entry)
    out = tokens.new_zeros(n_members, span.n_different, width)
    return out.index_add(1, span.owner, picked * weights.unsqueeze(2))

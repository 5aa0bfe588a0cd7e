"""Stacked parameters of the members still in training, and their optimiser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.optim.adam import adam

from .network import Parameters

MemberState = dict[str, dict[str, Any]]
"""Of one member: "parameters" by name, and "adam", by name, the state of its optimiser (empty at the start)."""

_MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")


class Stack:
    """Parameters with a leading axis of members, each member with its own learning rate, gradient norm and Adam state.

    The optimiser (AMSGrad, betas 0.9 and 0.999, eps 1e-8) steps views of single members, which share memory with the
    stack, so that a member's update is the same whoever stands beside it.
    """

    def __init__(self, states: Sequence[MemberState], device: torch.device) -> None:
        names = list(states[0]["parameters"])
        stacked = {name: torch.stack([state["parameters"][name] for state in states]) for name in names}
        self.parameters: Parameters = {name: tensor.to(device).requires_grad_() for name, tensor in stacked.items()}
        self._views = [
            {name: tensor.detach()[m] for name, tensor in self.parameters.items()} for m in range(len(states))
        ]
        self._adam = [
            {name: _adam_state(state["adam"].get(name), view) for name, view in views.items()}
            for views, state in zip(self._views, states, strict=True)
        ]

    def step(self, losses: torch.Tensor, learning_rates: Sequence[float], clip: float) -> None:
        """One update of every member from its own loss (members,)."""
        # No parameter is in two losses, so each gets the gradient of its own. Attention weights are in none where all
        # spans of a batch are one token: zeros, so that their moments go on.
        wanted = list(self.parameters.values())
        gradients = [g.contiguous() for g in torch.autograd.grad(losses.sum(), wanted, materialize_grads=True)]
        norms = [torch.linalg.vector_norm(gradient.view(len(losses), -1), dim=1) for gradient in gradients]
        divisors = ((torch.stack(norms).norm(dim=0) + 1e-6) / clip).clamp(min=1.0)
        by_member = zip(*(gradient.unbind() for gradient in gradients), strict=True)
        for m, (own, divisor) in enumerate(zip(by_member, divisors.unbind(), strict=True)):
            states = self._adam[m].values()
            adam(
                list(self._views[m].values()),
                list(own),
                *([state[key] for state in states] for key in (*_MOMENTS, "step")),
                fused=True,
                grad_scale=divisor,
                amsgrad=True,
                beta1=0.9,
                beta2=0.999,
                lr=learning_rates[m],
                weight_decay=0.0,
                eps=1e-8,
                maximize=False,
            )

    def member_parameters(self, m: int) -> Parameters:
        """A copy of one member's parameters."""
        return {name: view.clone() for name, view in self._views[m].items()}

    def member_state(self, m: int) -> MemberState:
        """All that one member's training goes on from."""
        return {
            "parameters": self.member_parameters(m),
            "adam": {name: dict(state) for name, state in self._adam[m].items()},
        }


def _adam_state(saved: dict[str, torch.Tensor] | None, view: torch.Tensor) -> dict[str, torch.Tensor]:
    """The moments of one tensor and its number of steps: as saved, or those of the start."""
    if saved is not None:
        return {key: value.to(view.device).clone() for key, value in saved.items()}
    start = {key: torch.zeros_like(view) for key in _MOMENTS}
    return start | {"step": torch.zeros((), dtype=torch.float32, device=view.device)}

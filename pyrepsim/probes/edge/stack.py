"""Stacked parameters of the members still in training, and their optimiser."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .network import Parameters

MemberState = dict[str, dict[str, Any]]
"""Of one member: "parameters" by name, and "adam", by name, the state of its optimiser (empty at the start)."""


class Stack:
    """Parameters with a leading axis of members, each member with its own learning rate, gradient norm and Adam state.

    The optimiser steps views of single members, which share memory with the stack, so that a member's update is the
    same whoever stands beside it.
    """

    def __init__(self, states: Sequence[MemberState], device: torch.device) -> None:
        names = list(states[0]["parameters"])
        stacked = {name: torch.stack([state["parameters"][name] for state in states]) for name in names}
        self.parameters: Parameters = {name: tensor.to(device).requires_grad_() for name, tensor in stacked.items()}
        self._views = [
            {name: torch.nn.Parameter(tensor.detach()[m]) for name, tensor in self.parameters.items()}
            for m in range(len(states))
        ]
        groups = [{"params": list(views.values())} for views in self._views]
        self._adam = torch.optim.Adam(groups, lr=0.0, amsgrad=True, fused=True)
        for views, state in zip(self._views, states, strict=True):
            for name, adam in state["adam"].items():
                self._adam.state[views[name]] = {key: value.to(device).clone() for key, value in adam.items()}

    def step(self, losses: torch.Tensor, learning_rates: Sequence[float], clip: float) -> None:
        """One update of every member from its own loss (members,)."""
        losses.sum().backward()  # no parameter is in two losses, so each gets the gradient of its own
        squares = torch.zeros_like(losses)
        for tensor in self.parameters.values():
            if tensor.grad is None:  # attention weights, where all spans of a batch are one token
                tensor.grad = torch.zeros_like(tensor)
            squares += torch.linalg.vector_norm(tensor.grad.view(len(losses), -1), dim=1) ** 2
        scale = (clip / (squares.sqrt() + 1e-6)).clamp(max=1.0).tolist()
        for m, (views, group) in enumerate(zip(self._views, self._adam.param_groups, strict=True)):
            group["lr"] = learning_rates[m]
            for name, view in views.items():
                grad = self.parameters[name].grad
                view.grad = grad[m] if grad is not None else None
                if scale[m] < 1 and view.grad is not None:
                    view.grad.mul_(scale[m])
        self._adam.step()
        for tensor in self.parameters.values():
            tensor.grad = None

    def member_parameters(self, m: int) -> Parameters:
        """A copy of one member's parameters."""
        return {name: view.detach().clone() for name, view in self._views[m].items()}

    def member_state(self, m: int) -> MemberState:
        """All that one member's training goes on from."""
        adam = {name: dict(self._adam.state.get(view, {})) for name, view in self._views[m].items()}
        return {"parameters": self.member_parameters(m), "adam": {name: state for name, state in adam.items() if state}}

"""Steps of Adam for probes that train side by side.

`adam_step` has a learning rate for each column of a matrix, as structural probes need it. `amsgrad_step` is PyTorch's
fused kernel, which reads and writes each tensor once but has one learning rate for all tensors of a call; edge probes
make one call per probe. The two round differently, so neither can replace the other without changing results.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.optim.adam import adam

__all__ = ["MOMENTS", "adam_step", "amsgrad_step", "initial_moments"]

BETAS, EPS = (0.9, 0.999), 1e-8
MOMENTS = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step")
"""Names of the state of a parameter, as in `torch.optim.Adam`."""


def adam_step(
    weights: torch.Tensor,
    first: torch.Tensor,
    second: torch.Tensor,
    gradient: torch.Tensor,
    rates: torch.Tensor,
    step: int,
) -> None:
    """Make one step of Adam in place (Kingma and Ba, 2015, algorithm 1), with a learning rate for each column.

    `weights`, the moments `first` and `second`, and `gradient` have one shape; `rates` is broadcast to it. `step`
    counts from 1.
    """
    first.lerp_(gradient, 1 - BETAS[0])
    second.mul_(BETAS[1]).addcmul_(gradient, gradient, value=1 - BETAS[1])
    scale = (second / (1 - BETAS[1] ** step)).sqrt_().add_(EPS)
    weights.sub_(first / scale * (rates / (1 - BETAS[0] ** step)))


def initial_moments(parameter: torch.Tensor) -> dict[str, torch.Tensor]:
    """Return the state of a parameter before the first `amsgrad_step`."""
    moments = {name: torch.zeros_like(parameter) for name in MOMENTS[:3]}
    return moments | {"step": torch.zeros((), dtype=torch.float32, device=parameter.device)}


def amsgrad_step(
    parameters: Sequence[torch.Tensor],
    gradients: Sequence[torch.Tensor],
    moments: Sequence[dict[str, torch.Tensor]],
    learning_rate: float,
    divisor: torch.Tensor,
) -> None:
    """Make one step of AMSGrad in place, with gradients divided by `divisor` (to clip their norm)."""
    adam(
        list(parameters),
        list(gradients),
        *([state[name] for state in moments] for name in MOMENTS),
        fused=True,
        grad_scale=divisor,
        amsgrad=True,
        beta1=BETAS[0],
        beta2=BETAS[1],
        lr=learning_rate,
        weight_decay=0.0,
        eps=EPS,
        maximize=False,
    )

"""The optimiser of stacked parameters: each member is updated as if it were alone."""

from __future__ import annotations

import pytest
import torch

from pyrepsim.probing.edge.training import ParameterStack

CPU = torch.device("cpu")
RATES, SCALES, CLIP = (1e-2, 3e-3, 1e-3), (1.0, 30.0, 0.01), 2.0  # gradients that are clipped, and ones that are not


def starts():
    draw = torch.Generator().manual_seed(0)
    shapes = {"weight": (7, 5), "bias": (1, 5), "gamma": (), "unused": (3, 1)}
    return [{name: torch.randn(shape, generator=draw) for name, shape in shapes.items()} for _ in RATES]


def loss_of(parameters, step, scale):
    """Depends on all parameters but "unused"; works on one member and on a stack."""
    pull = torch.sin(torch.arange(7.0) + step)[:, None]
    own = (parameters["weight"] * pull).sum(-2, keepdim=True) + parameters["bias"]
    return scale * (own.pow(2).sum((-2, -1)) * parameters["gamma"])


def stack_of(members, states=None):
    given = [{"parameters": start, "adam": {}} for start in starts()] if states is None else states
    return ParameterStack([given[m] for m in members], CPU)


def train(stack, members, steps):
    for step in steps:
        found = loss_of(stack.parameters, step, torch.tensor([SCALES[m] for m in members]))
        stack.step(found, [RATES[m] for m in members], CLIP)


def reference(m, steps):
    """PyTorch's own AMSGrad on one member."""
    parameters = {name: tensor.clone().requires_grad_() for name, tensor in starts()[m].items()}
    optimizer = torch.optim.Adam(parameters.values(), lr=RATES[m], amsgrad=True)
    for step in steps:
        optimizer.zero_grad()
        loss_of(parameters, step, SCALES[m]).backward()
        torch.nn.utils.clip_grad_norm_(parameters.values(), CLIP)
        optimizer.step()
    return parameters


def test_a_member_s_update_equals_that_of_torch():
    stack = stack_of([0, 1, 2])
    train(stack, [0, 1, 2], range(6))
    for m in range(3):
        for name, due in reference(m, range(6)).items():
            torch.testing.assert_close(stack.member_parameters(m)[name], due.detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("m", [0, 1, 2])
def test_a_member_s_update_does_not_depend_on_the_others(m):
    together, alone = stack_of([0, 1, 2]), stack_of([m])
    train(together, [0, 1, 2], range(4))
    train(alone, [m], range(4))
    for name, tensor in together.member_parameters(m).items():
        assert torch.equal(tensor, alone.member_parameters(0)[name]), name


def test_a_member_continues_from_its_state_without_the_others():
    whole, part = stack_of([0, 1, 2]), stack_of([0, 1, 2])
    train(whole, [0, 1, 2], range(6))
    train(part, [0, 1, 2], range(3))
    kept = [part.member_state(m) for m in range(3)]
    train(stack_of([2, 0], kept), [2, 0], range(3))  # trains from copies: what was kept stays as it was
    going = stack_of([0, 2], kept)
    train(going, [0, 2], range(3, 6))
    for place, m in enumerate([0, 2]):
        for name, tensor in whole.member_parameters(m).items():
            assert torch.equal(going.member_parameters(place)[name], tensor), name

"""Joint training of edge probes: each batch is read once, and each probe has its own schedule and optimiser state."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...core.errors import NonFiniteError
from ...core.progress import progress_bar
from ..adam import amsgrad_step, initial_moments
from ..rows import RowSource
from .batches import Order, make_batch
from .evaluation import evaluate
from .network import Network, Parameters, Shape, initial_parameters, losses
from .recipe import EdgeProbeRecipe, Member
from .targets import Targets

__all__ = ["JointTraining", "ParameterStack", "Schedule", "Split"]

MemberState = dict[str, dict[str, Any]]
"""State of one member: "parameters" by name, and "adam", the moments of each (empty at the start)."""


@dataclass(frozen=True, eq=False)
class Split:
    """Targets, and the source that their rows are read from."""

    targets: Targets
    source: RowSource


@dataclass
class Schedule:
    """The learning rate of one member and the end of its training, which follow from its own validations.

    Attributes
    ----------
    learning_rate : the learning rate now.
    best, best_step : the best value so far (higher is better), and its step.
    reference : the value that the next one must exceed by the threshold.
    stale, stale_at_rate : validations since the last improvement; the same, counted from the last halving.
    validations : number of validations.
    why_done : why training has ended; empty while it continues.
    """

    learning_rate: float
    best: float = -math.inf
    best_step: int = 0
    reference: float = -math.inf
    stale: int = 0
    stale_at_rate: int = 0
    validations: int = 0
    why_done: str = ""

    def update(self, value: float, step: int, recipe: EdgeProbeRecipe) -> bool:
        """Record one validation; return whether it is the best so far, by any margin."""
        self.validations += 1
        is_best = value > self.best
        if is_best:
            self.best, self.best_step = value, step
        if value > self.reference + recipe.threshold:
            self.reference, self.stale, self.stale_at_rate = value, 0, 0
        else:
            self.stale += 1
            self.stale_at_rate += 1
        if self.stale_at_rate >= recipe.halve_after:
            self.learning_rate /= 2
            self.stale_at_rate = 0
        if self.stale >= recipe.stop_after:
            self.why_done = "no improvement"
        elif self.learning_rate < recipe.min_learning_rate:
            self.why_done = "learning rate"
        elif self.validations >= recipe.max_validations:
            self.why_done = "last validation"
        return is_best


class ParameterStack:
    """Parameters with a leading axis of members; each member has its own learning rate, gradient norm and Adam state.

    The optimiser steps views of single members, which share memory with the stack, so a member's update does not
    depend on the other members.
    """

    def __init__(self, states: Sequence[MemberState], device: torch.device) -> None:
        names = list(states[0]["parameters"])
        stacked = {name: torch.stack([state["parameters"][name] for state in states]) for name in names}
        self.parameters: Parameters = {name: tensor.to(device).requires_grad_() for name, tensor in stacked.items()}
        self._views = [
            {name: tensor.detach()[m] for name, tensor in self.parameters.items()} for m in range(len(states))
        ]
        self._adam = [
            {name: _moments(state["adam"].get(name), view) for name, view in views.items()}
            for views, state in zip(self._views, states, strict=True)
        ]

    def step(self, losses: torch.Tensor, learning_rates: Sequence[float], clip: float) -> None:
        """Update every member once, each by its own loss (members,)."""
        # No parameter is in two losses, so the gradient of the sum is the gradient of each member's own loss. If all
        # spans of a batch are one token, attention weights are in no loss: their gradient is zero, and Adam steps on.
        parameters = list(self.parameters.values())
        gradients = [g.contiguous() for g in torch.autograd.grad(losses.sum(), parameters, materialize_grads=True)]
        norms = [torch.linalg.vector_norm(gradient.view(len(losses), -1), dim=1) for gradient in gradients]
        divisors = ((torch.stack(norms).norm(dim=0) + 1e-6) / clip).clamp(min=1.0)
        by_member = zip(*(gradient.unbind() for gradient in gradients), strict=True)
        for m, (own, divisor) in enumerate(zip(by_member, divisors.unbind(), strict=True)):
            moments = list(self._adam[m].values())
            amsgrad_step(list(self._views[m].values()), own, moments, learning_rates[m], divisor)

    def member_parameters(self, m: int) -> Parameters:
        """Return a copy of one member's parameters."""
        return {name: view.clone() for name, view in self._views[m].items()}

    def member_state(self, m: int) -> MemberState:
        """Return the state that one member's training can be continued from."""
        return {
            "parameters": self.member_parameters(m),
            "adam": {name: dict(state) for name, state in self._adam[m].items()},
        }


def _moments(saved: dict[str, torch.Tensor] | None, view: torch.Tensor) -> dict[str, torch.Tensor]:
    if saved is None:
        return initial_moments(view)
    return {name: value.to(view.device).clone() for name, value in saved.items()}


class JointTraining:
    """Trains all members over the same batches.

    Initial weights and dropout of a member are drawn by a generator of its seed. So all probes of one seed start with
    the same weights and drop the same units, whichever layer they read, and a member that trains alone becomes the
    same as one that trains with others. The order of the sentences is the same for all seeds. `state` and `restore`
    carry a training over an interruption.
    """

    def __init__(
        self,
        members: Sequence[Member],
        train: Split,
        dev: Split,
        recipe: EdgeProbeRecipe,
        *,
        device: torch.device,
        order_seed: int = 0,
    ) -> None:
        self.members, self.recipe = tuple(members), recipe
        self._train, self._device = train, device
        self._dev = Split(dev.targets.first(recipe.dev_sentences), dev.source)
        self.shape = Shape(train.source.names, train.source.width, train.targets.n_spans, len(train.targets.labels))
        self._order = Order(train.targets.n_sentences, recipe.batch_size, order_seed)
        self._generators = {seed: torch.Generator().manual_seed(seed) for seed in {m.seed for m in members}}
        drawn = {seed: initial_parameters(self.shape, recipe, one) for seed, one in self._generators.items()}
        states: list[MemberState] = [{"parameters": drawn[member.seed], "adam": {}} for member in members]
        self.schedules = {member.key: Schedule(recipe.learning_rate) for member in members}
        self.best: dict[tuple[str, int], Parameters] = {m.key: drawn[m.seed] for m in members}
        self.history: list[dict[str, Any]] = []
        self.step = 0
        self._activate(self.members, states)

    def _activate(self, members: Sequence[Member], states: Sequence[MemberState]) -> None:
        """Continue the training with these members only."""
        self.active = tuple(members)
        if members:
            self._stack = ParameterStack(states, self._device)
            self._network = Network(members, self.shape, self.recipe, self._device)
        self._loss_sums = torch.zeros(len(members), dtype=torch.float64)

    def run(self, *, progress: bool | None, desc: str, after_validation: Callable[[], None] | None = None) -> None:
        """Train until every member is done."""
        recipe = self.recipe
        total = recipe.validate_every * recipe.max_validations
        with progress_bar(total, progress, desc=desc, unit=" steps") as bar:
            bar.update(self.step)
            while self.active and self.step < total:
                self._train_step()
                bar.update(1)
                if self.step % recipe.validate_every == 0:
                    bar.set_postfix_str(self._validate(), refresh=False)
                    if after_validation is not None:
                        after_validation()

    def _train_step(self) -> None:
        batch = make_batch(self._train.targets, self._order.sentences(self.step), self._train.source, self._device)
        logits = self._network.logits(self._stack.parameters, batch, self._dropout_masks(batch.n_targets))
        batch_losses = losses(logits, batch.y, self.recipe.loss)
        rates = [self.schedules[member.key].learning_rate for member in self.active]
        self._stack.step(batch_losses, rates, self.recipe.clip)
        self._loss_sums += batch_losses.detach().double().cpu()
        self.step += 1

    def _dropout_masks(self, n_targets: int) -> torch.Tensor | None:
        """Return masks (members, n_targets, hidden): 0 with the probability of dropout, otherwise 1 / (1 - dropout)."""
        rate = self.recipe.dropout
        if self.recipe.family != "mlp" or not rate:
            return None
        seeds = list(dict.fromkeys(member.seed for member in self.active))
        size = n_targets, self.recipe.hidden
        drawn = torch.stack([torch.rand(size, generator=self._generators[seed]) for seed in seeds])
        masks = (drawn >= rate).float().div_(1 - rate).to(self._device)
        if len(seeds) == 1:
            return masks.expand(len(self.active), -1, -1)
        return masks[[seeds.index(member.seed) for member in self.active]]

    def _validate(self) -> str:
        """Score the members, keep the best parameters, end members that are done; return all losses as one line."""
        recipe = self.recipe
        means = (self._loss_sums / recipe.validate_every).numpy()
        if not np.isfinite(means).all():
            member = self.active[int(np.argmin(np.isfinite(means)))]
            raise NonFiniteError(
                f"The loss of a probe must stay finite: that of {member.name} (seed {member.seed}) does not, before "
                f"step {self.step}. Lower learning_rate, or check the norms of this layer."
            )
        evaluation = evaluate(
            self._network, self._stack.parameters, self._dev.targets, self._dev.source, recipe, device=self._device
        )
        values = evaluation.f1() if recipe.monitor == "f1" else -evaluation.nats / max(evaluation.n_coded, 1)
        continuing = []
        for m, member in enumerate(self.active):
            schedule = self.schedules[member.key]
            if schedule.update(float(values[m]), self.step, recipe):
                self.best[member.key] = self._stack.member_parameters(m)
            entry = {"step": self.step, "member": member.name, "seed": member.seed, "loss": float(means[m])}
            self.history.append(entry | {"dev": float(values[m]), "learning_rate": schedule.learning_rate})
            if not schedule.why_done:
                continuing.append(m)
        line = " ".join(f"{mean:.3f}".lstrip("0") for mean in means)
        if len(continuing) < len(self.active):
            states = [self._stack.member_state(m) for m in continuing]
            self._activate([self.active[m] for m in continuing], states)
        self._loss_sums.zero_()
        return f"losses {line}"

    def state(self) -> dict[str, Any]:
        """Return the state that training can be continued from, as tensors and plain values."""
        return {
            "step": self.step,
            "active": [list(member.key) for member in self.active],
            "members": [self._stack.member_state(m) for m in range(len(self.active))],
            "best": [self.best[member.key] for member in self.members],
            "schedules": [dict(vars(self.schedules[member.key])) for member in self.members],
            "generators": {seed: generator.get_state() for seed, generator in self._generators.items()},
            "history": self.history,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a `state` of the same members, recipe and data."""
        self.step, self.history = state["step"], list(state["history"])
        for member, best, schedule in zip(self.members, state["best"], state["schedules"], strict=True):
            self.best[member.key], self.schedules[member.key] = best, Schedule(**schedule)
        for seed, generator in self._generators.items():
            generator.set_state(state["generators"][seed])
        active = {tuple(key) for key in state["active"]}
        self._activate([member for member in self.members if member.key in active], state["members"])

    def final(self) -> tuple[Network, Parameters]:
        """Return all members with their best parameters."""
        network = Network(self.members, self.shape, self.recipe, self._device)
        best = [self.best[member.key] for member in self.members]
        return network, {name: torch.stack([one[name].to(self._device) for one in best]) for name in best[0]}

"""Joint training: one read of each batch, one product for all members, one schedule for each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...core.errors import NonFiniteError
from ...core.progress import progress_bar
from .batches import Order, make_batch
from .evaluation import evaluate
from .members import Member
from .network import Network, Parameters, Shape, initial_parameters, losses
from .recipe import Recipe
from .rows import RowSource
from .schedule import Schedule
from .stack import MemberState, Stack
from .targets import Targets


@dataclass(frozen=True, eq=False)
class Split:
    """Targets, and where their rows are read."""

    targets: Targets
    source: RowSource


class JointTraining:
    """Trains all members over the same batches.

    A member draws its initial weights and its dropout from a generator of its seed: probes of one seed start alike
    and drop alike, whichever layer they read, and training a member alone gives what training it beside others gives.
    The order of the sentences is the same for all seeds. `state` and `restore` carry a training over an interruption.
    """

    def __init__(
        self,
        members: Sequence[Member],
        train: Split,
        dev: Split,
        recipe: Recipe,
        *,
        device: torch.device,
        order_seed: int = 0,
    ) -> None:
        self.members, self.recipe = tuple(members), recipe
        self._train, self._device = train, device
        self._dev = Split(dev.targets.first(recipe.dev_sentences), dev.source)
        self.shape = Shape(train.source.names, train.source.width, train.targets.n_spans, len(train.targets.labels))
        self._order = Order(train.targets.n_sentences, recipe.batch, order_seed)
        self._generators = {seed: torch.Generator().manual_seed(seed) for seed in {m.seed for m in members}}
        drawn = {seed: initial_parameters(self.shape, recipe, one) for seed, one in self._generators.items()}
        states: list[MemberState] = [{"parameters": drawn[member.seed], "adam": {}} for member in members]
        self.schedules = {member.key: Schedule(recipe.learning_rate) for member in members}
        self.best: dict[tuple[str, int], Parameters] = {m.key: drawn[m.seed] for m in members}
        self.history: list[dict[str, Any]] = []
        self.step = 0
        self._stand(self.members, states)

    def _stand(self, members: Sequence[Member], states: Sequence[MemberState]) -> None:
        """Make these the members in training."""
        self.active = tuple(members)
        if members:
            self._stack = Stack(states, self._device)
            self._network = Network(members, self.shape, self.recipe, self._device)
        self._running = torch.zeros(len(members), dtype=torch.float64)

    def run(self, *, progress: bool | None, desc: str, saved: Callable[[], None] | None = None) -> None:
        """Train until every member is done; `saved` is called after each validation."""
        recipe = self.recipe
        total = recipe.validate_every * recipe.max_validations
        with progress_bar(total, progress, desc=desc, unit=" steps") as bar:
            bar.update(self.step)
            while self.active and self.step < total:
                self._learn()
                bar.update(1)
                if self.step % recipe.validate_every == 0:
                    bar.set_postfix_str(self._validate(), refresh=False)
                    if saved is not None:
                        saved()

    def _learn(self) -> None:
        batch = make_batch(self._train.targets, self._order.sentences(self.step), self._train.source, self._device)
        logits = self._network.logits(self._stack.parameters, batch, self._masks(batch.n_targets))
        found = losses(logits, batch.y, self.recipe.loss)
        rates = [self.schedules[member.key].learning_rate for member in self.active]
        self._stack.step(found, rates, self.recipe.clip)
        self._running += found.detach().double().cpu()
        self.step += 1

    def _masks(self, n_targets: int) -> torch.Tensor | None:
        """(members, n_targets, hidden): 0 with the probability of dropout, else 1 / (1 - dropout)."""
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
        """Score the members, keep the best, let those go that are done; says all losses in one line."""
        recipe = self.recipe
        means = (self._running / recipe.validate_every).numpy()
        if not np.isfinite(means).all():
            member = self.active[int(np.argmin(np.isfinite(means)))]
            raise NonFiniteError(
                f"The loss of a probe must stay finite: that of {member.name} (seed {member.seed}) does not, before "
                f"step {self.step}. Lower learning_rate, or look at the norms of this layer."
            )
        found = evaluate(
            self._network, self._stack.parameters, self._dev.targets, self._dev.source, recipe, device=self._device
        )
        values = found.f1() if recipe.monitor == "f1" else -found.nats / max(found.n_coded, 1)
        going = []
        for m, member in enumerate(self.active):
            schedule = self.schedules[member.key]
            if schedule.update(float(values[m]), self.step, recipe):
                self.best[member.key] = self._stack.member_parameters(m)
            row = {"step": self.step, "member": member.name, "seed": member.seed, "loss": float(means[m])}
            self.history.append(row | {"dev": float(values[m]), "learning_rate": schedule.learning_rate})
            if not schedule.why_done:
                going.append(m)
        line = " ".join(f"{mean:.3f}".lstrip("0") for mean in means)
        if len(going) < len(self.active):
            self._stand([self.active[m] for m in going], [self._stack.member_state(m) for m in going])
        self._running.zero_()
        return f"losses {line}"

    def state(self) -> dict[str, Any]:
        """All that training goes on from, as tensors and plain values."""
        return {
            "step": self.step,
            "active": [list(member.key) for member in self.active],
            "members": [self._stack.member_state(m) for m in range(len(self.active))],
            "best": [self.best[member.key] for member in self.members],
            "schedules": [self.schedules[member.key].record() for member in self.members],
            "generators": {seed: generator.get_state() for seed, generator in self._generators.items()},
            "history": self.history,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a `state` of the same members, recipe and data."""
        self.step, self.history = state["step"], list(state["history"])
        for member, best, schedule in zip(self.members, state["best"], state["schedules"], strict=True):
            self.best[member.key], self.schedules[member.key] = best, Schedule(**schedule)
        for seed, generator in self._generators.items():
            generator.set_state(state["generators"][seed])
        active = {tuple(key) for key in state["active"]}
        self._stand([member for member in self.members if member.key in active], state["members"])

    def final(self) -> tuple[Network, Parameters]:
        """All members with their best parameters."""
        network = Network(self.members, self.shape, self.recipe, self._device)
        best = [self.best[member.key] for member in self.members]
        return network, {name: torch.stack([one[name].to(self._device) for one in best]) for name in best[0]}

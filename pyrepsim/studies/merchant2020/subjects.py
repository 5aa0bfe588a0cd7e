"""Whose representations: the encoder before tuning and after, random weights, an unrelated encoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from .plan import Needed, Plan

if TYPE_CHECKING:
    from ...models import Encoder

__all__ = ["BASE", "RANDOM", "UNRELATED", "Subject", "floors", "run_cell", "tuned"]

_RANDOM_SEED = 0


@dataclass(frozen=True)
class Subject:
    """A model of the study; `variant`, `task` and `seed` as in the rows."""

    variant: str
    task: str | None = None
    seed: int | None = None

    @property
    def label(self) -> str:
        """Its part of a cell's name."""
        return self.variant if self.task is None else f"{self.task}-seed{self.seed}"

    @property
    def needs(self) -> tuple[str, ...]:
        return () if self.task is None else (run_cell(self.task, self.seed),)

    def request(self, plan: Plan) -> dict[str, Any]:
        """What decides its weights; a tuned model's are decided by the cell that it needs."""
        return {"variant": self.variant, "model": plan.other if self.variant == "unrelated" else plan.identity}

    def location(self, plan: Plan, needed: Needed) -> str:
        """Folder or hub id; for random weights that of the encoder they are drawn for."""
        if self.task is not None:
            return str(needed[run_cell(self.task, self.seed)] / "run")
        return str(plan.unrelated) if self.variant == "unrelated" else plan.model

    def encoder(self, plan: Plan, needed: Needed) -> Encoder:
        """It, loaded."""
        from ...models import load_encoder, wrap_encoder
        from ...models.layer_changes import reinitialise_all

        encoder = load_encoder(self.location(plan, needed), device=plan.device)
        if self.variant != "random":
            return encoder
        reinitialise_all(encoder.module, seed=_RANDOM_SEED)
        return wrap_encoder(encoder.module, encoder.tokenizer, name=f"{encoder.name} (random weights)")

    def columns(self) -> dict[str, Any]:
        return {"variant": self.variant, "task": self.task, "seed": self.seed}


BASE, RANDOM, UNRELATED = Subject("base"), Subject("random"), Subject("unrelated")


def tuned(plan: Plan, task: str, seeds: tuple[int, ...] | None = None) -> list[Subject]:
    """The models tuned on a task, one a seed."""
    return [Subject("tuned", task, seed) for seed in (plan.scale.seeds if seeds is None else seeds)]


def floors(plan: Plan) -> list[Subject]:
    """What a model that kept nothing would look like."""
    return [RANDOM] if plan.unrelated is None else [RANDOM, UNRELATED]


def run_cell(task: str, seed: int | None) -> str:
    """The cell whose folder holds the fine-tuned model, as ``run``."""
    return f"finetuning/{task}-seed{seed}"

"""How a model is fine-tuned: every number of the optimiser and its schedule."""

# Types stand here as they are, not as strings: a string would be looked up in the module of the command that inherits.
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, Self

from ...core.errors import OptionError

__all__ = ["TrainingRecipe", "shipped_recipe"]


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """AdamW with linear warm-up and decay, as BERT is fine-tuned (Devlin et al. 2019, appendix A.3).

    `TrainingRecipe.for_task("squad")` begins from the numbers shipped for that task (``pyrepsim/finetuning/recipes``).
    """

    epochs: float = 3.0
    """Passes over the training data."""
    batch_size: int = 32
    """Sequences an update, over all devices and accumulated steps together."""
    learning_rate: float = 2e-5
    """Peak rate of the encoder."""
    head_learning_rate: float | None = None
    """Peak rate of the head; by default the encoder's."""
    weight_decay: float = 0.01
    """Decay of matrices; normalisation and biases have none."""
    warmup: float = 0.1
    """Share of the updates in which the rates rise from zero; then they fall linearly to zero."""
    clip: float = 1.0
    """Largest norm of the gradient of all weights."""
    max_length: int = 128
    """Longest sequence in tokens, special ones included."""
    accumulation: int = 1
    """Parts that each batch is run in, one after the other, where memory is short."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Precision of products; weights stay float32. auto: bf16 on a GPU that has it, otherwise fp32."""
    seed: int = 0
    """Seed of the head, the dropout and the order of the data."""
    evaluate_every: int | None = None
    """Updates between scores on the dev data; by default each epoch."""
    save_every: int | None = None
    """Updates between points to resume from; by default each epoch."""
    checkpoints: tuple[int, ...] = ()
    """Updates after which the encoder is kept, for `extract`: the trajectory of its representations."""

    def __post_init__(self) -> None:
        positive = ("epochs", "batch_size", "learning_rate", "clip", "max_length", "accumulation")
        optional = ("head_learning_rate", "evaluate_every", "save_every")
        for name in (*positive, *(name for name in optional if getattr(self, name) is not None)):
            if not getattr(self, name) > 0:
                raise OptionError(f"{name} must be positive: got {getattr(self, name)!r}.")
        if not 0 <= self.warmup < 1:
            raise OptionError(f"warmup is a share of the updates, from 0 to below 1: got {self.warmup!r}.")
        if self.weight_decay < 0:
            raise OptionError(f"weight_decay must not be negative: got {self.weight_decay!r}.")
        if any(step < 0 for step in self.checkpoints):
            raise OptionError(f"checkpoints are numbers of updates from 0: got {self.checkpoints}.")
        if self.batch_size % self.accumulation:
            raise OptionError(
                f"A batch is run in equal parts: batch_size {self.batch_size} is no multiple of accumulation "
                f"{self.accumulation}. Change one of them."
            )
        object.__setattr__(self, "checkpoints", tuple(sorted(self.checkpoints)))

    @classmethod
    def for_task(cls, name: str, **changes: Any) -> Self:
        """The recipe shipped for a task, or the general one, with these changes."""
        shipped = shipped_recipe(name)
        if shipped is None:
            return cls(**changes)
        import yaml

        return replace(cls(**yaml.safe_load(shipped.read_text(encoding="utf-8"))), **changes)

    def record(self) -> dict[str, Any]:
        """Every number, as JSON takes it."""
        return {field.name: getattr(self, field.name) for field in fields(TrainingRecipe)} | {
            "checkpoints": list(self.checkpoints)
        }


def shipped_recipe(task: str) -> Path | None:
    """The YAML file shipped for a task, whose options are left aside: ``"squad(doc_stride=64)"`` is squad."""
    path = Path(__file__).with_name(f"{task.partition('(')[0].strip()}.yaml")
    return path if path.is_file() else None

"""Training recipes: all hyperparameters of a fine-tuning."""

# Annotations are types, not strings: a subclass in another module could not look the strings up.
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal, Self

from ...core.errors import OptionError

__all__ = ["TrainingRecipe", "shipped_recipe"]


@dataclass(frozen=True, kw_only=True)
class TrainingRecipe:
    """Hyperparameters of AdamW with linear warm-up and decay, as BERT is fine-tuned (Devlin et al. 2019, appendix A.3).

    `TrainingRecipe.for_task("squad")` returns the recipe shipped for that task (``pyrepsim/finetuning/recipes``).

    Parameters
    ----------
    epochs : float, default 3
        Passes over the training data.
    batch_size : int, default 32
        Sequences per update, over all devices and accumulated steps together.
    learning_rate : float, default 2e-5
        Highest learning rate of the encoder.
    head_learning_rate : float, optional
        Highest learning rate of the head. Default: the encoder's.
    weight_decay : float, default 0.01
        Decay of weight matrices; biases and normalisation weights have none.
    warmup : float, default 0.1
        Fraction of the updates during which the rates rise from zero. Afterwards they fall linearly to zero.
    clip : float, default 1.0
        Largest norm of the gradient of all weights.
    max_length : int, default 128
        Longest sequence in tokens, special tokens included.
    accumulation : int, default 1
        Number of parts that a batch is processed in, to save memory.
    precision : {"auto", "fp32", "bf16", "fp16"}, default "auto"
        Precision of matrix products. Weights stay float32.
    seed : int, default 0
        Seed of the head, the dropout and the order of the data.
    evaluate_every, save_every : int, optional
        Updates between scores on the dev data, and between checkpoints to resume from. Default: every epoch.
    checkpoints : tuple of int
        Updates after which the encoder is saved.

    Raises
    ------
    OptionError
        If a value is outside its domain.

    Examples
    --------
    >>> import pyrepsim as rs
    >>> recipe = rs.TrainingRecipe.for_task("squad", seed=1)
    >>> recipe.epochs, recipe.batch_size, recipe.learning_rate, recipe.seed
    (2, 12, 3e-05, 1)
    """

    epochs: float = 3.0
    """Passes over the training data."""
    batch_size: int = 32
    """Sequences per update, over all devices and accumulated steps together."""
    learning_rate: float = 2e-5
    """Highest learning rate of the encoder."""
    head_learning_rate: float | None = None
    """Highest learning rate of the head; by default the encoder's."""
    weight_decay: float = 0.01
    """Decay of weight matrices; biases and normalisation weights have none."""
    warmup: float = 0.1
    """Fraction of the updates in which the rates rise from zero; then they fall linearly to zero."""
    clip: float = 1.0
    """Largest norm of the gradient of all weights."""
    max_length: int = 128
    """Longest sequence in tokens, special tokens included."""
    accumulation: int = 1
    """Number of parts that a batch is processed in, to save memory."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """Precision of matrix products; weights stay float32. auto: bf16 on a GPU that supports it, otherwise fp32."""
    seed: int = 0
    """Seed of the head, the dropout and the order of the data."""
    evaluate_every: int | None = None
    """Updates between scores on the dev data; by default every epoch."""
    save_every: int | None = None
    """Updates between checkpoints to resume from; by default every epoch."""
    checkpoints: tuple[int, ...] = ()
    """Updates after which the encoder is saved, to compare representations during training."""

    def __post_init__(self) -> None:
        positive = ("epochs", "batch_size", "learning_rate", "clip", "max_length", "accumulation")
        optional = ("head_learning_rate", "evaluate_every", "save_every")
        for name in (*positive, *(name for name in optional if getattr(self, name) is not None)):
            if not getattr(self, name) > 0:
                raise OptionError(f"{name} must be positive: got {getattr(self, name)!r}.")
        if not 0 <= self.warmup < 1:
            raise OptionError(f"warmup must be a fraction of the updates, from 0 to below 1: got {self.warmup!r}.")
        if self.weight_decay < 0:
            raise OptionError(f"weight_decay must not be negative: got {self.weight_decay!r}.")
        if any(step < 0 for step in self.checkpoints):
            raise OptionError(f"checkpoints must be numbers of updates, 0 or more: got {self.checkpoints}.")
        if self.batch_size % self.accumulation:
            raise OptionError(
                f"batch_size must be a multiple of accumulation: {self.batch_size} is no multiple of "
                f"{self.accumulation}. Change one of them."
            )
        object.__setattr__(self, "checkpoints", tuple(sorted(self.checkpoints)))

    @classmethod
    def for_task(cls, name: str, **changes: Any) -> Self:
        """Return the recipe shipped for a task, or the defaults if there is none, with these changes.

        Parameters
        ----------
        name : str
            Name of the task; its options, as in ``"squad(doc_stride=64)"``, do not matter.
        **changes
            Fields to change.
        """
        shipped = shipped_recipe(name)
        if shipped is None:
            return cls(**changes)
        import yaml

        return replace(cls(**yaml.safe_load(shipped.read_text(encoding="utf-8"))), **changes)

    def record(self) -> dict[str, Any]:
        """Return all hyperparameters as JSON."""
        return {field.name: getattr(self, field.name) for field in fields(TrainingRecipe)} | {
            "checkpoints": list(self.checkpoints)
        }


def shipped_recipe(task: str) -> Path | None:
    """Return the YAML file shipped for a task, or None. The task's options are ignored.

    Examples
    --------
    >>> from pyrepsim.finetuning.recipes import shipped_recipe
    >>> shipped_recipe("squad(doc_stride=64)").name
    'squad.yaml'
    """
    shipped = {path.stem: path for path in Path(__file__).parent.glob("*.yaml")}
    return shipped.get(str(task).partition("(")[0].strip(" "))

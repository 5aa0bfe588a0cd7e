"""The verbs that train. A frozen dataclass each, as in `commands`."""

# Types stand here as they are, not as strings: the fields of a recipe come from another module.
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..recipes import Recipe, shipped_recipe
from .options import model_folder
from .transcript import Transcript

__all__ = ["Finetune"]


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(Recipe):
    """What `finetune` and `ablate` share: data, device and recipe. Defaults are those shipped for the task."""

    train: str | None = None
    """Training data: a file in the task's format or hub:owner/name[:config[:split]]; by default what the task names."""
    dev: str | None = None
    """Data for the learning curve and the score; by default what the task names."""
    test: str | None = None
    """Data to score once, at the end."""
    device: str = "auto"
    """auto, cpu or cuda:0. For several, start this command under torchrun."""

    @classmethod
    def shipped_config(cls, words: Sequence[str]) -> list[str]:
        """The recipe of the task that the first word names, as if it had been given by --config before all else."""
        shipped = shipped_recipe(words[0]) if words else None
        return [] if shipped is None else [f"--config={shipped}"]

    def recipe(self, say: Transcript) -> Any:
        return say("recipe", "Recipe", **{field.name: getattr(self, field.name) for field in fields(Recipe)})

    def data(self) -> dict[str, str | None]:
        return {name: getattr(self, name) for name in ("train", "dev", "test")}


@dataclass(frozen=True)
class Finetune(TrainingOptions):
    """Fine-tune an encoder on a task. Run it again to go on after a stop."""

    task: str
    """mnli, squad, dependency, ...: a name, or one with options, as in "squad(doc_stride=64)". It comes first."""
    model: str
    """The encoder to begin from: hub id, id@revision, or folder."""
    out: str | None = None
    """Folder of the run; by default runs/, task, model and seed, as in runs/mnli/bert-base-uncased-seed0."""
    overwrite: bool = False
    """Remove what is in --out first."""

    def run(self, say: Transcript) -> int:
        task = self.task.partition("(")[0].strip()
        out = self.out or str(Path("runs", task, f"{model_folder(self.model)}-seed{self.seed}"))
        how = {"recipe": self.recipe(say), "device": self.device, "overwrite": self.overwrite}
        run = say("run", "finetune", self.model, self.task, out=out, **self.data(), **how)
        for data, scores in run.scores.items():
            print(f"{data:<5}" + "".join(f"  {name} {value:.2f}" for name, value in scores.items()))
        print(run.folder)
        return 0

"""The commands that train. One frozen dataclass each, as in `commands`."""

# Annotations are types, not strings: the fields of a recipe come from another module.
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from ..core.errors import OptionError
from ..finetuning.recipes import Ablation, TrainingRecipe, shipped_recipe
from .options import announce_dry_run, check_disk_space, model_folder
from .transcript import Transcript, is_main_process

__all__ = ["Ablate", "Finetune"]


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(TrainingRecipe):
    """Options that `finetune` and `ablate` share: data, device and recipe. Defaults are those of the task's recipe."""

    train: str | None = None
    """Training data: a file in the task's format or hub:owner/name[:config[:split]]; by default what the task names."""
    dev: str | None = None
    """Data for the learning curve and the score; by default what the task names."""
    test: str | None = None
    """Data to score once, at the end."""
    device: str = "auto"
    """auto, cpu or cuda:0. For several, start this command under torchrun."""
    wait: float | None = None
    """Seconds to wait for another process that writes to --out; by default it is refused at once."""

    @classmethod
    def default_config(cls, words: Sequence[str]) -> list[str]:
        """The recipe of the task that these words name, as a first --config."""
        shipped = shipped_recipe(cls.task_named(words))
        return [] if shipped is None else [f"--config={shipped}"]

    @staticmethod
    def task_named(words: Sequence[str]) -> str:
        """The task: the first word that names one."""
        return next(filter(shipped_recipe, words), "")

    def recipe(self, call: Transcript) -> Any:
        return call(
            "recipe", "TrainingRecipe", **{field.name: getattr(self, field.name) for field in fields(TrainingRecipe)}
        )

    def data(self) -> dict[str, str | None]:
        return {name: getattr(self, name) for name in ("train", "dev", "test")}


@dataclass(frozen=True)
class Finetune(TrainingOptions, Ablation):
    """Fine-tune an encoder on a task. Run it again to resume.

    The defaults below are those of a task without a recipe; the recipe of the task replaces them.
    """

    model: str
    """The encoder to start from: hub id, id@revision, or folder."""
    task: str
    """mnli, squad, dependency, ...: a name, or a name with options, such as "squad(doc_stride=64)"."""
    out: str | None = None
    """Folder of the run; by default runs/, task, model and seed, as in runs/mnli/bert-base-uncased-seed0."""
    overwrite: bool = False
    """Replace the run that is in --out. Other files are never removed."""
    dry_run: bool = False
    """Only print the number of sequences, tokens and updates, the estimated time, and the free disk space."""

    def run(self, call: Transcript) -> int:
        task = self.task.partition("(")[0].strip()
        out = self.out or str(Path("runs", task, f"{model_folder(self.model)}-seed{self.seed}"))
        options = {"recipe": self.recipe(call), "device": self.device}
        ablation = {field.name: getattr(self, field.name) for field in fields(Ablation)}
        if ablation != asdict(Ablation()):
            options["ablation"] = call("ablation", "Ablation", **ablation)
        if self.dry_run:
            announce_dry_run("reads the data, loads the model and times one update")
            _show_plan(call("plan", "plan_finetuning", self.model, self.task, **self.data(), **options), Path(out))
            return 0
        options |= {"overwrite": self.overwrite, "wait": self.wait}
        run = call("run", "finetune", self.model, self.task, out=out, **self.data(), **options)
        if not is_main_process():
            return 0
        for data, scores in run.scores.items():
            print(f"{data:<5}" + "".join(f"  {name} {value:.4f}" for name, value in scores.items()))
        print(run.folder)
        return 0


def _show_plan(plan: Any, out: Path) -> None:
    print(f"{plan.n_examples:,} examples, {plan.n_sequences:,} sequences")
    print(f"{plan.n_tokens:,} tokens and {plan.n_padded:,} of padding an epoch")
    print(f"{plan.n_updates:,} updates of {plan.n_weights:,} weights")
    print(f"about {plan.estimated_seconds:.0f} s on this machine")
    check_disk_space(plan.n_bytes, out)


@dataclass(frozen=True)
class Ablate(TrainingOptions):
    """Freeze, remove, re-initialise or revert k layers for several k, and score each. Run it again to resume."""

    kind: Literal["freeze", "layers", "reinit-top", "reinit-bottom", "head", "exit", "revert"]
    """What is done to the layers. exit and revert do not train."""
    model: str
    """The encoder to start from; for exit and revert a finished run, or several separated by commas."""
    task: str | None = None
    """The task, as for finetune; exit and revert take it from the run."""
    values: list[int] | None = None
    """Numbers of layers (revert: which layer), such as [0,4,8]; by default all."""
    seeds: list[int] | None = None
    """Seeds to train with, such as [0,1,2]; by default the recipe's."""
    out: str | None = None
    """Folder for the runs, the table and the figure; by default runs/<task>/ablate-<kind>."""

    @staticmethod
    def task_named(words: Sequence[str]) -> str:
        """The word after --task."""
        spelled = [part for word in words for part in word.split("=", 1)]
        return dict(pairwise(spelled)).get("--task", "")

    def run(self, call: Transcript) -> int:
        options: dict[str, Any] = {"values": self.values, "device": self.device, "wait": self.wait}
        if self.kind in ("exit", "revert"):
            model: Any = self.model.split(",") if "," in self.model else self.model
            options |= {"dev": self.dev}
            out = self.out or str(Path(self.model.split(",")[0]).parent / f"ablate-{self.kind}")
        else:
            if self.task is None:
                raise OptionError(f"{self.kind} fine-tunes and needs a task: give one, such as --task mnli.")
            model = self.model
            options |= {"seeds": self.seeds, "recipe": self.recipe(call), **self.data()}
            out = self.out or str(Path("runs", self.task.partition("(")[0].strip(), f"ablate-{self.kind}"))
        sweep = call("sweep", "ablate", self.kind, model, self.task, out=out, **options)
        if is_main_process():
            print(sweep.table())
            print(Path(out, f"{self.kind}.svg"))
        return 1 if sweep.failures else 0

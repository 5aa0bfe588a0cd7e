"""`pyrepsim study`: whole studies, resumed and shared between workers by their folder. As in `commands`."""

# Types stand here as they are, not as strings: fields are inherited.
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import MissingExtraError, OptionError
from .options import check_room, model_folder
from .transcript import Transcript

__all__ = ["Merchant2020", "Report", "Status", "Trajectories"]

_FORMATS = "svg,png,csv,tex"


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """What all studies share."""

    out: str | None = None
    """Folder of the study; by default studies/, its name, the scale, and the last two parts of the model's name."""
    only: str | None = None
    """Experiments with commas between; by default all. What they need is run too."""
    worker: str | None = None
    """i/n, counted from 0: one of n processes that share --out; by default torchrun's or SLURM's. Each takes whatever
    is ready and free, so that any may die or come late."""
    device: str = "auto"
    """auto, cpu or cuda:0."""
    dry_run: bool = False
    """Only list the cells, with their state, time and disk."""

    def go(self, call: Transcript, study: Any, out: str) -> int:
        """Plan the study, or run it and write its report; exit status 1 if a cell failed."""
        how: dict[str, Any] = {"out": out}
        if self.only is not None:
            how["only"] = [name.strip() for name in self.only.split(",") if name.strip()]
        if self.dry_run:
            plan = call("plan", "studies.plan_study", study, **how)
            print(plan.table())
            check_room(plan.n_bytes, Path(out))
            return 0
        result = call("result", "studies.run_study", study, **how, worker=self.worker)
        print(call("status", "studies.study_status", out).table())
        for claim in result.claims():
            print(f"{claim['claim']}  {claim['verdict']}: {claim['why']}")
        try:
            print(call("report", "studies.study_report", out).page)
        except MissingExtraError as error:  # the results are there all the same
            print(f"no report: {error}", file=sys.stderr)
        return 0 if result.complete else 1


@dataclass(frozen=True, kw_only=True)
class Merchant2020(StudyOptions):
    """All of Merchant et al. (2020) on one encoder: tuning, probes, similarity, ablations, and what its claims are
    worth. Run it again to go on after a stop.
    """

    model: str | None = None
    """The encoder: hub id, id@revision, or folder; by default the scale's."""
    scale: str = "smoke"
    """smoke (minutes, generated data), small (hours, --data), paper (hub data, a GPU), or a YAML file of your own."""
    data: str | None = None
    """Folder below which the files that the scale names are: pyrepsim/studies/README.md says how they lie."""

    unrelated: str | None = None
    """Another encoder with the same tokenizer, a floor for similarity; by default the scale's."""

    def run(self, call: Transcript) -> int:
        how = {"data_folder": self.data, "unrelated": self.unrelated, "device": self.device}
        study = call("study", "studies.merchant2020.merchant2020", self.model, self.scale, **how)
        name = f"{Path(self.scale).stem}-{model_folder(study.settings['model'])}"
        return self.go(call, study, self.out or str(Path("studies", f"merchant2020-{name}")))


@dataclass(frozen=True, kw_only=True)
class Trajectories(StudyOptions):
    """When each layer moves: checkpoints of fine-tunings against the base and the final model (Hao et al. 2020)."""

    model: str | None = None
    """The encoder: hub id, id@revision, or folder; by default the scale's."""
    scale: str = "smoke"
    """A scale of merchant2020: its tasks, data and seeds, and the texts on which it compares attention."""
    data: str | None = None
    """Folder below which the files that the scale names are."""
    steps: str | None = None
    """Updates after which to look, with commas between; by default 1, 2, 4, 8, ..."""

    def run(self, call: Transcript) -> int:
        how: dict[str, Any] = {"data_folder": self.data, "device": self.device}
        if self.steps is not None:
            how["steps"] = _numbers(self.steps)
        study = call("study", "studies.trajectories.trajectories", self.model, self.scale, **how)
        name = f"{Path(self.scale).stem}-{model_folder(study.settings['model'])}"
        return self.go(call, study, self.out or str(Path("studies", f"trajectories-{name}")))


def _numbers(words: str) -> list[int]:
    try:
        return [int(word) for word in words.split(",")]
    except ValueError:
        raise OptionError(f"steps are whole numbers with commas between, as in 1,10,100: got {words!r}.") from None


@dataclass(frozen=True)
class Status:
    """Say how far a study is: cells done, running, stopped, failed and left."""

    out: str
    """Folder of the study."""

    def run(self, call: Transcript) -> int:
        print(call("status", "studies.study_status", self.out).table())
        return 0


@dataclass(frozen=True)
class Report:
    """Draw a study's report anew from its result files: one page, every figure, every table. Computes nothing."""

    out: str
    """The study's folder, as given to `pyrepsim study ... --out`."""
    formats: list[str] | str = _FORMATS
    """With commas between, of svg, png, csv, tex (LaTeX with booktabs) and parquet."""
    title: str | None = None
    """The page's heading; by default it names the model."""

    def run(self, call: Transcript) -> int:
        listed = self.formats.split(",") if isinstance(self.formats, str) else self.formats
        formats = tuple(name.strip() for name in listed if name.strip())
        made = call("report", "studies.study_report", self.out, formats=formats, title=self.title)
        print(made.page)
        print(f"{len(made.files)} files of figures and tables beside it")
        if made.missing:
            print(f"not in these results: {', '.join(made.missing)}")
        return 0

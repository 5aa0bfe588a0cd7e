"""`pyrepsim study` and `pyrepsim report`: run a study, draw its report. One frozen dataclass each."""

# Annotations are types, not strings: fields are inherited.
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import MissingExtraError, OptionError
from ..core.text import printable
from .options import announce_dry_run, check_disk_space, model_folder
from .transcript import Transcript

__all__ = ["Merchant2020", "Report", "Status", "Trajectories"]

_FORMATS = "svg,png,csv,tex"
_REPORT_SECONDS = 600
"""How long a worker waits for another one to write its report."""


@dataclass(frozen=True, kw_only=True)
class StudyOptions:
    """Options of every study."""

    out: str | None = None
    """Folder of the study; by default studies/, its name, the scale, and the last two parts of the model's name."""
    only: str | None = None
    """Experiments separated by commas; by default all. The experiments that they need run too."""
    worker: str | None = None
    """i/n, counted from 0: one of n processes that share --out; by default torchrun's or SLURM's. Each takes the next
    cell that is ready, so that any of them may stop or start late."""
    device: str = "auto"
    """auto, cpu or cuda:0."""
    wait: float | None = None
    """Seconds to wait for another process that writes to --out; by default it is refused at once."""
    dry_run: bool = False
    """Only list the cells with their state, estimated time and disk space."""

    def go(self, call: Transcript, study: Any, out: str) -> int:
        """Plan the study, or run it and write its report; exit status 1 if a cell failed."""
        options: dict[str, Any] = {"out": out}
        if self.only is not None:
            options["only"] = [name.strip() for name in self.only.split(",") if name.strip()]
        if self.dry_run:
            announce_dry_run("looks up which cells are finished, and estimates the others")
            plan = call("plan", "studies.plan_study", study, **options)
            print(plan.table())
            check_disk_space(plan.n_bytes, Path(out))
            return 0
        result = call("result", "studies.run_study", study, **options, worker=self.worker, wait=self.wait)
        print(call("status", "studies.study_status", out).table())
        for claim in result.claims():
            print(printable(f"{claim['claim']}  {claim['verdict']}: {claim['why']}"))
        try:
            print(call("report", "studies.study_report", out, wait=_REPORT_SECONDS).page)
        except MissingExtraError as error:  # the results were written before
            print(f"no report: {error}", file=sys.stderr)
        return 0 if result.complete else 1


@dataclass(frozen=True, kw_only=True)
class Merchant2020(StudyOptions):
    """Run the study of Merchant et al. (2020) on one encoder, and test its claims. Run it again to resume."""

    model: str | None = None
    """The encoder: hub id, id@revision, or folder; by default the scale's."""
    scale: str = "smoke"
    """smoke (minutes, generated data), small (hours, --data), paper (hub data, a GPU), or a YAML file of your own."""
    data: str | None = None
    """Folder below which the files that the scale names are: see docs/studies.md."""

    unrelated: str | None = None
    """Another encoder with the same tokenizer, as a baseline of similarity; by default the scale's."""

    def run(self, call: Transcript) -> int:
        options = {"data_folder": self.data, "unrelated": self.unrelated, "device": self.device}
        study = call("study", "studies.merchant2020.merchant2020", self.model, self.scale, **options)
        name = f"{Path(self.scale).stem}-{model_folder(study.settings['model'])}"
        return self.go(call, study, self.out or str(Path("studies", f"merchant2020-{name}")))


@dataclass(frozen=True, kw_only=True)
class Trajectories(StudyOptions):
    """Compare checkpoints of fine-tuning with the base and the final model (Hao et al. 2020)."""

    model: str | None = None
    """The encoder: hub id, id@revision, or folder; by default the scale's."""
    scale: str = "smoke"
    """A scale of merchant2020: its tasks, data and seeds, and the texts on which it compares attention."""
    data: str | None = None
    """Folder below which the files that the scale names are."""
    steps: str | None = None
    """Updates at which to compare, separated by commas; by default 1, 2, 4, 8, ..."""

    def run(self, call: Transcript) -> int:
        options: dict[str, Any] = {"data_folder": self.data, "device": self.device}
        if self.steps is not None:
            options["steps"] = _numbers(self.steps)
        study = call("study", "studies.trajectories.trajectories", self.model, self.scale, **options)
        name = f"{Path(self.scale).stem}-{model_folder(study.settings['model'])}"
        return self.go(call, study, self.out or str(Path("studies", f"trajectories-{name}")))


def _numbers(words: str) -> list[int]:
    try:
        return [int(word) for word in words.split(",")]
    except ValueError:
        raise OptionError(f"steps are whole numbers separated by commas, such as 1,10,100: got {words!r}.") from None


@dataclass(frozen=True)
class Status:
    """Print options many cells of a study are done, running, stopped, failed and left."""

    out: str
    """Folder of the study."""

    def run(self, call: Transcript) -> int:
        print(call("status", "studies.study_status", self.out).table())
        return 0


@dataclass(frozen=True)
class Report:
    """Draw the report of a study from its result files: one page, all figures and tables. Nothing is computed."""

    out: str
    """The study's folder, as given to `pyrepsim study ... --out`."""
    formats: list[str] | str = _FORMATS
    """Separated by commas: svg, png, csv, tex (LaTeX with booktabs), parquet."""
    title: str | None = None
    """Heading of the page; by default it names the model."""
    wait: float | None = None
    """Seconds to wait for another process that writes to the report; by default it is refused at once."""

    def run(self, call: Transcript) -> int:
        listed = self.formats.split(",") if isinstance(self.formats, str) else self.formats
        formats = tuple(name.strip() for name in listed if name.strip())
        made = call("report", "studies.study_report", self.out, formats=formats, title=self.title, wait=self.wait)
        print(made.page)
        print(f"{len(made.files)} files of figures and tables beside it")
        if made.missing:
            print(f"not in these results: {', '.join(made.missing)}")
        return 0

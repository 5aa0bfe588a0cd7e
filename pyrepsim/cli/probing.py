"""`pyrepsim probe`: measure what each layer of a model encodes. One frozen dataclass per command."""

# Annotations are types, not strings: fields are inherited.
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..core.errors import OptionError
from ..core.memory import format_bytes
from ..probing.options import EdgeProbingOptions, MdlProbingOptions, StructuralProbingOptions
from .options import announce_dry_run, check_disk_space, layer_option, model_folder
from .transcript import Transcript

__all__ = ["Edge", "Mdl", "Structural", "Table"]


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """Options of the probing commands that their functions do not have."""

    out: str | None = None
    """Folder of the probing; by default probes/, the task, and the last two parts of the model's name."""
    dry_run: bool = False
    """Only print the number of sentences, tokens and targets, and the bytes of their activations."""

    def run_probing(self, call: Transcript, function: str, kind: Any, *arguments: str, **changes: Any) -> int:
        """Plan the probing, or run it and print its table and files."""
        model, task = arguments[0], arguments[-1] if len(arguments) > 1 else "structural"
        suffix = "-mdl" if function == "probe_mdl" else ""  # beside the edge probes of the same task
        out = self.out or str(Path("probes", f"{task}{suffix}", model_folder(model)))
        options = {field.name: getattr(self, field.name) for field in fields(kind)} | changes
        if self.dry_run:
            announce_dry_run("reads the annotated text, loads the model and times one batch")
            known = {field.name for field in fields(EdgeProbingOptions)}
            plan = call("plan", "plan_probing", model, task, out=out, **{k: options[k] for k in options.keys() & known})
            print(plan.table())
            check_disk_space(plan.n_bytes_left, plan.stores_folder)
            return 0
        probing = call("probing", function, *arguments, out=out, **options)
        print(probing.table(), end="\n\n")
        for path in (*probing.files, *probing.stores):
            print(path)
        if probing.stores:
            print(f"stores: {format_bytes(probing.n_bytes)}; --keep-stores false removes them")
        return 0


@dataclass(frozen=True)
class Edge(EdgeProbingOptions, OutputOptions):
    """Classify spans of words from each layer and each mix of layers: F1 with intervals. Run it again to resume."""

    model: str
    """Hub id, id@revision, or folder, such as that of a finetune run."""
    task: str | None = None
    """pos, constituents, dependencies, entities, srl, coref, spr, relations or dpr."""

    def run(self, call: Transcript) -> int:
        return self.run_probing(call, "probe_edge", EdgeProbingOptions, self.model, _task(self.task))


@dataclass(frozen=True)
class Mdl(MdlProbingOptions, OutputOptions):
    """Measure how many bits the labels of a task take, given each layer (minimum description length)."""

    model: str
    """Hub id, id@revision, or folder, such as that of a finetune run."""
    task: str | None = None
    """As for probe edge."""

    def run(self, call: Transcript) -> int:
        return self.run_probing(call, "probe_mdl", MdlProbingOptions, self.model, _task(self.task))


@dataclass(frozen=True)
class Structural(StructuralProbingOptions, OutputOptions):
    """Predict dependency trees from distances between word vectors: UUAS, DSpr, NSpr and root accuracy by layer."""

    model: str
    """Hub id, id@revision, or folder, such as that of a finetune run."""

    def run(self, call: Transcript) -> int:
        layers = layer_option(self.layers) if isinstance(self.layers, str) else self.layers
        return self.run_probing(call, "probe_structural", StructuralProbingOptions, self.model, layers=layers)


@dataclass(frozen=True)
class Table:
    """Print all edge probings below a folder as one table: a row per task, a column per model."""

    folder: str
    """Folder to search, such as probes. Columns have the names of the probings' own folders."""
    member: str = "mix"
    """Which probe is shown: mix, top, lex, or the name of a layer."""
    out: str | None = None
    """CSV file to write."""

    def run(self, call: Transcript) -> int:
        table = call("table", "probing_table", self.folder, member=self.member)
        print(table.table())
        if self.out is not None:
            print(table.to_csv(self.out))
        return 0


def _task(task: str | None) -> str:
    if task is None:
        raise OptionError("A probe of spans needs a task: got none. Give one, such as --task dependencies.")
    return task

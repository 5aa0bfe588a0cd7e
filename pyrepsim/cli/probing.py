"""`pyrepsim probe`: what can be read off the layers of a model. A frozen dataclass each, as in `commands`."""

# Types stand here as they are, not as strings: fields are inherited.
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from ..core.errors import OptionError
from ..core.memory import format_bytes
from .options import check_disk_space, layer_option, model_folder
from .transcript import Transcript

__all__ = ["Edge", "Mdl", "Structural", "Table"]


@dataclass(frozen=True, kw_only=True)
class ProbingOptions:
    """What all probes share: data, folder, model and stores."""

    train: str | None = None
    """Annotated text to train on: a file, or a folder whose files are one corpus."""
    dev: str | None = None
    """The same to validate on."""
    data: str | None = None
    """A corpus folder that has all parts, by the names they were published under; instead of train, dev and test."""
    out: str | None = None
    """Folder of the probing; by default probes/, the task, and the last two parts of the model's name."""
    seeds: list[int] | None = None
    """Seeds to train with, as in [0,1,2]; by default [0] (dpr: [0,1,2,3,4])."""
    random_init: bool = False
    """Probe the same architecture with all weights drawn anew: the control."""
    init_seed: int = 0
    """Seed of these weights."""
    revision: str | None = None
    """Branch, tag or commit on the hub."""
    device: str = "auto"
    """auto, cpu or cuda:0, for the model and the probes."""
    dtype: Literal["float16", "bfloat16", "float32"] = "float16"
    """How activations are stored: the one lossy step."""
    long: Literal["error", "window", "truncate"] = "window"
    """What to do with a text that is longer than the model takes."""
    max_length: int | None = None
    """Longest sequence in tokens, below the model's own limit."""
    batch_tokens: int = 4096
    """Tokens in a batch of the extraction, padding included."""
    stores: str | None = None
    """Folder for the stores of activations, which probings of the same texts share; by default stores/ in --out."""
    keep_stores: bool = True
    """Whether they stay at the end."""
    figures: str = "svg"
    """Endings of the figures, with commas between: svg,png,pdf"""
    overwrite: bool = False
    """Extract and train anew, whatever is in --out."""
    dry_run: bool = False
    """Only say how many sentences, tokens and targets there are, and how many bytes their activations take."""

    def space(self) -> dict[str, Any]:
        """What `open_workspace` takes."""
        names = ("random_init", "init_seed", "revision", "device", "dtype", "long", "max_length", "batch_tokens")
        return {name: getattr(self, name) for name in (*names, "stores", "keep_stores", "figures", "overwrite")}

    def plan(self, call: Transcript, model: str, task: str, out: str, **data: Any) -> int:
        """The dry run."""
        planned = call("plan", "plan_probing", model, task, out=out, **data, **self.space())
        print(planned.table())
        check_disk_space(planned.n_bytes_left, planned.stores_folder)
        return 0


@dataclass(frozen=True, kw_only=True)
class SpanOptions(ProbingOptions):
    """What probes of spans share: task, reading, members and the recipe, whose defaults are the published ones."""

    task: str | None = None
    """pos, constituents, dependencies, entities, srl, coref, spr, relations or dpr."""
    tags: Literal["xpos", "upos"] | None = None
    """pos of CoNLL-U: which tags; by default xpos."""
    empty_nodes: Literal["drop", "keep"] | None = None
    """dependencies of CoNLL-U: sentences with empty nodes are left out, drop (the default), or read without them."""
    treebank: str | None = None
    """coref of OntoGUM: GUM's CoNLL-U; by default the folder dep beside the file's."""
    lexical: bool = True
    """Train the baseline too that sees the table of word pieces alone."""
    family: Literal["mlp", "linear"] | None = None
    """The probe: mlp as published, or linear."""
    projection: int | None = None
    """Features of a token after its projection; published: 256."""
    hidden: int | None = None
    """Hidden units of the probe; published: 256."""
    learning_rate: float | None = None
    """First learning rate of Adam; published: 1e-4 for edge, 1e-3 for mdl."""
    batch_size: int | None = None
    """Sentences in a batch; published: 32."""
    validate_every: int | None = None
    """Steps between validations; published for edge: 1000, or 100 for spr, dpr and relations; mdl: 200."""
    max_validations: int | None = None
    """Validations after which training ends in any case; published: 250, or 100 for spr, dpr and relations."""
    stop_after: int | None = None
    """Validations without improvement after which training ends; published for edge: 20, for mdl: 4."""

    def task_or_error(self) -> str:
        if self.task is None:
            raise OptionError("Spans are probed for a task: say which, as in --task dependencies.")
        return self.task

    def source(self) -> dict[str, Any]:
        """Where the data are, and how they are read."""
        reading = {name: getattr(self, name) for name in ("tags", "empty_nodes", "treebank")}
        given = {name: value for name, value in reading.items() if value is not None}
        return {"train": self.train, "dev": self.dev, "data": self.data, "reading": given or None}

    def changes(self) -> dict[str, Any] | None:
        """Settings of the recipe that were given."""
        names = [field.name for field in fields(SpanOptions) if field.name in _RECIPE]
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None} or None


_RECIPE = (
    "family",
    "projection",
    "hidden",
    "learning_rate",
    "batch_size",
    "validate_every",
    "max_validations",
    "stop_after",
)


@dataclass(frozen=True)
class Edge(SpanOptions):
    """Classify spans by each layer and each mix of layers: F1 with bands. Run it again to go on after a stop."""

    model: str
    """Hub id, id@revision, or folder, such as that of a finetune run."""
    test: str | None = None
    """Annotated text to score; by default scores are of --dev."""
    members: str | None = None
    """What is probed, commas between: layers, mixes, top, mix, mix.K, layer.8, lex; by default layers, mixes, lex."""
    control: bool = False
    """Train on control labels too, to tell what a probe reads from what it learns by heart."""
    base: str | None = None
    """Folder of the probing to compare with, such as that of the model before fine-tuning."""

    def run(self, call: Transcript) -> int:
        task = self.task_or_error()
        out = self.out or str(Path("probes", task, model_folder(self.model)))
        source = {**self.source(), "test": self.test}
        if self.dry_run:
            return self.plan(call, self.model, task, out, **source)
        how = {"members": _names(self.members), "seeds": self.seeds, "recipe": self.changes(), "lexical": self.lexical}
        how |= {"control": self.control, "base": self.base}
        found = call("probing", "probe_edge", self.model, task, out=out, **source, **how, **self.space())
        return _tell(found)


@dataclass(frozen=True)
class Mdl(SpanOptions):
    """Code the labels of a task, given each layer: how many bits they take, and how much that compresses them."""

    model: str
    """Hub id, id@revision, or folder, such as that of a finetune run."""
    members: str | None = None
    """What is probed, with commas between, as for edge; by default layers and lex."""

    def run(self, call: Transcript) -> int:
        task = self.task_or_error()
        out = self.out or str(Path("probes", f"{task}-mdl", model_folder(self.model)))
        if self.dry_run:
            return self.plan(call, self.model, task, out, **self.source())
        how = {"members": _names(self.members), "seeds": self.seeds, "recipe": self.changes()}
        how |= {"lexical": self.lexical, **self.source(), **self.space()}
        return _tell(call("probing", "probe_mdl", self.model, task, out=out, **how))


@dataclass(frozen=True)
class Structural(ProbingOptions):
    """Find dependency trees as distances between words: UUAS, DSpr, NSpr and root accuracy by layer."""

    model: str
    """Hub id, id@revision, or folder, such as that of a finetune run."""
    test: str | None = None
    """CoNLL-U to score; by default scores are of --dev."""
    layers: str = "all"
    """all, or names with commas between: embeddings,layer.8"""
    ranks: tuple[int, ...] = (128,)
    """Ranks of the probes, as in [16,64,128]."""
    epochs: int = 40
    """Passes over the training data at most."""
    batch_size: int = 20
    """Sentences in a batch."""
    learning_rate: float = 1e-3
    """Learning rate to start with."""
    trees: int = 0
    """So many of the scored sentences are drawn, with the trees that the best layer predicts."""

    def run(self, call: Transcript) -> int:
        out = self.out or str(Path("probes", "structural", model_folder(self.model)))
        source = {"train": self.train, "dev": self.dev, "test": self.test, "data": self.data}
        if self.dry_run:
            return self.plan(call, self.model, "structural", out, **source)
        how: dict[str, Any] = {"layers": layer_option(self.layers), "ranks": tuple(self.ranks)}
        how |= {name: getattr(self, name) for name in ("epochs", "batch_size", "learning_rate", "trees")}
        how["seeds"] = (0,) if self.seeds is None else tuple(self.seeds)
        found = call("probing", "probe_structural", self.model, out=out, **source, **how, **self.space())
        return _tell(found)


@dataclass(frozen=True)
class Table:
    """Set all edge probings below a folder side by side: a row a task, a column a model."""

    folder: str
    """Where to look, such as probes; columns have the names of the probings' own folders."""
    member: str = "mix"
    """What is shown: mix, top, lex, or any layer."""
    out: str | None = None
    """CSV file to write."""

    def run(self, call: Transcript) -> int:
        found = call("table", "probing_table", self.folder, member=self.member)
        print(found.table())
        if self.out is not None:
            print(found.to_csv(self.out))
        return 0


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _tell(found: Any) -> int:
    """Tables, files, and what the stores take."""
    print(found.table())
    print()
    for file in found.files:
        print(file)
    for store in found.stores:
        print(store)
    if found.stores:
        print(f"stores: {format_bytes(found.n_bytes)}; --keep-stores false removes them")
    return 0

"""Commands on models and stores. One frozen dataclass each: fields are options, their docstrings the help."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..core.errors import OptionError
from ..core.memory import format_bytes
from .options import announce_dry_run, check_disk_space, layer_option, model_folder, output_files, split_measures
from .reading import TextOptions

if TYPE_CHECKING:
    from .transcript import Transcript

__all__ = ["Compare", "CompareRevisions", "Extract", "Info", "Profile"]

_MEASURES = "LinearCKA(debiased=True), SVCCA, PWCCA, RSA, Procrustes"


@dataclass(frozen=True)
class Extract(TextOptions):
    """Run a model over texts and store the activations of every layer. Run it again to resume."""

    model: str
    """Hub id, id@revision, or folder."""
    texts: str
    """Text to read: a plain file (one text a line), JSONL, CoNLL-U, or the hub id of a data set."""
    out: str | None = None
    """Folder of the store; by default acts/ and the last two parts of the model's name, as in acts/mnli-seed0."""
    layers: str = "all"
    """all, or names separated by commas: embeddings,layer.8, or hook points: layer.*.mlp,layer.3.heads.*"""
    tokens: str | None = None
    """Which rows to store: all (default), content, special, cls, first, last, first_subword, last_subword, assistant;
    or a slice of the content tokens of each text, such as 0:5 or -3:. With --rows document the tokens of the mean, by
    default content."""
    dtype: Literal["float16", "bfloat16", "float32"] = "float16"
    """Type of the stored activations. This conversion is the only lossy step."""
    same_plan_as: str | None = None
    """A store whose rows this one must match, so that the two can be compared."""
    worker: str | None = None
    """i/n, counted from 0: this process is one of n that share the shards; the last to finish seals the store."""
    overwrite: bool = False
    """Remove any store at --out first, finished or not, and extract again."""
    wait: float | None = None
    """Seconds to wait for another process that writes to --out; by default it is refused at once."""
    dry_run: bool = False
    """Only print the number of tokens, the bytes and seconds that this worker's share will take, and the free disk
    space."""

    def run(self, call: Transcript) -> int:
        out = Path(self.out or Path("acts", model_folder(self.model)))
        plan = {"layers": layer_option(self.layers), "dtype": self.dtype, **self.forward_options()}
        plan |= {"tokens": self.tokens, "same_plan_as": self.same_plan_as, "worker": self.worker}
        texts = _texts(self, self.texts, call)
        if not self.dry_run:
            store = call(
                "store", "extract", self.model, texts, out=str(out), overwrite=self.overwrite, wait=self.wait, **plan
            )
            print(f"{out}: this share is done, other workers are still running" if store is None else store)
            return 0
        announce_dry_run("reads the texts, loads the model and times one batch")
        planned = call("plan", "plan_extraction", self.model, texts, out=None if self.overwrite else str(out), **plan)
        padding = f"{planned.n_padded - planned.n_tokens:,} of padding"
        print(f"{planned.n_documents:,} texts, {planned.n_tokens:,} tokens and {padding}, {planned.n_rows:,} rows")
        print(f"about {planned.estimated_seconds:.0f} s on this machine")
        of = f" of {format_bytes(planned.n_bytes)}" if planned.n_bytes_left < planned.n_bytes else ""
        check_disk_space(planned.n_bytes_left, out, of=of)
        return 0


@dataclass(frozen=True)
class Compare(TextOptions):
    """Compare two stores, or, with --texts, two models without storing anything."""

    x: str
    """A store; with --texts a model."""
    y: str
    """The store (or model) to compare it with."""
    measures: list[str] | str = _MEASURES
    """Measures separated by commas, with options in parentheses: "SVCCA(variance=0.9), CCA"."""
    layers: str = "same"
    """same, all, best (of all, the best layer of y for each of x), relative (depth), or pairs separated by commas:
    layer.3:layer.5,layer.4:layer.6; a pattern: layer.*.mlp"""
    tokens: str = "content"
    """Which rows: content leaves out the tokens that the tokenizer added, such as [CLS]; all, special, cls, first,
    last, first_subword, last_subword, assistant; or a slice of the content tokens of each text, such as 0:5 or -3:"""
    texts: str | None = None
    """Texts to run both models over: x and y are then models. The options about texts and models need it. Those about
    models may be two values, one for each model, such as --model-dtype float32,bfloat16."""
    interval: str | None = None
    """Intervals by resampling documents, for stores: Jackknife, or "Bootstrap(blocks=32)"."""
    out: list[str] | str | None = None
    """Files to write, separated by commas; the ending chooses the format: .csv .jsonl .parquet .html .svg .png .pdf"""
    checkpoint: str | None = None
    """Folder for intermediate sums, from which an interrupted comparison is resumed."""
    wait: float | None = None
    """Seconds to wait for another process that writes to --checkpoint; by default it is refused at once."""
    backend: str = "auto"
    """auto, or one that `pyrepsim info` lists."""
    n_threads: int | None = None
    """Number of threads; by default all cores that this process may use."""
    memory: str | None = None
    """Memory that may be used, such as 8GB; by default that of the machine or its control group."""
    precision: Literal["auto", "fp64", "fp32", "int24"] = "auto"
    """Precision of the products, auto: fp64 for moments, fp32 for tiles of pairs of rows; sums are always float64."""

    def run(self, call: Transcript) -> int:
        measures, files = split_measures(self.measures), output_files(self.out)
        options = {
            "layers": layer_option(self.layers, pairs=True),
            "tokens": self.tokens,
            "backend": self.backend,
        }
        options |= {"n_threads": self.n_threads, "precision": self.precision, "memory": self.memory}
        if self.texts is not None:
            if self.checkpoint is not None:
                raise OptionError(
                    "A checkpoint is for stores: with --texts nothing is stored. Extract both models first."
                )
            if self.interval is not None:
                raise OptionError("An interval needs stores, which record documents. Extract both models first.")
            texts = _texts(self, self.texts, call)
            options |= self.forward_options(pairs=True)
            scores = call("scores", "compare_models", self.x, self.y, texts, measures, **options)
        else:
            self.check_no_text_options("two stores", "two models")
            x, y = call("x", "open_store", self.x), call("y", "open_store", self.y)
            options |= {"interval": self.interval, "checkpoint": self.checkpoint, "wait": self.wait}
            scores = call("scores", "compare", x, y, measures, **options)
        print(scores.table())
        for file, writer in files.items():
            getattr(scores, writer)(file)
            print(file)
        return 0


@dataclass(frozen=True)
class CompareRevisions(TextOptions):
    """Compare the revisions or checkpoints of a model with one of them. Run it again to resume."""

    model: str
    """Hub id, or a folder that holds checkpoint-* or checkpoints/step-*; or several models separated by commas."""
    revisions: list[str] | str | None = None
    """Branches, tags or commits of the hub id, or names of checkpoints: the words after the model. By default, of a
    folder, all checkpoints."""
    texts: str | None = None
    """Text to read: a plain file (one text a line), JSONL, CoNLL-U, or the hub id of a data set."""
    measures: list[str] | str = _MEASURES
    """Measures separated by commas, with options in parentheses: "SVCCA(variance=0.9), CCA"."""
    reference: str | None = None
    """One of the revisions, or a model; by default the last revision."""
    layers: str = "same"
    """As for compare."""
    tokens: str = "content"
    """As for compare."""
    interval: str | None = None
    """Intervals by resampling documents: Jackknife, or "Bootstrap(blocks=32)"."""
    out: str | None = None
    """Folder for the rows of the reference, the scores of each revision, and their table and figure; by default
    sweeps/ and the last two parts of the model's name."""
    wait: float | None = None
    """Seconds to wait for another process that writes to --out; by default it is refused at once."""
    backend: str = "auto"
    """auto, or one that `pyrepsim info` lists."""
    n_threads: int | None = None
    """Number of threads; by default all cores that this process may use."""
    memory: str | None = None
    """Memory that may be used, such as 8GB; by default that of the machine or its control group."""
    precision: Literal["auto", "fp64", "fp32", "int24"] = "auto"
    """Precision of the products, as for compare."""

    several = "revisions"

    def run(self, call: Transcript) -> int:
        if self.texts is None or self.revision is not None:
            raise OptionError(
                "Revisions are the words after the model, and are compared on texts: give --texts, and no --revision."
            )
        models: Any = self.model.split(",") if "," in self.model else self.model
        names = self.revisions.split(",") if isinstance(self.revisions, str) else self.revisions
        out = self.out or str(Path("sweeps", model_folder(self.model.split(",")[0])))
        options = {name: value for name, value in self.forward_options().items() if name != "revision"}
        options |= {"layers": layer_option(self.layers, pairs=True), "tokens": self.tokens, "interval": self.interval}
        options |= {"reference": self.reference, "out": out, "wait": self.wait, "backend": self.backend}
        options |= {"n_threads": self.n_threads, "memory": self.memory, "precision": self.precision}
        texts = _texts(self, self.texts, call)
        measures = split_measures(self.measures)
        print(call("result", "compare_revisions", models, names, texts, measures, **options).table())
        print(Path(out, "scores.csv"))
        return 0


@dataclass(frozen=True)
class Profile(TextOptions):
    """Describe the geometry of each layer of a store or a model: norms, anisotropy, effective rank, outliers."""

    store: str
    """A store; with --texts a model."""
    texts: str | None = None
    """Texts to run the model over. The options about texts and models need it."""
    layers: str = "all"
    """all, or names and patterns separated by commas."""
    tokens: str = "content"
    """Which rows: content leaves out the tokens that the tokenizer added, such as [CLS]; all, special, cls, first,
    last, first_subword, last_subword, assistant; or a slice of the content tokens of each text, such as 0:5 or -3:"""
    backend: str = "auto"
    """auto, or one that `pyrepsim info` lists."""
    n_threads: int | None = None
    """Number of threads; by default all cores that this process may use."""

    def run(self, call: Transcript) -> int:
        chosen = layer_option(self.layers)
        options: dict[str, Any] = {"tokens": self.tokens, "backend": self.backend, "n_threads": self.n_threads}
        options |= {"layers": None if chosen == "all" else chosen}
        if self.texts is None:
            self.check_no_text_options("a store", "a model")
            print(call("profile", "profile", call("store", "open_store", self.store), **options).table())
        else:
            options |= {"texts": _texts(self, self.texts, call), **self.forward_options()}
            print(call("profile", "profile", self.store, **options).table())
        return 0


@dataclass(frozen=True)
class Info:
    """Print what a bug report needs: processor, BLAS, threads, backends and versions."""

    def run(self, call: Transcript) -> int:
        call("config", "show_config")
        return 0


def _texts(command: TextOptions, source: str, call: Transcript) -> Any:
    """The source by its name or, where options choose within it, its texts."""
    chosen = command.source_options()
    return call("texts", "read_texts", source, **chosen) if chosen else source

"""The commands that are killed: each has inputs that are made once, one call that is also the call to resume, and a
digest of what it leaves behind."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

import pyrepsim as rs
from pyrepsim.comparison import checkpoint
from pyrepsim.extraction.options import ReadingPolicy
from tests.helpers.annotated_text import write_annotated_text
from tests.helpers.tiny_synthetic import synthetic_bert

__all__ = ["VERBS", "Verb", "configure", "contents", "prepare"]

SHARD_ROWS = 40
_TIMES = re.compile(r"time|seconds|digest|n?_?bytes|train_.*|calls\.txt")
RECIPE = {"epochs": 1.0, "batch_size": 4, "precision": "fp32", "save_every": 2}


@dataclass(frozen=True)
class Verb:
    """A command: ``call(inputs, out, variant)``. Variants differ in their request and in their result."""

    call: Callable[[Path, Path, int], object]
    same_bytes: bool = False
    """Whether every file has the same bytes each time; otherwise times of day and durations are left out."""
    shared: bool = False
    """Whether requests that differ may share the folder: each file belongs to one of them."""


def configure() -> None:
    """Make stores of several shards, and checkpoints at every opportunity, out of little data."""
    defaults = ReadingPolicy.__init__.__kwdefaults__
    assert defaults is not None
    defaults["shard_tokens"] = 40
    checkpoint.SAVE_EVERY_SECONDS = 0.0


def prepare(inputs: Path) -> None:
    """Write the inputs of all commands."""
    rng = np.random.default_rng(0)
    np.savez(inputs / "arrays.npz", **{f"{kind}{k}": _rows(rng) for kind in ("a", "b") for k in range(2)})
    arrays = _arrays(inputs, "a")
    rs.write_store(inputs / "x", arrays, shard_rows=SHARD_ROWS, dtype="float32")
    rs.write_store(inputs / "y", _arrays(inputs, "b"), shard_rows=SHARD_ROWS, dtype="float32")
    data = write_annotated_text(inputs / "data", train=12, dev=4, test=4)
    text = (data / "text" / "train.txt").read_text()
    synthetic_bert(inputs / "model", text.splitlines(), width=16)
    _moved(inputs)
    for part, n in (("train", 12), ("dev", 4)):
        rows = [{"sentence": line, "label": str(k % 2)} for k, line in enumerate(text.splitlines()[:n])]
        (inputs / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _moved(inputs: Path) -> None:
    """Write a model whose weights differ from those of `model`, and a copy of it: a sweep over the three reads two."""
    from transformers import AutoModel

    shutil.copytree(inputs / "model", inputs / "moved")
    model = AutoModel.from_pretrained(inputs / "model")
    for parameter in model.parameters():
        parameter.data += 0.1 * parameter.data.roll(1)
    model.save_pretrained(inputs / "moved")
    shutil.copytree(inputs / "moved", inputs / "again")


def _rows(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((4 * SHARD_ROWS, 6)).astype("f4")


def _arrays(inputs: Path, kind: str) -> dict[str, np.ndarray]:
    with np.load(inputs / "arrays.npz") as file:
        return {f"layer.{k}": file[f"{kind}{k}"] for k in range(2)}


def _write_store(inputs: Path, out: Path, variant: int) -> None:
    # overwrite: a store that was not finished is written again.
    rs.write_store(out, _arrays(inputs, "ab"[variant]), shard_rows=SHARD_ROWS, overwrite=out.exists())


def _extract(inputs: Path, out: Path, variant: int) -> None:
    texts = (inputs / "data" / "text" / "train.txt").read_text().splitlines()
    rs.extract(inputs / "model", texts, out=out, dtype=("float32", "float16")[variant], progress=False)


def _compare(inputs: Path, out: Path, variant: int) -> None:
    scores = rs.compare(
        rs.open_store(inputs / "x"),
        rs.open_store(inputs / "xy"[1 - variant]),
        ["LinearCKA", "CCA"],
        layers="all",
        n_threads=1,
        checkpoint=out / "sums",
        progress=False,
    )
    scores.to_jsonl(out / "scores.jsonl")


def _compare_revisions(inputs: Path, out: Path, variant: int) -> None:
    texts = (inputs / "data" / "text" / "train.txt").read_text().splitlines()
    models = {name: inputs / name for name in ("moved", "again", "model")}
    measures = ("LinearCKA", "CCA")[variant]
    rs.compare_revisions(models, None, texts, measures, out=out, device="cpu", n_threads=1, progress=False)


def _finetune(inputs: Path, out: Path, variant: int) -> None:
    recipe = rs.TrainingRecipe(**RECIPE, seed=variant)
    data = {part: inputs / f"{part}.jsonl" for part in ("train", "dev")}
    rs.finetune(inputs / "model", "sst2", out=out, recipe=recipe, **data, device="cpu", progress=False)


def _ablate(inputs: Path, out: Path, variant: int) -> None:
    recipe = rs.TrainingRecipe(**RECIPE)
    data = {part: inputs / f"{part}.jsonl" for part in ("train", "dev")}
    values, model = [1, 2], inputs / "model"
    rs.ablate(
        "layers", model, "sst2", out=out, values=values, seeds=[variant], recipe=recipe, **data, device="cpu",
        progress=False,
    )  # fmt: skip


def _probe_edge(inputs: Path, out: Path, variant: int) -> None:
    data = inputs / "data" / "edge" / "pos"
    rs.probe_edge(
        inputs / "model", "pos", out=out, train=data / "train.jsonl", dev=data / "dev.jsonl", seeds=[variant],
        recipe={"batch_size": 4, "validate_every": 2, "max_validations": 4}, device="cpu", progress=False,
    )  # fmt: skip


def _probe_structural(inputs: Path, out: Path, variant: int) -> None:
    data = inputs / "data" / "dependency"
    rs.probe_structural(
        inputs / "model", out=out, train=data / "train.conllu", dev=data / "dev.conllu", ranks=[4], epochs=2,
        batch_size=4, seeds=[variant], device="cpu", progress=False, trees=1,
    )  # fmt: skip


def _probe_mdl(inputs: Path, out: Path, variant: int) -> None:
    data = inputs / "data" / "edge" / "pos"
    rs.probe_mdl(
        inputs / "model", "pos", out=out, train=data / "train.jsonl", dev=data / "dev.jsonl", seeds=[variant],
        recipe={"batch_size": 4, "validate_every": 2, "max_validations": 2}, fractions=[0.25, 0.5, 1.0], device="cpu",
        progress=False,
    )  # fmt: skip


def _study(_inputs: Path, out: Path, variant: int) -> None:
    from pyrepsim.studies.runner import run_study
    from tests.studies.toy_study import toy_study

    result = run_study(toy_study(factor=2 + variant), out=out, progress=False)
    if not result.complete:
        raise RuntimeError(f"cells failed: {result.errors}")


VERBS = {
    "write_store": Verb(_write_store, same_bytes=True),
    "extract": Verb(_extract, same_bytes=True),
    "compare": Verb(_compare),
    "compare_revisions": Verb(_compare_revisions),
    "finetune": Verb(_finetune),
    "ablate": Verb(_ablate, shared=True),
    "probe_edge": Verb(_probe_edge),
    "probe_structural": Verb(_probe_structural),
    "probe_mdl": Verb(_probe_mdl),
}
if find_spec("pyrepsim.studies") is not None:  # studies are an optional part of the package
    VERBS["study"] = Verb(_study, shared=True)


def contents(out: Path, same_bytes: bool) -> dict[str, str]:
    """The digest of every file, by its path. Without `same_bytes`, times are taken out of JSON first."""
    digests = {}
    for path in sorted(out.rglob("*")):
        name = str(path.relative_to(out))
        if path.is_file() and path.name != "calls.txt":  # the toy study counts there how often a cell was started
            data = path.read_bytes()
            if not same_bytes and path.suffix == ".json":
                data = json.dumps(_timeless(json.loads(data)), sort_keys=True).encode()
            digests[name] = hashlib.sha256(data).hexdigest()
    return digests


def _timeless(value: Any) -> Any:
    """A JSON value without times of day, durations, and digests of records that have them."""
    if isinstance(value, dict):
        return {key: _timeless(item) for key, item in value.items() if not _TIMES.fullmatch(key)}
    return [_timeless(item) for item in value] if isinstance(value, list) else value

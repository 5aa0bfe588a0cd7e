"""Flip random bits of every file that work is resumed from, and cut the files short; resume; count what happens.

    python -m tests.faults.bit_flips [--flips 1500] [--seed 0] [KIND ...]

Each trial damages one file of a copy of the states that one command left, and calls what resumes them. Every file is
damaged in turn, one time in ten by a cut. The outcome is one of

- same: the result of undamaged states, without a message (the file is not read, or was made again from others);
- set aside: the damage was found, and the work was done again, or continued from the state before it, to that result;
- refused: an error of pyrepsim;
- TAKEN: another result;  FOREIGN: another error. Neither may happen, and the exit status is 1 if one does.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

import pyrepsim as rs
from pyrepsim.core import states
from pyrepsim.core.errors import PyrepsimError

OUTCOMES = ("same", "set aside", "refused", "TAKEN", "FOREIGN")
UNCHANGED = (".lock",)  # a lock is no state


@dataclass(frozen=True)
class Kind:
    """States of one kind: `make` writes them into a folder, `resume` continues from them and returns its result."""

    make: Callable[[Path], Any]
    resume: Callable[[Path], Any]


class _Warnings(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.n = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.n += 1


def trials(kind: Kind, n: int, *, seed: int) -> Counter[str]:
    """Damage the states of one kind `n` times; return how often each outcome happened."""
    draw, found, heard = random.Random(seed), Counter[str](), _Warnings()
    logger = logging.getLogger("pyrepsim")
    logger.addHandler(heard)
    propagated, logger.propagate = logger.propagate, False
    try:
        with tempfile.TemporaryDirectory() as place:
            whole, copy = Path(place, "whole"), Path(place, "copy")
            whole.mkdir()
            kind.make(whole)
            files = sorted(path.relative_to(whole) for path in whole.rglob("*") if path.is_file())
            files = [path for path in files if not path.name.startswith(UNCHANGED)]
            shutil.copytree(whole, copy)
            expected = kind.resume(copy)
            for trial in range(n):
                shutil.rmtree(copy)
                shutil.copytree(whole, copy)
                _damage(copy / files[trial % len(files)], draw)
                heard.n = 0
                found[_outcome(kind, copy, expected, heard)] += 1
    finally:
        logger.removeHandler(heard)
        logger.propagate = propagated
    return found


def _damage(path: Path, draw: random.Random) -> None:
    data = bytearray(path.read_bytes())
    if draw.random() < 0.1:
        del data[draw.choice([0, 1, len(data) // 2, len(data) - 1, draw.randrange(len(data) + 1)]) :]
    elif data:
        near_an_end = draw.random() < 0.5  # where formats keep what describes the rest
        span = min(len(data), 3000) if near_an_end else len(data)
        at = draw.randrange(span) * draw.choice([1, -1])
        data[at] ^= 1 << draw.randrange(8)
    path.write_bytes(data)


def _outcome(kind: Kind, folder: Path, expected: Any, heard: _Warnings) -> str:
    try:
        result = kind.resume(folder)
    except PyrepsimError:
        return "refused"
    except Exception:
        logging.getLogger("bit flips").exception("a foreign error")
        return "FOREIGN"
    if heard.n and (result is None or _equal(result, expected)):
        return "set aside"
    return "same" if _equal(result, expected) else "TAKEN"


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return isinstance(other, torch.Tensor) and torch.equal(one, other)
    if isinstance(one, np.ndarray):
        return isinstance(other, np.ndarray) and np.array_equal(one, other, equal_nan=True)
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(_equal(one[k], other[k]) for k in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(one == other)


# The kinds. Folders of inputs, such as stores and models, are beside those of the states, and are not damaged.


def comparison() -> Kind:
    """The checkpoint of `compare`: its request, and the sums of each group of layers with those before them."""
    stores = _inputs("comparison", _two_stores)

    def resume(folder: Path) -> list[float]:
        base, tuned = (rs.open_store(stores / name) for name in ("base", "tuned"))
        scores: Any = rs.compare(base, tuned, ["LinearCKA"], checkpoint=folder, n_threads=1)
        return [score.value for score in scores]

    def make(folder: Path) -> None:
        resume(folder)
        for path in list(folder.glob("group-*.npz")):
            shutil.copy(path, f"{path}.previous")

    return Kind(make, resume)


def _two_stores(place: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("base", "tuned"):
        rs.write_store(place / name, {f"layer.{i}": rng.standard_normal((200, 6)).astype("f4") for i in range(2)})


def moments() -> Kind:
    """Moments that a user saved."""

    def make(folder: Path) -> None:
        rng = np.random.default_rng(0)
        sums = rs.PairedMoments(8, 5)
        sums.update(rng.standard_normal((700, 8)), rng.standard_normal((700, 5)))
        sums.save(folder / "moments.npz")

    return Kind(make, lambda folder: vars(rs.PairedMoments.load(folder / "moments.npz").state()))


def training_states() -> Kind:
    """The training states of edge probes (training.pt) and structural probes (seed0.pt)."""
    from pyrepsim.probing.checkpoint import load_state, save_state
    from pyrepsim.probing.structural.training import StructuralProbeRecipe, TrainingState, blocks_of

    request = {"task": "pos", "layers": ["layer.0"], "seed": 0}
    maker = torch.Generator().manual_seed(0)
    weights = {name: torch.randn(40, 20, generator=maker) for name in ("weights", "moments")}
    edge = {"step": 120, "members": [{"parameters": weights}], "generators": {0: maker.get_state()}}
    structural = TrainingState.begin(2, 12, blocks_of((2, 4)), StructuralProbeRecipe(), 0).record()
    given = {"training.pt": edge, "seed0.pt": structural}

    def make(folder: Path) -> None:
        for name, state in given.items():
            for _ in range(2):
                save_state(folder / name, state, request)

    return Kind(make, lambda folder: {name: load_state(folder / name, request) for name in given})


def results() -> Kind:
    """Finished results: edge.npz, codes.json, and the scores of an ablation."""
    from pyrepsim.core.resume import write_record
    from pyrepsim.probing.edge.recipe import Member
    from pyrepsim.probing.edge.result import EdgeResult

    request = {"kind": "edge", "seeds": [0]}
    record = {"member": "layer.0", "seed": 0, "split": "dev", "part": "all", "f1": 0.5, "gold": 7}
    counts = {"dev": np.arange(60).reshape(1, 20, 3)}
    result = EdgeResult(
        "pos", (Member("layer.0", ("layer.0",), 0, False),), ("layer.0",), (record,), (), {"layer.0": 1.5}, counts,
        {"dev": np.arange(20)}, {}, ({"step": 4, "loss": 0.5},), request, {"dev": np.arange(20) // 2},
    )  # fmt: skip
    codes = {"task": "pos", "records": [{"bits": 12.5, "blocks": [4.0, 8.5]}]}

    def make(folder: Path) -> None:
        states.write_sealed(folder / "edge.npz", result.write, request)
        write_record(folder / "codes.json", request, **codes)

    def resume(folder: Path) -> Any:
        edge = states.load_state(folder / "edge.npz", request, EdgeResult.read)
        record = states.load_record(folder / "codes.json", request)
        if edge is None or record is None:
            return None
        return {"codes": record, "edge": {field.name: getattr(edge, field.name) for field in dataclasses.fields(edge)}}

    return Kind(make, resume)


def finetuning() -> Kind:
    """The two checkpoints of a fine-tuning that was killed: weights, optimiser, rates, random state, records.

    Resuming chooses a checkpoint, whose files must be those that were written; training from it is deterministic.
    """
    from pyrepsim.finetuning.trainer import _checkpoints, _put_away_damaged

    stopped = _inputs("finetuning", _killed_finetuning)
    request = states.check_files(stopped / "run" / "resume" / "checkpoint-4")
    assert request is not None
    request.pop("step")
    digests = {path.name: _digests(path) for path in (stopped / "run" / "resume").iterdir()}

    def resume(folder: Path) -> bool | None:
        _put_away_damaged(folder / "resume", request)
        found = _checkpoints(folder / "resume")
        return _digests(found[0]) == digests[found[0].name] if found else None

    return Kind(lambda folder: shutil.copytree(stopped / "run" / "resume", folder / "resume"), resume)


def run() -> Kind:
    """A finished run: record, model, tokenizer, head, predictions."""
    from pyrepsim.finetuning.task_model import load_head
    from pyrepsim.models import load_encoder

    whole = _inputs("run", _finished_run)

    def resume(folder: Path) -> Any:
        opened = rs.open_run(folder)
        encoder = load_encoder(folder, device="cpu")
        values = {name: getattr(opened, name) for name in ("record", "scores", "history")}
        digests = {"weights": encoder.weights, "tokenizer": encoder.tokenizer_digest, "layers": dict(encoder.layers)}
        return {**values, **digests, "head": dict(load_head(folder, encoder).state_dict())}

    return Kind(lambda folder: shutil.copytree(whole / "run", folder, dirs_exist_ok=True), resume)


def study() -> Kind:
    """The cells of a study: records, rows, and files that other cells need."""
    from unittest import mock

    from pyrepsim.studies import run_study
    from tests.studies.toy_study import toy_study

    def make(folder: Path) -> None:
        run_study(toy_study(n=2, broken=("step-1",)), out=folder, progress=False)
        for path in [*folder.glob("*.jsonl"), *folder.glob("*.json")]:
            path.unlink()  # written anew from the cells

    def resume(folder: Path) -> list[dict[str, Any]]:
        with mock.patch("pyrepsim.studies.runner.running.free_memory"):  # it takes longer than all the rest
            return run_study(toy_study(n=2), out=folder, progress=False).rows()

    return Kind(make, resume)


def extraction() -> Kind:
    """A store that was not sealed when its extraction was killed: plan, journal, shards."""
    model = _inputs("extraction", _tiny_model) / "model"
    texts = [f"the {'keys ' * (i % 4)}river {i}" for i in range(12)]

    def resume(folder: Path) -> dict[str, str]:
        rs.extract(encoder(), texts, folder / "store", device="cpu", batch_tokens=64, worker="0/1", progress=False)
        return _digests(folder / "store")

    def make(folder: Path) -> None:
        resume(folder)
        (folder / "store" / "manifest.json").unlink()

    loaded: list[Any] = []

    def encoder() -> Any:
        from pyrepsim.models import load_encoder

        loaded[:] = loaded or [load_encoder(model, device="cpu")]
        return loaded[0]

    return Kind(make, resume)


def _inputs(name: str, make: Callable[[Path], None]) -> Path:
    """A folder of inputs, made once for each process."""
    if name not in _made:
        _made[name] = tempfile.TemporaryDirectory()
        make(Path(_made[name].name))
    return Path(_made[name].name)


_made: dict[str, tempfile.TemporaryDirectory[str]] = {}


def _digests(folder: Path) -> dict[str, str]:
    import xxhash

    paths = (path for path in folder.rglob("*") if path.is_file() and not path.name.startswith(UNCHANGED))
    return {str(path.relative_to(folder)): xxhash.xxh3_128_hexdigest(path.read_bytes()) for path in paths}


def _tiny_model(place: Path) -> None:
    from tests.helpers.tiny_models import tiny_bert

    tiny_bert(place / "model", width=8, layers=1, positions=32)


def _finetune(place: Path) -> None:
    _tiny_model(place)
    rows = ["sentence\tlabel", *(f"the river {'keys' if i % 2 else 'bank'}\t{i % 2}" for i in range(24))]
    (place / "data.tsv").write_text("\n".join(rows))
    recipe = rs.TrainingRecipe(epochs=1, batch_size=4, max_length=16, save_every=2)
    options: dict[str, Any] = {"recipe": recipe, "device": "cpu", "progress": False}
    rs.finetune(place / "model", "sst2", out=place / "run", train=place / "data.tsv", dev=place / "data.tsv", **options)


def _killed_finetuning(place: Path) -> None:
    step, n = torch.optim.AdamW.step, 0

    def mortal(self: Any, *args: Any, **options: Any) -> Any:
        nonlocal n
        n += 1
        if n > 5:
            raise KeyboardInterrupt
        return step(self, *args, **options)

    torch.optim.AdamW.step = mortal
    try:
        _finetune(place)
    except KeyboardInterrupt:
        pass
    finally:
        torch.optim.AdamW.step = step


def _finished_run(place: Path) -> None:
    _finetune(place)


KINDS: dict[str, Callable[[], Kind]] = {
    kind.__name__: kind for kind in (comparison, moments, training_states, results, finetuning, run, study, extraction)
}
if find_spec("pyrepsim.studies") is None:  # studies are an optional part of the package
    del KINDS["study"]


def main(arguments: Iterable[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Damage the states that work is resumed from, and resume it.")
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--flips", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args(arguments if arguments is None else list(arguments))
    torch.set_num_threads(1)
    print(f"{'kind':16} " + " ".join(f"{name:>9}" for name in (*OUTCOMES, "seconds")))
    wrong = 0
    for name in chosen.kinds or KINDS:
        started = time.monotonic()
        found = trials(KINDS[name](), chosen.flips, seed=chosen.seed)
        wrong += found["TAKEN"] + found["FOREIGN"]
        counts = " ".join(f"{found[outcome]:9d}" for outcome in OUTCOMES)
        print(f"{name:16} {counts} {time.monotonic() - started:9.1f}", flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())

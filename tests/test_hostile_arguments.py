"""Each public function that takes a path, with paths that cannot be right: only errors of pyrepsim, and quickly.

TypeError is allowed for what is no path at all, such as a list.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pkgutil
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyrepsim as rs

pytest.importorskip("pyrepsim.studies")  # an optional part of the package; its functions are called here too

from pyrepsim import models, store, studies
from pyrepsim.core.errors import PyrepsimError
from pyrepsim.core.resume import write_record
from pyrepsim.finetuning import read_items, tasks
from pyrepsim.finetuning.recipes import shipped_recipe
from pyrepsim.probing import corpora, edge
from pyrepsim.results.tables import Table
from pyrepsim.studies import merchant2020, runner, synthetic
from tests.helpers.tiny_models import tiny_bert

MOST_SECONDS = 5.0
ODD_TYPES = {"number": 3, "bytes": b"bytes", "list": [], "mapping": {}, "object": object()}
ODD_NAMES = {
    "NUL": "a\0b",
    "NUL in a folder": "a\0b/c",
    "surrogate": "\ud800",
    "long": "x" * 300,
    "long path": "x/" * 3000,
    "empty": "",
    "below a file": "file/below",
    "loop": "loop",
    "loop, below": "loop/below",
    "FIFO": "fifo",
    "device": "/dev/zero",
    "device, below": "/dev/null/below",
    "directory": "folder",
    "odd file": "file",
}
STUDY = runner.Study(name="s", cells=[runner.Cell(experiment="e", name="n", request={}, run=lambda *_: [])])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with odd files, a tiny model, a store, and data."""
    root = tmp_path_factory.mktemp("odd")
    (root / "file").write_bytes(b"\xff\xfe no file of ours \0")
    (root / "loop").symlink_to("loop")
    os.mkfifo(root / "fifo")
    (root / "folder" / "inside").mkdir(parents=True)
    (root / "folder" / "inside" / "file").write_text("full")
    tiny_bert(root / "model")
    rs.write_store(root / "store", {"layer.0": np.eye(4, dtype=np.float32)})
    (root / "train.tsv").write_text("sentence\tlabel\nthe river\t0\nthe bank\t1\n")
    (root / "pos.jsonl").write_text('{"text": "the river", "targets": [{"span1": [0, 1], "label": "X"}]}\n')
    return root


def calls() -> dict[str, Callable[[Any], Any]]:
    """For each function and each of its arguments that is a path: a call with another value for it."""
    rows = np.eye(4, dtype=np.float32)
    scores = rs.compare(rows, rows, ["LinearCKA"], n_threads=1)
    table = Table([{"a": 1}])
    data = {"train": "train.tsv", "dev": "train.tsv"}
    spans = {"train": "pos.jsonl", "dev": "pos.jsonl"}
    saved = rs.PairedMoments(2, 2, n_threads=1)
    opened = rs.open_store("store")
    no_measures = {"measures": ["LinearCKA"], "n_threads": 1}
    return {
        "Scores.to_csv": scores.to_csv,
        "Scores.to_jsonl": scores.to_jsonl,
        "Scores.to_parquet": scores.to_parquet,
        "Scores.plot": scores.plot,
        "Scores.html": scores.html,
        "Scores.from_jsonl": rs.Scores.from_jsonl,
        "Table.to_csv": table.to_csv,
        "Table.to_jsonl": table.to_jsonl,
        "PairedMoments.save": saved.save,
        "PairedMoments.load": rs.PairedMoments.load,
        "PairedMoments.restore": saved.restore,
        "StoreWriter.create": lambda path: rs.StoreWriter.create(path, {}, layers={"a": 2}, shard_rows=[2]),
        "ablate(model)": lambda path: rs.ablate("freeze", path, "sst2", out="ablated", values=[0], **data),
        "ablate(out)": lambda path: rs.ablate("freeze", "model", "sst2", out=path, values=[0], **data),
        "compare(checkpoint)": lambda path: rs.compare(opened, opened, checkpoint=path, **no_measures),
        "compare_models(model_x)": lambda path: rs.compare_models(path, "model", ["the river"], **no_measures),
        "compare_models(texts)": lambda path: rs.compare_models("model", "model", path, **no_measures),
        "compare_revisions(model)": lambda path: rs.compare_revisions([path, "model"], None, ["the river"], "CCA"),
        "compare_revisions(folder)": lambda path: rs.compare_revisions(path, None, ["the river"], "CCA"),
        "compare_revisions(reference)": lambda path: rs.compare_revisions(
            {"a": "model", "b": "model"}, None, ["the river"], "CCA", reference=path
        ),
        "compare_revisions(texts)": lambda path: rs.compare_revisions(["model", "model2"], None, path, "CCA"),
        "compare_revisions(out)": lambda path: rs.compare_revisions(
            {"a": "model", "b": "model"}, None, ["the river"], "CCA", out=path
        ),
        "extract(model)": lambda path: rs.extract(path, ["the river"], "extracted"),
        "extract(texts)": lambda path: rs.extract("model", path, "extracted"),
        "extract(out)": lambda path: rs.extract("model", ["the river"], path),
        "extract(same_plan_as)": lambda path: rs.extract("model", ["the river"], "extracted", same_plan_as=path),
        "finetune(model)": lambda path: rs.finetune(path, "sst2", out="tuned", **data),
        "finetune(out)": lambda path: rs.finetune("model", "sst2", out=path, **data),
        "finetune(train)": lambda path: rs.finetune("model", "sst2", out="tuned", train=path, dev="train.tsv"),
        "finetune(dev)": lambda path: rs.finetune("model", "sst2", out="tuned", train="train.tsv", dev=path),
        "plan_finetuning(model)": lambda path: rs.plan_finetuning(path, "sst2", **data),
        "plan_finetuning(train)": lambda path: rs.plan_finetuning("model", "sst2", train=path, dev="train.tsv"),
        "open_run": rs.open_run,
        "read_items": read_items,
        "open_store": rs.open_store,
        "plan_extraction(model)": lambda path: rs.plan_extraction(path, ["the river"]),
        "plan_extraction(out)": lambda path: rs.plan_extraction("model", ["the river"], out=path),
        "plan_probing(out)": lambda path: rs.plan_probing("model", "pos", out=path, **spans),
        "plan_probing(model)": lambda path: rs.plan_probing(path, "pos", out="probed", **spans),
        "probe_edge(model)": lambda path: rs.probe_edge(path, "pos", out="probed", **spans),
        "probe_edge(out)": lambda path: rs.probe_edge("model", "pos", out=path, **spans),
        "probe_edge(train)": lambda path: rs.probe_edge("model", "pos", out="probed", train=path, dev="pos.jsonl"),
        "probe_edge(data)": lambda path: rs.probe_edge("model", "pos", out="probed", data=path),
        "probe_mdl(out)": lambda path: rs.probe_mdl("model", "pos", out=path, **spans),
        "probe_structural(out)": lambda path: rs.probe_structural("model", out=path, **spans),
        "probe_structural(train)": lambda path: rs.probe_structural("model", out="probed", train=path, dev=path),
        "probing_table": rs.probing_table,
        "read_texts": rs.read_texts,
        "weight_distance": lambda path: rs.weight_distance(path, "model"),
        "write_store": lambda path: rs.write_store(path, {"a": rows}),
        "load_encoder": models.load_encoder,
        "export(store)": lambda path: store.export(path, "exported"),
        "export(out)": lambda path: store.export("store", path),
        "list_stores": store.list_stores,
        "remove_store": store.remove_store,
        "store_info": store.store_info,
        "verify": store.verify,
        "plan_study": lambda path: studies.plan_study(STUDY, out=path),
        "run_study": lambda path: studies.run_study(STUDY, out=path, progress=False),
        "study_report": studies.study_report,
        "study_status": studies.study_status,
        "read_rows": lambda path: runner.read_rows(path),
        "load_scale": merchant2020.load_scale,
        "merchant2020(model)": lambda path: merchant2020.merchant2020(path, "smoke"),
        "merchant2020(scale)": lambda path: merchant2020.merchant2020("model", path),
        "merchant2020(data_folder)": lambda path: merchant2020.merchant2020("model", "smoke", data_folder=path),
        "write_synthetic": lambda path: synthetic.write_synthetic(path, train=2, dev=2, test=2),
        "shipped_recipe": shipped_recipe,
        "Task.read": tasks.get_task("sst2").read,
        "Squad.read": tasks.get_task("squad").read,
        "PosTagging.read": tasks.get_task("pos").read,
        "DependencyParsing.read": tasks.get_task("dependency").read,
        "Task.write": lambda path: tasks.get_task("sst2").write([], [], path),
        "Squad.write": lambda path: tasks.get_task("squad").write([], [], path),
        "PosTagging.write": lambda path: tasks.get_task("pos").write([], [], path),
        "DependencyParsing.write": lambda path: tasks.get_task("dependency").write([], [], path),
        "corpora.read": lambda path: list(corpora.read(path, "pos")),
        "corpora.splits": lambda path: corpora.splits(path, "pos"),
        "corpora.write": lambda path: corpora.write([], path),
        "EdgeResult.load": edge.EdgeResult.load,
    }


HAVE_OTHER_PATHS = {  # public, and called by the functions above, or with a store or a model in memory
    *("early_exit", "fit_edge_probes", "fit_structural_probes", "demo_models", "probe_texts", "load_state"),
}
WRITES_INTO_FOLDERS = {"compare(checkpoint)", "run_study", "plan_study", "write_synthetic"}


def test_each_public_function_with_a_path_is_called_here(place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(place)
    called = {name.partition("(")[0].rpartition(".")[2] for name in calls()}
    packages = [
        importlib.import_module(found.name) for found in pkgutil.walk_packages(rs.__path__, "pyrepsim.") if found.ispkg
    ]
    missing = set()
    for package in (rs, *packages):
        for name in getattr(package, "__all__", ()):
            function = getattr(package, name)
            if callable(function) and name not in HAVE_OTHER_PATHS and not inspect.isclass(function):
                notes = " ".join(str(note) for note in getattr(function, "__annotations__", {}).values())
                takes_path = any(word in notes for word in ("ModelLike", "Path"))
                if takes_path and name not in called:
                    missing.add(f"{package.__name__}.{name}")
    assert not missing


@pytest.mark.parametrize("kind", [*ODD_NAMES, *ODD_TYPES])
def test_odd_paths(kind: str, place: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(place)
    value = ODD_NAMES.get(kind, ODD_TYPES.get(kind))
    found, slow = [], []
    before = (place / "file").read_bytes(), (place / "folder" / "inside" / "file").read_bytes()
    for name, call in calls().items():
        if kind == "directory" and ("(out)" in name or name in WRITES_INTO_FOLDERS):
            continue  # a right value
        started = time.perf_counter()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                call(value)
        except PyrepsimError as error:
            if not str(error):
                found.append(f"{name}: an empty message")
        except TypeError as error:
            if kind not in ODD_TYPES:
                found.append(f"{name}: {type(error).__name__}: {error}")
        except Exception as error:
            found.append(f"{name}: {type(error).__name__}: {error}")
        took = time.perf_counter() - started
        if took > MOST_SECONDS:
            slow.append(f"{name}: {took:.1f} s")
    assert not found, "\n".join(found)
    assert not slow, "\n".join(slow)
    assert ((place / "folder" / "inside" / "file").read_bytes()) == before[1]


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../a", "a\0b", "\x1b[2J", "\ud800", "\u202e", "x" * 201])
def test_names_of_cells_are_names_of_folders(name: str):
    for names in ({"experiment": name, "name": "a"}, {"experiment": "a", "name": name}):
        with pytest.raises(PyrepsimError, match="names of folders"):
            runner.Study(name="s", cells=[runner.Cell(**names, request={}, run=lambda *_: [])])


def test_json_has_no_nan(tmp_path: Path):
    with pytest.raises(PyrepsimError, match="JSON has no NaN"):
        Table([{"a": float("nan")}]).to_jsonl(tmp_path / "a.jsonl")
    assert not [*tmp_path.iterdir()]


def test_texts_that_cannot_be_written(tmp_path: Path):
    score = rs.compare(np.eye(4), np.eye(4), ["LinearCKA"], n_threads=1)[0]
    scores = rs.Scores([replace(score, provenance={"model_x": "half of an emoji: \ud83d"})])
    for write in (scores.to_csv, scores.to_jsonl, Table([{"\ud83d": 1}]).to_csv):
        with pytest.raises(PyrepsimError, match="half of a surrogate pair"):
            write(tmp_path / "a")
        assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize("content", [b"[" * 2000, b"a: \xff", b"a: [", b"&a [*a, *a]", b"\0", b"", b"3", b"none: 3"])
def test_odd_scales(tmp_path: Path, content: bytes):
    (tmp_path / "a.yaml").write_bytes(content)
    with pytest.raises(PyrepsimError):
        merchant2020.load_scale(tmp_path / "a.yaml")


ODD_RECORDS = [{}, {"scores": 3}, {"scores": {}, "history": None}, {"scores": {"dev": 1}, "history": [3]}]


@pytest.mark.parametrize("content", ODD_RECORDS)
def test_odd_records_of_runs(tmp_path: Path, content: dict[str, Any]):
    write_record(tmp_path / "run.json", {}, **content)
    with pytest.raises(PyrepsimError):
        rs.open_run(tmp_path)


ODD_PLANS = [
    *({"model": value} for value in ("bert", 3, None, [], [1], {"id": 3}, {"weights": []}, {"id": None})),
    *({"rows": value} for value in ("rows", 3, None, [], {"documents": "x"}, {"documents": -1}, {"texts": 3})),
    *({"rows": value} for value in ({"unit": []}, {"documents": True})),
    {"policy": "x", "rows": "y"},
]


@pytest.mark.parametrize("plan", ODD_PLANS, ids=range(len(ODD_PLANS)))
def test_plans_of_other_tools(tmp_path: Path, place: Path, plan: dict[str, Any]):
    rows = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)
    columns = {"doc_id": np.repeat([0, 1], 3), "position": np.tile(range(3), 2), "token_id": np.arange(6)}
    named = rs.write_store(tmp_path / "named", {"layer.0": rows}, plan=plan, columns=columns)
    score = rs.compare(named, named, ["LinearCKA"], n_threads=1)[0]
    assert score.value == pytest.approx(1.0)
    model = plan.get("model")
    expected = model if isinstance(model, str) else "named"
    assert score.provenance["model_x"] == (3 if model == {"id": 3} else expected)
    rs.Scores([score]).table()
    assert store.count_documents(named) == 2
    named._repr_html_()
    for call in (
        lambda: store.match_texts(named, ["a", "b"]),
        lambda: rs.extract(str(place / "model"), ["the river"], tmp_path / "out", same_plan_as=named),
        lambda: rs.permutation_test(named, named, ["LinearCKA"], n_resamples=9, n_threads=1),
        lambda: edge.fit_edge_probes(named, [], dev=(named, [])),
    ):
        with suppress(PyrepsimError):
            call()

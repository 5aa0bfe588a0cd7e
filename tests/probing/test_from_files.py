"""From a model and files to results: probes on a random model and the synthetic tasks."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from pyrepsim.core.errors import CorruptStoreError, OptionError, RowMismatchError, StoreError, TextError
from pyrepsim.core.states import open_sealed
from pyrepsim.probing import corpora as spans
from pyrepsim.probing.edge import EdgeResult
from pyrepsim.probing.edge.run import extract_texts, probe_edge
from pyrepsim.probing.mdl import probe_mdl
from pyrepsim.probing.plan import plan_probing
from pyrepsim.probing.structural.run import probe_structural
from tests.helpers.annotated_text import write_annotated_text
from tests.helpers.tiny_synthetic import synthetic_bert

TASKS = ("pos", "constituents", "dependencies", "entities", "srl", "coref", "spr", "relations")
QUICK = {"projection": 8, "hidden": 8, "validate_every": 2, "max_validations": 2, "batch_size": 8}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    return write_annotated_text(folder, train=24, dev=8, test=8)


@pytest.fixture(scope="module")
def model(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    texts = [line for path in (corpus / "text").iterdir() for line in path.read_text().splitlines()]
    return synthetic_bert(tmp_path_factory.mktemp("models") / "tiny", texts, width=8)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the stores, which all probings share."""
    return tmp_path_factory.mktemp("stores")


@pytest.fixture
def probe(corpus: Path, model: Path, stores: Path, tmp_path: Path) -> Any:
    def run(task: str = "pos", out: str = "out", **options: Any) -> Any:
        defaults = {"recipe": QUICK, "stores": stores, "device": "cpu", "members": ["top", "mix"], "figures": ()}
        defaults |= {"data": corpus / "edge" / task} if "train" not in options else {}
        return probe_edge(options.pop("model", model), task, out=tmp_path / out, **(defaults | options))

    return run


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("task", TASKS)
def test_each_task_runs_from_files_to_scores(probe: Any, corpus: Path, task: str):
    found = probe(task)
    assert {row["member"] for row in rows(found.folder / "scores.csv")} == {"layer.1", "mix.2", "lex"}
    assert found.result.split == "test"
    gold = list(spans.read(corpus / "edge" / task / "test.jsonl", task))
    assert found.result.select(member="lex")[0]["n_targets"] == sum(len(record["targets"]) for record in gold)
    assert all(path.is_file() for path in found.files)
    assert found.table() in (found.folder / "summary.txt").read_text()


def test_all_layers_and_mixes_are_drawn(probe: Any):
    found = probe(members=None, figures=("svg", "png"), control=True)
    names = {path.name for path in found.files}
    assert {"layers.svg", "layers.png", "cumulative.svg", "selectivity.csv"} <= names
    assert len(found.result.cumulative()) == 3
    assert {row["member"] for row in rows(found.folder / "selectivity.csv")} == {m.name for m in found.result.members}


def test_a_finished_probing_is_read_and_neither_extracted_nor_trained(probe: Any, monkeypatch: pytest.MonkeyPatch):
    first = probe(control=True)
    for name in ("workspace.extract", "edge.run.fit_edge_probes"):
        monkeypatch.setattr(f"pyrepsim.probing.{name}", None)
    again = probe(control=True)
    assert again.table() == first.table()
    assert (again.stores, again.n_bytes) == (first.stores, first.n_bytes)
    assert len(first.stores) == 3


def test_an_interrupted_training_is_resumed(probe: Any, monkeypatch: pytest.MonkeyPatch):
    whole = probe(out="whole")

    def stop(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("pyrepsim.probing.edge.fit.collect_result", stop)
        with pytest.raises(KeyboardInterrupt):
            probe()
    state = Path(whole.folder).parent / "out" / "training" / "training.pt"
    with open_sealed(state) as (_, file):
        assert torch.load(file, weights_only=True)["step"] == 4
    with monkeypatch.context() as patch:  # nothing is left to learn
        patch.setattr("pyrepsim.probing.edge.training.JointTraining._train_step", stop)
        assert probe().result.records == whole.result.records
    assert not state.parent.exists()


@pytest.mark.parametrize("name", ["edge.npz", "control.npz"])
def test_a_damaged_result_is_set_aside_and_made_again(probe: Any, name: str, caplog: pytest.LogCaptureFixture):
    first = probe(control=True)
    path = first.folder / name
    content = path.read_bytes()
    path.write_bytes(content[:500] + bytes([content[500] ^ 1]) + content[501:])
    with pytest.raises(CorruptStoreError, match="must be complete and as it was written"):
        EdgeResult.load(path)
    again = probe(control=True)
    assert again.table() == first.table()
    assert f"{name}.damaged-1" in caplog.text
    assert EdgeResult.load(path).records == EdgeResult.load(first.folder / name).records


def test_a_damaged_store_is_extracted_again(probe: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    first = probe(out="first", stores=tmp_path / "own")
    for path in (tmp_path / "own").glob("*/layers/L02/*.safetensors"):
        content = path.read_bytes()
        path.write_bytes(content[:-4] + bytes([content[-4] ^ 64]) + content[-3:])
    again = probe(out="again", stores=tmp_path / "own")
    assert again.result.records == first.result.records
    assert "It is written again" in caplog.text


def test_a_result_of_another_probing_is_refused(probe: Any):
    first, other = probe(out="first"), probe(out="other", seeds=[1])
    shutil.copy(other.folder / "edge.npz", first.folder)
    with pytest.raises(StoreError, match=r"edge.npz differs in seeds\[0\] \(1 before, 0 now\)"):
        probe(out="first")


def test_a_folder_holds_one_probing(probe: Any):
    probe()
    with pytest.raises(StoreError, match=r"differs in seeds\[0\] \(0 before, 1 now\)"):
        probe(seeds=[1])
    assert {row["seed"] for row in probe(seeds=[1], overwrite=True).result.records} == {1}


def test_probes_are_compared_with_those_of_the_base_model(probe: Any):
    base = probe(out="base")
    tuned = probe(out="tuned", random_init=True, init_seed=3, base=base.folder)
    written = {row["member"]: row for row in rows(tuned.folder / "comparison.csv")}
    assert written.keys() == {"layer.1", "mix.2", "lex"}
    assert float(written["mix.2"]["base"]) == base.result.f1("mix.2")
    assert float(written["mix.2"]["tuned"]) == tuned.result.f1("mix.2")
    assert "compared with base" in tuned.table()
    same = probe(out="same", base=base)
    assert {difference.change for difference in same.comparison} == {"unchanged"}


def test_probings_of_several_tasks_share_one_store(probe: Any, corpus: Path, model: Path, tmp_path: Path):
    """The texts of both tasks are extracted once, before; the scores are those of stores of their own."""
    texts: dict[str, None] = {}
    for task in ("pos", "entities"):
        for part in ("test", "train", "dev"):
            records = spans.read(corpus / "edge" / task / f"{part}.jsonl", task)
            texts |= dict.fromkeys(record["text"] for record in records)
    (tmp_path / "texts.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    shared = {"stores": tmp_path / "stores", "texts": tmp_path / "texts.txt"}
    extract_texts(model, tmp_path / "texts.txt", stores=tmp_path / "stores", device="cpu", progress=False)
    (store,) = (tmp_path / "stores").iterdir()
    for task in ("pos", "entities"):
        found = probe(task, out=task, **shared)
        assert found.stores == (store,)
        own = probe(task, out=f"{task}-own").result
        assert [row["f1"] for row in found.result.records] == pytest.approx(
            [row["f1"] for row in own.records], abs=0.02
        )
        assert (found.result.documents["test"] == own.documents["test"]).all()
    assert list((tmp_path / "stores").iterdir()) == [store]
    (tmp_path / "few.txt").write_text("\n".join(list(texts)[1:]), encoding="utf-8")
    with pytest.raises(TextError, match="lacks 1 of test, such as"):
        probe(out="few", **shared | {"texts": tmp_path / "few.txt"})
    with pytest.raises(TextError, match="one per line: .*missing.txt"):
        probe(out="few", **shared | {"texts": tmp_path / "missing.txt"})


def test_random_weights_depend_on_the_seed(probe: Any):
    drawn = [probe(out=f"random-{i}", random_init=True, init_seed=seed, base=None) for i, seed in enumerate((0, 0, 1))]
    stores = [found.stores for found in drawn]
    assert stores[0] == stores[1]
    assert not set(stores[0]) & set(stores[2])
    assert drawn[0].result.records == drawn[1].result.records
    assert probe(out="loaded").result.records != drawn[0].result.records != drawn[2].result.records
    record = json.loads((drawn[2].folder / "probing.json").read_text())
    assert record["request"]["model"]["init_seed"] == 1


def test_stores_can_be_removed_at_the_end(probe: Any, tmp_path: Path):
    found = probe(stores=None, keep_stores=False)
    assert not (found.folder / "stores").exists()
    assert (found.stores, found.n_bytes) == ((), 0)
    assert EdgeResult.load(found.folder / "edge.npz").records == found.result.records
    assert probe(stores=None, keep_stores=False).table() == found.table()


def test_parts_with_the_same_texts_share_a_store(probe: Any, corpus: Path):
    path = corpus / "edge" / "pos" / "dev.jsonl"
    found = probe(train=path, dev=path, test=path)
    assert len(found.stores) == 1


def test_what_is_left_out_is_listed(probe: Any, corpus: Path, tmp_path: Path):
    lines = (corpus / "edge" / "pos" / "dev.jsonl").read_text().splitlines()
    record = json.loads(lines[0])
    record["targets"][0]["label"] = "NEVER-SEEN"
    (tmp_path / "dev.jsonl").write_text("\n".join([json.dumps(record), *lines[1:]]) + "\n")
    found = probe(train=corpus / "edge" / "pos" / "train.jsonl", dev=tmp_path / "dev.jsonl")
    written = [row for row in rows(found.folder / "findings.csv") if "not seen in training" in row["reason"]]
    assert "record 0 of dev" in written[0]["where"]
    assert {row["split"] for row in written} == {"dev"}


def test_code_lengths(corpus: Path, model: Path, stores: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def run(task: str) -> Any:
        options = {"recipe": QUICK, "fractions": (0.25, 1.0), "stores": stores, "device": "cpu"}
        return probe_mdl(model, task, out=tmp_path / task, data=corpus / "edge" / task, **options)

    found = run("pos")
    assert {row["member"] for row in rows(tmp_path / "pos" / "codes.csv")} == {
        "embeddings",
        "layer.0",
        "layer.1",
        "lex",
    }
    assert (tmp_path / "pos" / "layers.svg").is_file()
    several = run("spr").result.records[0]
    assert several.uniform_bits == several.n_targets * round(several.uniform_bits / several.n_targets)  # a bit a label
    codes = tmp_path / "pos" / "codes.json"
    codes.write_text(codes.read_text().replace('"bits": 1', '"bits": 2', 1).replace('"bits": 3', '"bits": 2', 1)[:-9])
    assert run("pos").result == found.result, "a damaged result is made again"
    assert codes.with_name("codes.json.damaged-1").exists()
    shutil.copy(tmp_path / "spr" / "codes.json", codes.parent)
    with pytest.raises(StoreError, match="codes.json differs in"):
        run("pos")
    codes.unlink()
    assert run("pos").result == found.result
    monkeypatch.setattr("pyrepsim.probing.mdl.fit_online_codes", None)
    assert run("pos").result == found.result


def test_trees(corpus: Path, model: Path, stores: Path, tmp_path: Path):
    parts = {name: corpus / "dependency" / f"{name}.conllu" for name in ("train", "dev", "test")}
    options = {
        "ranks": (4,),
        "epochs": 2,
        "stores": stores,
        "trees": 1,
        "device": "cpu",
        "out": tmp_path / "out",
        **parts,
    }
    found = probe_structural(model, **options)
    assert len(found.result.scored) == 8
    assert {"scores.csv", "layers.svg", "tree-0.svg"} <= {path.name for path in found.files}
    assert probe_structural(model, **options).result.records == found.result.records
    with pytest.raises(StoreError, match=r"differs in ranks\[0\]"):
        probe_structural(model, **(options | {"ranks": (2,)}))


def test_a_sentence_with_a_word_without_tokens_is_left_out_of_trees(
    corpus: Path, model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
):
    text = (corpus / "dependency" / "train.conllu").read_text()
    odd = "1\tfarmer\t_\tNOUN\tNN\t_\t0\troot\t_\t_\n2\t\u200b\t_\tX\tXX\t_\t1\tdep\t_\t_\n\n"
    results = []
    for name, content in (("without", text), ("with", text + odd)):
        file = tmp_path / f"{name}.conllu"
        file.write_text(content, encoding="utf-8")
        options = {"train": file, "dev": file, "ranks": [4], "epochs": 1, "device": "cpu", "figures": ()}
        results.append(probe_structural(model, out=tmp_path / name, **options).result)
    assert "left out 1 of 25 sentences" in caplog.text
    assert f"with.conllu:{text.count(chr(10)) + 1}" in caplog.text
    assert results[0].records == results[1].records


def test_a_word_without_tokens_leaves_the_other_targets_of_its_sentence(probe: Any, tmp_path: Path):
    (tmp_path / "odd.jsonl").write_text(
        json.dumps(
            {
                "text": "the farmer \u200b",
                "targets": [{"span1": [0, 1], "label": "DT"}, {"span1": [2, 3], "label": "NN"}],
            }
        )
        + "\n"
        + json.dumps({"text": "the farmer", "targets": [{"span1": [1, 2], "label": "NN"}]})
        + "\n"
    )
    probing = probe("pos", train=tmp_path / "odd.jsonl", dev=tmp_path / "odd.jsonl")
    findings = (probing.folder / "findings.csv").read_text()
    assert "the store has another text" not in findings
    assert findings.count("\n") == 3  # a header, and the target without tokens in both parts


def test_a_plan_agrees_with_the_extraction(probe: Any, corpus: Path, model: Path, tmp_path: Path):
    options = {"data": corpus / "edge" / "srl", "out": tmp_path / "out", "device": "cpu"}
    planned = plan_probing(model, "srl", **options)
    assert [split.split for split in planned.splits] == ["train", "dev", "test"]
    assert not (tmp_path / "out").exists()
    found = probe("srl", stores=None)
    assert planned.n_bytes_left == found.n_bytes
    assert plan_probing(model, "srl", **options).n_bytes_left == 0
    assert "targets" in planned.table()


def test_error_messages(probe: Any, corpus: Path, tmp_path: Path):
    pos = corpus / "edge" / "pos"
    with pytest.raises(OptionError, match="got no dev"):
        probe(train=pos / "train.jsonl")
    with pytest.raises(OptionError, match="got both, data and train"):
        probe(data=pos, train=pos / "train.jsonl")
    with pytest.raises(OptionError, match="A task of edge probing"):
        probe("dep", data=pos)
    with pytest.raises(OptionError, match="setting of the recipe"):
        probe(recipe={"lr": 1})
    with pytest.raises(OptionError, match="A figure format"):
        probe(figures=("gif",))
    with pytest.raises(OptionError, match=r"options of probing\.corpora\.read"):
        probe(reading={"tag": "upos"})
    with pytest.raises(StoreError, match=r"has no edge\.npz"):
        probe(base=tmp_path)
    with pytest.raises(TextError, match="must have one span"):
        probe("pos", train=corpus / "edge" / "srl" / "train.jsonl", dev=pos / "dev.jsonl")
    other = probe(out="other", train=pos / "train.jsonl", dev=pos / "dev.jsonl", test=pos / "dev.jsonl")
    with pytest.raises(RowMismatchError):
        probe(base=other)

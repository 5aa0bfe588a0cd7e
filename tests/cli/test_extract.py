"""`extract` and the fused `compare`, from the command line to a store, on a tiny model."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

import pyrepsim as rs
from tests.helpers.tiny_models import tiny_bert

pytest.importorskip("torch")
pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.txt"
    path.write_text("the keys are here\n\nthe river flows\n" * 30, encoding="utf-8")
    return path


def test_extract_writes_a_store_and_resumes(run, model: Path, text: Path, tmp_path: Path):
    first = run("extract", model, text)
    assert first.status == 0
    name = f"{model.parent.name}-tiny"
    store = rs.open_store(tmp_path / "acts" / name)
    assert store.layers == ("embeddings", "layer.0", "layer.1")
    assert f"store = rs.extract({str(model)!r}, {str(text)!r}, out='acts/{name}')" in first.err
    again = run("extract", model, text)
    assert again.status == 0
    assert rs.open_store(tmp_path / "acts" / name).digest == store.digest


def test_options_are_used(run, model: Path, text: Path, tmp_path: Path):
    words = ["--layers", "layer.1", "--dtype", "float32", "--words", "first", "--out", "w"]
    assert run("extract", model, text, *words).status == 0
    store = rs.open_store(tmp_path / "w")
    assert (store.layers, store.dtype) == (("layer.1",), "float32")
    assert store.n_rows == 30 * (4 + 3)


def test_a_dry_run_writes_nothing(run, model: Path, text: Path, tmp_path: Path):
    before = sorted(tmp_path.rglob("*"))
    ran = run("extract", model, text, "--dry-run")
    assert ran.status == 0
    for part in ("60 texts", "tokens", "of padding", "to write", "free at", "about 0 s"):
        assert part in ran.out
    assert sorted(tmp_path.rglob("*")) == before


def test_a_dry_run_reports_a_full_disk(run, model: Path, text: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    ran = run("extract", model, text, "--dry-run", "--out", "new/store")
    assert ran.status == 2
    assert "100 B free" in ran.out
    assert "must fit on the disk" in ran.err


def test_a_dry_run_of_an_unfinished_store_reports_the_rest(
    run, model: Path, text: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("pyrepsim.extraction.plan.SHARD_TOKENS", 100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    planned = run("extract", model, text, "--out", "s", "--dry-run").out.splitlines()[-1]
    assert (
        run("extract", model, text, "--out", "s", "--worker", "0/2").out
        == "s: this share is done, other workers are still running\n"
    )
    half = run("extract", model, text, "--out", "s", "--dry-run").out.splitlines()[-1]
    total = planned.partition(" to write")[0]
    assert f" of {total} to write, 100 B free" in half
    assert f"0 B of {total} to write" in run("extract", model, text, "--out", "s", "--dry-run", "--worker", "0/2").out
    assert run("extract", model, text, "--out", "s").status == 0
    done = run("extract", model, text, "--out", "s", "--dry-run")
    assert done.status == 0, "nothing is left to write"
    assert f"0 B of {total} to write" in done.out
    assert "differs in dtype" in run("extract", model, text, "--out", "s", "--dry-run", "--dtype", "float32").err
    anew = run("extract", model, text, "--out", "s", "--dry-run", "--dtype", "float32", "--overwrite")
    assert "must fit on the disk" in anew.err


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    records = [{"label": "x", "premise": f"the keys are here {n}", "hypothesis": "keys"} for n in range(30)]
    path.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    return path


def test_a_field_is_chosen_in_every_verb_that_reads(run, model: Path, pairs: Path):
    assert "--field premise" in run("extract", model, pairs, "--out", "a").err
    ran = run("extract", model, pairs, "--field", "premise", "--out", "a")
    assert ran.status == 0
    assert f"texts = rs.read_texts({str(pairs)!r}, field='premise')" in ran.err
    assert f"store = rs.extract({str(model)!r}, texts, out='a')" in ran.err
    assert rs.open_store("a").plan["rows"]["documents"] == 30
    assert "30 texts" in run("extract", model, pairs, "--field", "premise", "--dry-run").out
    ran = run("compare", model, model, "--texts", pairs, "--field", "premise", "--measures", "LinearCKA")
    assert ran.status == 0
    assert "texts, ['LinearCKA'])" in ran.err


def test_subset_and_split_are_used(run, model: Path, monkeypatch: pytest.MonkeyPatch):
    datasets = pytest.importorskip("datasets")
    calls = []

    def load_dataset(name: str, config: str | None, split: str | None) -> object:
        calls.append((name, config, split))
        return datasets.Dataset.from_dict({"premise": ["the keys", "are here"]})

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    words = ["--field", "premise", "--subset", "mnli", "--split", "dev"]
    assert run("extract", model, "owner/glue", *words, "--out", "a").status == 0
    assert calls == [("owner/glue", "mnli", "dev")]


def test_the_fused_comparison_takes_the_options_of_reading(run, model: Path, tmp_path: Path):
    (tmp_path / "long.txt").write_text("the keys are here and the river flows " * 20)
    words = ["compare", model, model, "--texts", "long.txt", "--measures", "LinearCKA", "--layers", "layer.1"]
    assert "long='window'" in run(*words).err
    more = ["--long", "truncate", "--max-length", "20", "--words", "mean", "--batch-tokens", "64", "--device", "cpu"]
    ran = run(*words, *more, "--out", "s.jsonl")
    assert ran.status == 0
    provenance = rs.Scores.from_jsonl(tmp_path / "s.jsonl")[0].provenance
    assert provenance["policy"] == {"words": "mean", "long": "truncate", "max_length": 20, "batch_tokens": 64}
    assert "words='mean', long='truncate', max_length=20, batch_tokens=64, device='cpu')" in ran.err


def test_options_of_reading_are_refused_for_stores(run):
    ran = run("compare", "a", "b", "--max-length", "12", "--words", "mean")
    assert ran.status == 2
    assert "need --texts: got --words, --max-length for two stores" in ran.err


def test_two_stores_of_one_plan_compare(run, model: Path, text: Path):
    assert run("extract", model, text, "--out", "a").status == 0
    assert run("extract", model, text, "--out", "b", "--same-plan-as", "a").status == 0
    ran = run("compare", "a", "b", "--measures", "LinearCKA")
    assert [line.split()[-1] for line in ran.out.splitlines()[3:]] == ["1.0000"] * 3


def test_compare_models_without_a_store(run, model: Path, text: Path, tmp_path: Path):
    ran = run("compare", model, model, "--texts", text, "--measures", "CCA, LinearCKA", "--layers", "layer.1")
    assert ran.status == 0
    assert ran.out.splitlines()[-1].split() == ["layer.1", "1.0000", "1.0000"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["text.txt"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["extract", "{model}", "absent.txt"], "absent.txt"),
        (["extract", "./absent", "{text}"], "A model path must be an existing folder"),
        (["extract", "{folder}", "{text}"], "has no config.json"),
        (["extract", "{model}", "{text}", "--layers", "layer.9"], "layer.9"),
        (["extract", "{model}", "{text}", "--worker", "4/4"], "worker must be 'i/n'"),
        (["extract", "{model}", "{text}", "--same-plan-as", "absent"], "absent"),
        (["extract", "{model}", "{text}", "--device", "toaster"], "toaster"),
    ],
)
def test_an_error_is_reported(run, model: Path, text: Path, words: list[str], message: str):
    ran = run(*(word.format(model=model, text=text, folder=text.parent) for word in words))
    assert ran.status == 2
    assert message in ran.err.splitlines()[-1]
    assert ran.err.splitlines()[-1].startswith("pyrepsim: ")


def test_hook_points_are_named_on_the_command_line(run, model: Path, text: Path, tmp_path: Path):
    names = "layer.*.mlp,layer.1.heads.*,encoder.layer.0.intermediate.dense"
    assert run("extract", model, text, "--layers", names, "--out", "a").status == 0
    store = rs.open_store(tmp_path / "a")
    expected = {
        "layer.0.mlp",
        "layer.1.mlp",
        "layer.1.heads.0",
        "layer.1.heads.1",
        "encoder.layer.0.intermediate.dense",
    }
    assert set(store.layers) == expected
    pairs = run(
        "compare", "a", "a", "--layers", "layer.*.mlp,layer.1.heads.0:layer.1.heads.*", "--measures", "LinearCKA"
    )
    assert pairs.status == 0
    assert pairs.out.count("LinearCKA") >= 1
    described = run("profile", "a", "--layers", "layer.*.mlp")
    assert described.status == 0
    assert "layer.1.heads.0" not in described.out
    assert "layer.1.mlp" in described.out
    live = run("compare", model, model, "--texts", text, "--layers", "layer.*.neurons", "--measures", "LinearCKA")
    assert live.status == 0
    wrong = run("extract", model, text, "--layers", "layer.0.neuron", "--out", "b")
    assert wrong.status == 2
    assert "Did you mean 'layer.0.neurons'?" in wrong.err


def test_rows_are_chosen(run, model: Path, text: Path):
    assert run("extract", model, text, "--tokens", "last", "--out", "l").status == 0
    assert rs.open_store("l").n_rows == 60
    assert run("extract", model, text, "--rows", "document", "--tokens", "-2:", "--out", "d").status == 0
    store = rs.open_store("d")
    assert (store.n_rows, store.plan["rows"]["unit"], store.plan["policy"]["tokens"]) == (60, "document", "-2:")
    assert "differs in" in run("extract", model, text, "--out", "l").err
    assert "extracted with tokens='last'" in run("compare", "l", "l", "--tokens", "first").err
    assert "A row is a word or a document" in run("extract", model, text, "--rows", "document", "--words", "mean").err
    ran = run("compare", model, model, "--texts", text, "--rows", "document", "--measures", "Procrustes")
    assert ran.status == 0
    assert "n = 60" in ran.out
    assert "Options about texts need --texts: got --rows" in run("compare", "l", "l", "--rows", "document").err


def test_two_fields_are_pairs(run, model: Path, pairs: Path):
    ran = run("extract", model, pairs, "--field", "premise,hypothesis", "--out", "p")
    assert ran.status == 0
    assert f"texts = rs.read_texts({str(pairs)!r}, field=('premise', 'hypothesis'))" in ran.err
    assert set(rs.open_store("p").columns.sent_id.tolist()) == {0, 1}  # this tokenizer adds nothing to pairs

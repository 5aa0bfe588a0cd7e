"""Parsing of layers, measures and file names of the command line."""

from __future__ import annotations

from pathlib import Path

import pytest

from pyrepsim.cli.options import layer_option, model_folder, output_files, split_measures
from pyrepsim.core.errors import OptionError


def test_layers():
    assert layer_option("all") == "all"
    assert layer_option("embeddings, layer.8") == ["embeddings", "layer.8"]
    assert layer_option("a:b,c", pairs=True) == [("a", "b"), ("c", "c")]
    assert layer_option("layer.*.mlp,a.*:b", pairs=True) == ["layer.*.mlp", ("a.*", "b")]
    assert [layer_option(word, pairs=True) for word in ("best", "relative")] == ["best", "relative"]
    assert layer_option("best") == ["best"]
    with pytest.raises(OptionError, match="Layers are names"):
        layer_option(" , ")


@pytest.mark.parametrize(
    "given", ["RSA(metric='dot', compare='cosine'), CCA,", ["RSA(metric='dot', compare='cosine')", "CCA"]]
)
def test_measures_are_split_outside_parentheses(given):
    assert split_measures(given) == ["RSA(metric='dot', compare='cosine')", "CCA"]


def test_files_by_their_endings():
    assert output_files("a/s.CSV, f.svg") == {Path("a/s.CSV"): "to_csv", Path("f.svg"): "plot"}
    assert output_files(None) == {}
    with pytest.raises(OptionError, match=r"must end in one of \.csv.*: got a\.doc"):
        output_files(["a.doc"])


def test_a_file_that_could_not_be_written_is_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.csv").mkdir()
    assert output_files(str(tmp_path / "new" / "er" / "s.csv"))
    with pytest.raises(OptionError, match=r"file, on the way to .*s\.csv, is no folder\. Choose another --out"):
        output_files(str(tmp_path / "file" / "sub" / "s.csv"))
    with pytest.raises(OptionError, match=r"folder\.csv is a folder"):
        output_files(str(tmp_path / "folder.csv"))
    monkeypatch.setattr("os.access", lambda path, mode: False)  # a test that runs as root may write anywhere
    with pytest.raises(OptionError, match="you may not write to"):
        output_files(str(tmp_path / "s.csv"))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["file", "folder.csv"]


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("bert-base-uncased", "bert-base-uncased"),
        ("runs/mnli/seed0", "mnli-seed0"),
        ("./seed0/", "seed0"),
        ("/data/runs/seed0/checkpoint-500", "seed0-checkpoint-500"),
        ("../seed1", "seed1"),
        ("org/model@main", "org-model@main"),
        ("/", "model"),
    ],
)
def test_a_store_is_named_after_its_model(model: str, name: str):
    assert model_folder(model) == name


def test_the_working_directory_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "runs" / "seed0").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "runs" / "seed0")
    assert model_folder(".") == "runs-seed0"

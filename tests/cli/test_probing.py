"""`pyrepsim probe` on a random encoder and a few synthetic sentences."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.annotated_text import write_annotated_text
from tests.helpers.tiny_models import tiny_bert

RECIPE = '{"validate_every": 1, "max_validations": 1, "projection": 4, "hidden": 4}'
QUICK = ("--recipe", RECIPE, "--device", "cpu")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bert(tmp_path_factory.mktemp("models") / "tiny", width=8, positions=128)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    return write_annotated_text(folder, train=8, dev=4, test=4)


def test_edge_probes_and_the_python_that_does_the_same(run: Callable[..., Any], encoder: Path, corpus: Path):
    words = ("probe", "edge", encoder, "--task", "pos", "--data", corpus / "edge" / "pos", *QUICK, "--figures", "")
    ran = run(*words)
    assert ran.status == 0, ran.err
    out = Path("probes/pos") / f"{encoder.parent.name}-tiny"
    assert "pos: F1 in percent on test" in ran.out
    assert str(out / "scores.csv") in ran.out
    assert "stores: " in ran.out
    assert "probe_edge(" in ran.err
    assert "recipe={'validate_every': 1, 'max_validations': 1, 'projection': 4, 'hidden': 4}" in ran.err
    assert "# task: pos" in ran.err
    assert run(*words).out == ran.out
    after = run(*words, "--out", "random", "--random-init", "--base", out, "--keep-stores", "false")
    assert after.status == 0, after.err
    assert "compared with base" in after.out
    assert "stores: " not in after.out
    shown = run("probe", "table", ".", "--member", "top", "--out", "table.csv")
    assert shown.out.splitlines()[0].split() == ["task", "lex", out.name, "random"]
    assert Path("table.csv").read_text().count("pos,") == 2


def test_a_dry_run_writes_nothing(run: Callable[..., Any], encoder: Path, corpus: Path, tmp_path: Path):
    train, dev = (corpus / "edge" / "srl" / f"{part}.jsonl" for part in ("train", "dev"))
    files = ("--train", train, "--dev", dev)
    ran = run("probe", "edge", encoder, "--task", "srl", *files, "--dry-run")
    assert ran.status == 0, ran.err
    n_texts = len({json.loads(line)["text"] for line in train.read_text().splitlines()})
    assert f"train  {n_texts} sentences, " in ran.out
    assert "to write" in ran.out
    assert not list(tmp_path.iterdir())


def test_trees_and_codes(run: Callable[..., Any], encoder: Path, corpus: Path):
    trees = [corpus / "dependency" / f"{part}.conllu" for part in ("train", "dev")]
    files = ("--train", trees[0], "--dev", trees[1], "--figures", "", "--device", "cpu")
    ran = run("probe", "structural", encoder, *files, "--ranks", "[2,4]", "--epochs", "1")
    assert ran.status == 0, ran.err
    assert "uuas" in ran.out
    assert "ranks=[2, 4]" in ran.err
    ran = run("probe", "mdl", encoder, "--task", "pos", "--data", corpus / "edge" / "pos", *QUICK, "--members", "top")
    assert ran.status == 0, ran.err
    assert "compression" in ran.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["probe", "edge", "x"], "Give one, such as --task dependencies"),
        (["probe", "edge", "x", "--task", "pos"], "got no train and no dev"),
        (["probe", "edges", "x"], "Did you mean edge?"),
        (["probe", "structural", "x", "--train", "a.conllu", "--dev", "b.conllu"], "a.conllu"),
    ],
)
def test_an_error_is_reported(run: Callable[..., Any], words: list[str], message: str):
    ran = run(*words)
    assert ran.status == 2
    assert message in ran.err


def test_the_overview_describes_probes(run: Callable[..., Any]):
    assert "edge, structural, mdl, table: measure what each layer encodes." in run("--help").out
    assert "Classify spans of words" in run("probe", "--help").out

"""The study in miniature, end to end: the rows of every experiment, and that each cell runs once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pyrepsim as rs

torch = pytest.importorskip("torch")
pytest.importorskip("accelerate")

from pyrepsim.finetuning import mean_items, paired_difference, read_items  # noqa: E402
from pyrepsim.studies.merchant2020 import merchant2020  # noqa: E402
from pyrepsim.studies.runner import COLUMNS, Study, run_study  # noqa: E402
from tests.studies.mini_study import mini_scale, mini_study  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
Rows = list[dict[str, Any]]


@pytest.fixture(scope="module")
def out(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study, killed once half way and resumed by two workers."""
    folder = tmp_path_factory.mktemp("study")
    killed = _worker(model, folder, "0/1")
    until = time.monotonic() + 120
    while not list(folder.glob("cells/truncation/mnli-k1-seed0-*/run")) and time.monotonic() < until:
        assert killed.poll() is None, "the study ended before it was killed"
        time.sleep(0.02)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    second = _worker(model, folder, "1/2")
    result = run_study(mini_study(model), out=folder, worker="0/2", progress=False)
    assert result.errors == {}
    assert second.wait(120) == 0
    return folder


def _worker(model: Path, out: Path, share: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "tests.studies.mini_study", str(model), str(out), share]
    return subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def rows(out: Path) -> Rows:
    return [json.loads(line) for line in (out / "rows.jsonl").read_text(encoding="utf-8").splitlines()]


def pick(rows: Rows, **wanted: Any) -> Rows:
    return [row for row in rows if all(row[name] == value for name, value in wanted.items())]


def test_every_experiment_has_its_rows(rows: Rows):
    assert all(tuple(row) == COLUMNS for row in rows)
    counted = Counter(row["experiment"] for row in rows)
    wanted = (
        "finetuning",
        "similarity",
        "domains",
        "edge",
        "structural",
        "freezing",
        "truncation",
        "exit",
        "weights",
        "longer",
    )
    assert {*wanted, "profiles"} <= counted.keys()
    assert {row["model"] for row in rows} == {rows[0]["model"]}
    seeds = pick(rows, experiment="finetuning", task="dependency", metric="las")
    assert [row["seed"] for row in seeds] == [0, 1, None]
    assert seeds[2]["band"] == "t of seeds"
    assert seeds[2]["value"] == pytest.approx((seeds[0]["value"] + seeds[1]["value"]) / 2)


def test_a_second_run_does_nothing_and_leaves_the_same_bytes(model: Path, out: Path):
    before = (out / "rows.jsonl").read_bytes()
    again = run_study(mini_study(model), out=out, progress=False)
    assert again.ran == ()
    assert again.complete
    assert (out / "rows.jsonl").read_bytes() == before


def test_a_killed_and_shared_study_has_the_rows_of_an_uninterrupted_one(model: Path, out: Path, tmp_path: Path):
    only = ["freezing", "domains"]
    assert run_study(mini_study(model), out=tmp_path, only=only, progress=False).complete

    def lines_of(folder: Path) -> list[str]:
        lines = (folder / "rows.jsonl").read_text(encoding="utf-8").splitlines()
        return [line for line in lines if json.loads(line)["experiment"] in (*only, "finetuning", "similarity")]

    expected = lines_of(tmp_path)
    assert set(expected) <= set(lines_of(out))
    assert {json.loads(line)["experiment"] for line in expected} == {*only, "finetuning", "similarity"}
    assert not list((tmp_path / "cells").glob("edge/*"))


def test_stores_and_weights_of_ablations_are_removed_and_tuned_models_kept(out: Path):
    assert not list(out.glob("cells/stores/*/store"))
    assert not list(out.glob("cells/freezing/*/run/*.safetensors"))
    assert len(list(out.glob("cells/finetuning/*/run/model.safetensors"))) == 4


def test_ablations_share_the_full_run_and_never_train_it_again(rows: Rows, out: Path):
    for experiment, k in (("freezing", 0), ("truncation", 2)):
        full = pick(rows, experiment=experiment, k=k, kind="value", metric="accuracy", seed=0)
        trained = pick(rows, experiment="finetuning", task="mnli", seed=0, kind="value", metric="accuracy")
        assert [row["value"] for row in full] == [row["value"] for row in trained]
        assert not list(out.glob(f"cells/{experiment}/mnli-k{k}-*"))
        assert len(pick(rows, experiment=experiment, kind="aggregate", metric="accuracy")) == {0: 3, 2: 2}[k]
    exits = pick(rows, experiment="exit", kind="value", metric="accuracy")
    assert [row["k"] for row in exits] == [1, 2]
    assert exits[-1]["value"] == pytest.approx(trained[0]["value"])


def folder_of(out: Path, cell: str) -> Path:
    (folder,) = out.glob(f"cells/{cell}-*")
    return folder / "run"


@pytest.mark.parametrize(
    ("experiment", "k", "kind", "first", "second"),
    [
        ("freezing", 1, "difference", "finetuning/mnli-seed0", "freezing/mnli-k1-seed0"),
        ("freezing", 2, "difference", "finetuning/mnli-seed0", "freezing/mnli-k2-seed0"),
        ("truncation", 1, "difference", "finetuning/mnli-seed0", "truncation/mnli-k1-seed0"),
        ("longer", 1, "difference", "longer/mnli-k0-seed0", "longer/mnli-k1-seed0"),
        ("longer", 0, "gain", "longer/mnli-k0-seed0", "finetuning/mnli-seed0"),
        ("longer", 1, "gain", "longer/mnli-k1-seed0", "freezing/mnli-k1-seed0"),
    ],
)
def test_differences_are_paired_by_items(
    experiment: str, k: int, kind: str, first: str, second: str, rows: Rows, out: Path
):
    member = "longer training" if kind == "gain" else None
    (row,) = pick(rows, experiment=experiment, kind=kind, k=k, member=member, seed=0)
    found = paired_difference(read_items(folder_of(out, first)), read_items(folder_of(out, second)), "accuracy")
    assert (row["value"], row["low"], row["high"], row["n"]) == found[:4]
    assert row["band"] == "jackknife of paired items"
    assert (row["task"], row["seed"], row["metric"], row["corpus"]) == ("mnli", 0, "accuracy", "mnli-dev")


def test_differences_of_the_means_over_seeds(rows: Rows, out: Path):
    (row,) = pick(rows, experiment="freezing", kind="difference", k=1, seed=None)
    cells = ("finetuning/mnli-seed{}", "freezing/mnli-k1-seed{}")
    first, second = (mean_items([read_items(folder_of(out, cell.format(seed))) for seed in (0, 1)]) for cell in cells)
    assert (row["value"], row["low"], row["high"], row["n"]) == paired_difference(first, second, "accuracy")[:4]
    each = [
        one["value"] for one in pick(rows, experiment="freezing", kind="difference", k=1) if one["seed"] is not None
    ]
    assert row["value"] == pytest.approx(sum(each) / 2, abs=1e-12)
    assert not pick(rows, experiment="truncation", kind="difference", seed=None)


def test_exits_are_compared_with_the_whole_model(rows: Rows, out: Path):
    (row,) = pick(rows, experiment="exit", kind="difference")
    (step,) = out.glob("cells/exit/mnli-seed0-*/sweep/exit-1-seed0")
    found = paired_difference(read_items(folder_of(out, "finetuning/mnli-seed0")), read_items(step), "accuracy")
    assert (row["k"], row["value"], row["low"], row["high"], row["n"]) == (1, *found[:4])


def test_what_is_wrong_with_a_training_is_in_the_rows(rows: Rows, out: Path):
    """A random model after a few updates is no better than the most frequent label."""
    for experiment, cell, k in (
        ("truncation", "truncation/mnli-k1-seed0", 1),
        ("finetuning", "finetuning/mnli-seed1", None),
    ):
        facts = rs.open_run(folder_of(out, cell)).record["facts"]
        found = pick(rows, experiment=experiment, task="mnli", seed=1 if k is None else 0, k=k, kind="fact")
        assert [(row["metric"], row["value"], row["member"]) for row in found] == [tuple(one.values()) for one in facts]
        assert "no better than a constant guess" in {row["metric"] for row in found}
    exits = pick(rows, experiment="exit", kind="fact", k=2)
    full = pick(rows, experiment="finetuning", task="mnli", seed=0, kind="fact")
    after = [row["metric"] for row in full if row["metric"] != "constant pooled vector"]
    assert [row["metric"] for row in exits] == after


def test_the_gain_of_the_last_epoch(rows: Rows, out: Path):
    assert not pick(rows, experiment="freezing", kind="gain")  # one epoch
    for k in (0, 1):
        (row,) = pick(rows, experiment="longer", kind="gain", k=k, member="last epoch")
        scored = [e for e in rs.open_run(folder_of(out, f"longer/mnli-k{k}-seed0")).history if "eval_accuracy" in e]
        assert [entry["epoch"] for entry in scored] == [1, 2]
        assert row["value"] == scored[1]["eval_accuracy"] - scored[0]["eval_accuracy"]


def test_similarity_has_intervals_baselines_seeds_and_pairs_of_layers(rows: Rows):
    found = pick(rows, experiment="similarity", corpus="laboratory", metric="RSA", kind="value")
    assert {row["variant"] for row in found} == {"tuned", "random", "seeds"}
    assert {row["domain"] for row in pick(found, variant="tuned")} == {"out"}
    assert all(row["task"] is None for row in pick(found, variant="random"))
    for row in found:
        assert row["band"] == "jackknife of documents"
        assert row["low"] <= row["value"] <= row["high"] or row["value"] == pytest.approx(1, abs=1e-9)
    tuned = pick(found, variant="tuned", task="mnli", seed=0)
    assert [row["layer"] for row in tuned] == [0, 1, 2]
    assert [row["layer_name"] for row in tuned] == ["embeddings", "layer.0", "layer.1"]
    assert 0 < tuned[-1]["value"] < tuned[0]["value"] < 1
    assert all(row["low"] is None for row in pick(rows, experiment="similarity", metric="Procrustes", kind="value"))
    pairs = pick(rows, experiment="similarity", kind="pair", task="mnli")
    assert {(row["layer"], row["k"]) for row in pairs} == {(i, j) for i in range(3) for j in range(3)}
    assert {row["corpus"] for row in pairs} == {"mnli-dev"}
    assert pick(rows, experiment="similarity", metric="RSA without rogue dimensions", task="dependency", seed=1)
    assert pick(rows, experiment="similarity", metric="centre of change: RSA", task="mnli", layer=None)


def test_domains_are_out_minus_in_with_tests(rows: Rows):
    similarity = pick(rows, experiment="similarity", seed=0, metric="DocumentRSA", variant="tuned", kind="value")

    def gap(task: str, layer: int) -> float:
        out, own = (
            pick(similarity, task=task, corpus=corpus, layer=layer)[0]["value"]
            for corpus in ("laboratory", "mnli-sentences")
        )
        return out - own

    found = pick(rows, experiment="domains", task="mnli", seed=0, metric="DocumentRSA")
    assert [row["layer"] for row in found] == [0, 1, 2]
    for row in found:
        assert row["value"] == pytest.approx(gap("mnli", row["layer"]))
        assert row["kind"] == "difference"
        assert row["band"] == "jackknife of differences"
        assert 0 <= row["p"] <= row["p_holm"] <= 1
        assert row["low"] <= row["value"] <= row["high"]
    assert len(pick(rows, experiment="domains", task="mnli", metric="RSA", kind="difference")) == 6
    top = pick(rows, experiment="domains", task="mnli", metric="out - in, top third: DocumentRSA", seed=0)
    assert {row["member"]: row["value"] for row in top} == pytest.approx(
        {task: gap(task, 2) for task in ("mnli", "dependency")}
    )


def test_the_gap_of_other_tasks_is_subtracted(rows: Rows):
    top = pick(rows, experiment="domains", task="mnli", metric="out - in, top third: DocumentRSA")
    means = {task: np.mean([row["value"] for row in top if row["member"] == task]) for task in ("mnli", "dependency")}
    (gap,) = pick(rows, experiment="domains", metric="out - in, top third minus other tasks: DocumentRSA")
    assert gap["value"] == pytest.approx(means["mnli"] - means["dependency"])
    assert (gap["seed"], gap["member"], gap["kind"]) == (None, None, "difference")
    by_layer = pick(rows, experiment="domains", metric="DocumentRSA minus other tasks")
    assert by_layer[2]["value"] == pytest.approx(gap["value"])  # of two blocks, the top third is the last


def test_tasks_are_compared_on_the_shared_text_after_both_trainings(rows: Rows):
    for variant in ("tuned", "equal"):
        metric = "centre of change: DocumentRSA"
        of_models = pick(rows, experiment="similarity", variant=variant, metric=metric, corpus="laboratory")
        means = {
            task: np.mean([row["value"] for row in pick(of_models, task=task, kind="value")])
            for task in ("mnli", "dependency")
        }
        (found,) = pick(rows, experiment="similarity", variant=variant, metric=metric, kind="difference")
        assert (found["task"], found["member"], found["seed"]) == ("mnli", "dependency", None)
        assert found["value"] == pytest.approx(means["mnli"] - means["dependency"])
        assert found["low"] < found["value"] < found["high"]
    metric = "mean similarity of the blocks: DocumentRSA"
    floor = pick(rows, experiment="similarity", variant="random", metric=metric, corpus="laboratory")[0]["value"]
    for task in ("mnli", "dependency"):
        own = pick(rows, experiment="similarity", variant="tuned", task=task, metric=metric, corpus="laboratory")
        mean = np.mean([row["value"] for row in own if row["kind"] == "value"])
        (nearer,) = [row for row in own if row["member"] == "half-way"]
        assert nearer["value"] == pytest.approx(mean - (1 + floor) / 2)
    equal = pick(rows, experiment="equal_updates", variant="equal", task="mnli")
    assert [(row["seed"], row["k"]) for row in equal] == [(0, 4), (1, 4)]


def test_probes_have_members_baselines_and_differences(rows: Rows):
    edge = pick(rows, experiment="edge", probe_task="dependencies")
    base = pick(edge, variant="base")
    assert [row["member"] for row in base if row["k"] is not None] == ["mix.0", "mix.1", "mix.2"]
    assert {row["member"] for row in base} >= {"lex", "embeddings", "layer.0", "layer.1"}
    assert pick(edge, variant="random")
    changed = pick(edge, kind="difference", task="mnli", member="mix.2")[0]
    after, before = pick(edge, task="mnli", member="mix.2", kind="value")[0], pick(base, member="mix.2")[0]
    assert changed["value"] == pytest.approx(after["value"] - before["value"])
    assert (changed["band"], changed["n"]) == ("jackknife of documents", 16)
    (lexical,) = pick(base, member="lex")
    (random,) = pick(edge, variant="random")
    assert random["member"] == "mix.2"
    for floor, score in (("lexical", lexical["value"]), ("random", random["value"])):
        margin, context = (
            pick(edge, task="mnli", metric=f"f1_{part}_{floor}", kind="difference")[0] for part in ("margin", "context")
        )
        assert margin["value"] == pytest.approx(after["value"] - (before["value"] + score) / 2, abs=1e-12)
        assert context["value"] == pytest.approx(before["value"] - score, abs=1e-12)
        assert (margin["member"], margin["n"], margin["confidence"]) == ("mix.2", 16, 0.95)
    structural = pick(rows, experiment="structural", variant="base", metric="uuas")
    assert [row["member"] for row in structural] == ["embeddings", "layer.0", "layer.1", "best", "top"]
    assert structural[-1]["value"] == structural[2]["value"]
    assert structural[0]["n"] > 16
    assert structural[0]["rank"] == 4
    (best,) = pick(structural, member="best")
    best_of = {row["variant"]: row for row in pick(rows, experiment="structural", metric="uuas", member="best")
               if row["kind"] == "value" and row["task"] in (None, "mnli")}  # fmt: skip
    assert {row["layer_name"] for row in best_of.values()} == {best["layer_name"]}
    margin, random_margin = (
        pick(rows, experiment="structural", task="mnli", metric=f"uuas_margin_{floor}")[0]
        for floor in ("lexical", "random")
    )
    after = best_of["tuned"]["value"]
    assert margin["value"] == pytest.approx(after - (best["value"] + structural[0]["value"]) / 2, abs=1e-12)
    expected = after - (best["value"] + best_of["random"]["value"]) / 2
    assert random_margin["value"] == pytest.approx(expected, abs=1e-12)


def test_the_record_names_model_scale_and_cells(out: Path):
    record = json.loads((out / "study.json").read_text(encoding="utf-8"))
    assert record["study"] == "merchant2020"
    assert record["scale"] == "mini"
    assert record["layers"] == 2
    assert {cell["state"] for cell in record["cells"]} == {"done"}
    assert str(ROOT) not in json.dumps(record["cells"])
    claims = [json.loads(line) for line in (out / "claims.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [claim["claim"] for claim in claims] == ["C3", "C4", "C5", "C6", "C7", "C8"]


def test_keys_depend_on_what_determines_the_result_alone(model: Path, tmp_path: Path):
    keys = mini_study(model).keys()
    moved = tmp_path / model.parent.name / model.name
    moved.parent.mkdir(parents=True)
    moved.symlink_to(model)
    assert (
        merchant2020(moved, mini_scale(), device="cpu").keys()["stores/base-laboratory"]
        == keys["stores/base-laboratory"]
    )

    blocks = mini_study(model, similarity={"measures": ["RSA"], "blocks": 5}).keys()
    assert blocks["finetuning/mnli-seed0"] == keys["finetuning/mnli-seed0"]
    assert blocks["similarity/random-laboratory"] != keys["similarity/random-laboratory"]


def test_probes_of_one_corpus_share_the_activations_of_a_model(model: Path, tmp_path: Path):
    """One cell extracts the texts of both probes; the scores are those of stores of their own, and no store is left."""
    folder = "village/edge/dependencies"
    recipe = {"validate_every": 5, "max_validations": 1, "projection": 8, "hidden": 8}

    def study(control: bool, **source: str) -> Study:
        probe = {"task": "dependencies", "members": ["mix", "lex"], "recipe": recipe, **source}
        return mini_study(model, edge={"seeds": [], "control": control, "probes": {"first": probe, "second": probe}})

    shared = study(False, data=folder)
    apart = study(True, **{part: f"{folder}/{part}.jsonl" for part in ("train", "dev", "test")})
    scores = []
    for name, one in (("shared", shared), ("apart", apart)):
        result = run_study(one, out=tmp_path / name, only=["edge"], progress=False)
        assert result.errors == {}
        rows = list(result.rows())
        found = {(row["variant"], row["probe_task"], row["member"]): row["value"] for row in pick(rows, kind="value")}
        assert len(found) == 6
        scores.append(found)
        selectivity = pick(rows, metric="selectivity", kind="difference", variant="base", probe_task="first")
        assert [row["member"] for row in selectivity] == (["lex", "mix.2"] if one is apart else [])
    stores = [cell.name for cell in shared.select(["edge"]) if cell.experiment == "stores"]
    assert stores == ["base-probes-village-edge-dependencies", "random-probes-village-edge-dependencies"]
    assert not [cell for cell in apart.select(["edge"]) if cell.experiment == "stores"]
    for key, value in scores[1].items():
        assert scores[0][key] == pytest.approx(value, abs=0.01), key
    assert list((tmp_path / "shared").glob("cells/stores/*/texts.txt"))
    assert not list((tmp_path / "shared").glob("cells/stores/*/stores"))
    assert not list((tmp_path / "shared").glob("cells/edge/*/probing/stores"))

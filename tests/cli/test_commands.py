"""Each command, run in this process: what it prints, writes and returns, and the Python that it prints."""

from __future__ import annotations

import runpy
import shutil
import signal
import sys
import time
import weakref
from pathlib import Path

import numpy as np
import pytest

import pyrepsim as rs
from pyrepsim.cli import commands, transcript
from pyrepsim.core.errors import StoreError

LAYERS = ("embeddings", "layer.0", "layer.1")


def test_compare_prints_a_table_and_writes_files(run, stores, tmp_path: Path):
    pytest.importorskip("matplotlib")
    pytest.importorskip("jinja2")
    ran = run("compare", *stores, "--out", "s.csv,s.jsonl,deep/page.html,layers.svg,layers.png")
    assert ran.status == 0
    assert "base ~ tuned, n = 200" in ran.out
    for name in ("LinearCKA(debiased=True)", "SVCCA", "PWCCA", "RSA", "Procrustes", *LAYERS):
        assert name in ran.out
    scores = rs.Scores.from_jsonl(tmp_path / "s.jsonl")
    assert len(scores) == 15
    assert scores == rs.compare(*map(rs.open_store, stores), list(scores.measures))
    for name in ("s.csv", "deep/page.html", "layers.svg", "layers.png"):
        assert (tmp_path / name).stat().st_size > 100
        assert str(Path(name)) in ran.out


def test_compare_prints_the_equivalent_python(run, stores):
    ran = run("compare", *stores, "--measures", "CCA", "--layers", "layer.0:layer.1", "--n-threads", "1")
    assert "# n_threads: 1" in ran.err
    spoken = [line for line in ran.err.splitlines() if not line.startswith("#")]
    assert spoken[-1] == "scores = rs.compare(x, y, ['CCA'], layers=[('layer.0', 'layer.1')], n_threads=1)"
    names: dict = {}
    exec("\n".join(spoken), names)
    assert names["scores"].table() in ran.out


def test_compare_with_intervals(run, stores):
    ran = run("compare", *stores, "--measures", "RSA", "--interval", "Jackknife(blocks=8)", "--out", "s.jsonl")
    assert ran.status == 0
    assert "interval='Jackknife(blocks=8)'" in ran.err
    plan = rs.Jackknife(blocks=8)
    assert rs.Scores.from_jsonl("s.jsonl") == rs.compare(*map(rs.open_store, stores), ["RSA"], interval=plan)
    assert "one of Bootstrap, Jackknife: got 'Jackknives'" in run("compare", *stores, "--interval", "Jackknives").err
    ran = run("compare", "a", "b", "--texts", "t.txt", "--interval", "Jackknife")
    assert (ran.status, "Extract both models first" in ran.err) == (2, True)


def test_compare_every_layer_pair(run, stores):
    lines = run("compare", *stores, "--measures", "LinearCKA", "--layers", "all").out.splitlines()
    assert len(lines) == 3 + 9


def test_compare_resumes_from_a_checkpoint(run, stores, tmp_path: Path):
    words = ["compare", *stores, "--measures", "CCA", "--checkpoint", "sums"]
    first = run(*words)
    assert any((tmp_path / "sums").iterdir())
    assert run(*words).out == first.out


def test_profile(run, stores):
    ran = run("profile", stores[0], "--layers", "layer.0,layer.1")
    assert ran.status == 0
    assert ran.out.splitlines()[1].startswith("layer.0")
    assert len(ran.out.splitlines()) == 3


def test_cache_ls(run, stores):
    ran = run("cache", "ls", ".")
    assert ran.status == 0
    assert "3 layers x 200 rows, float32" in ran.out
    assert len(ran.out.splitlines()) == 2


def test_cache_info(run, stores):
    ran = run("cache", "info", stores[0])
    assert "200 rows" in ran.out
    assert rs.open_store(stores[0]).digest in ran.out
    assert '"texts": "t"' in ran.out


def test_cache_verify_finds_a_flipped_bit(run, stores):
    assert run("cache", "verify", stores[0]).status == 0
    shard = next(stores[0].glob("layers/*/shard-*"))
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    ran = run("cache", "verify", stores[0])
    assert ran.status == 1
    assert "shard 0" in ran.out
    assert ran.out.endswith(": 1 problem\n")


def test_cache_of_an_unfinished_store(run, stores, tmp_path: Path):
    rows = {name: np.arange(4) for name in ("doc_id", "position", "token_id")}
    writer = rs.StoreWriter.create(tmp_path / "half", {"note": "x\x9by"}, layers={"a": 3}, shard_rows=[4, 4, 4])
    writer.commit(1, rows, {"a": np.ones((4, 3), np.float32)})
    ran = run("cache", "verify", "half")
    assert ran.status == 0
    assert "all checksums of committed shards agree. 1 of 3 shards committed, not sealed" in ran.out
    ran = run("cache", "info", "half")
    assert ran.status == 0
    for part in ("12 rows", "when complete", "1 of 3 shards committed, not sealed", "3 features", '"note": "x\\x9by"'):
        assert part in ran.out
    assert "not sealed" not in run("cache", "verify", stores[0]).out


def test_cache_ls_prints_no_control_characters(run, stores, tmp_path: Path):
    (tmp_path / "acts" / "base").rename(tmp_path / "acts" / "ba\x1b[31mse")
    ran = run("cache", "ls", ".")
    assert "acts/ba\\x1b[31mse" in ran.out
    assert "\x1b" not in ran.out


def test_compare_finds_at_once_that_a_file_cannot_be_written(run, stores, tmp_path: Path):
    (tmp_path / "file").write_text("")
    ran = run("compare", *stores, "--out", "file/s.csv")
    assert ran.status == 2
    assert "is no folder. Choose another --out." in ran.err
    assert "rs.compare" not in ran.err


def test_cache_export(run, stores, tmp_path: Path):
    ran = run("cache", "export", stores[0], "arrays")
    assert ran.status == 0
    layer = np.load(tmp_path / "arrays" / "layer.0.npy")
    np.testing.assert_array_equal(layer, np.asarray(rs.open_store(stores[0])["layer.0"]))


def test_info_names_versions_and_backends(run):
    out = run("info").out
    for word in ("pyrepsim", "python", "processor", "threads", "backend cpu", "backend reference", "numpy"):
        assert word in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["compare", "{base}", "{tuned}", "--measures", "CAC"], "a measure is one of CCA"),
        (["compare", "{base}", "{tuned}", "--layers", "layer.7"], "got 'layer.7'"),
        (["compare", "{base}", "{tuned}", "--out", "s.doc"], "must end in one of"),
        (["compare", "{base}", "{tuned}", "--backend", "tpu"], "backend must be"),
        (["compare", "{base}", "absent"], "there is none at absent"),
        (["compare", "a", "b", "--texts", "t.txt", "--checkpoint", "c"], "A checkpoint is for stores"),
        (["profile", "absent"], "there is none at absent"),
        (["cache", "ls", "absent"], "there are none below absent"),
        (["cache", "info", "."], "has a file plan.json"),
        (["cache", "export", "{base}", "{tuned}"], "An export needs a new folder"),
        (["demo", "--model-x", "only-one"], "The demo compares two models: got one"),
    ],
)
def test_an_error_is_one_message_and_status_2(run, stores, words: list[str], message: str):
    ran = run(*(word.format(base=stores[0], tuned=stores[1]) for word in words))
    assert ran.status == 2
    assert message in ran.err
    assert [line for line in ran.err.splitlines() if line.startswith("pyrepsim: ")]


def test_debug_shows_where_an_error_came_from(run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PYREPSIM_DEBUG", "1")
    with pytest.raises(StoreError, match="there is none at absent"):
        run("profile", "absent")


def test_ctrl_c_prints_the_command_that_resumes(run, monkeypatch: pytest.MonkeyPatch):
    def interrupt(self, call):
        raise KeyboardInterrupt

    monkeypatch.setattr(commands.Info, "run", interrupt)
    ran = run("info")
    assert ran.status == 130
    assert ran.err.splitlines()[-1].strip() == "pyrepsim info"


@pytest.mark.parametrize("error", [StoreError("a file is closed"), RuntimeError("release unlocked lock")])
def test_an_error_that_ctrl_c_causes_while_cleaning_up_is_an_interruption(run, monkeypatch, error: Exception):
    def interrupt(self, call):
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            raise error

    monkeypatch.setattr(commands.Info, "run", interrupt)
    ran = run("info")
    assert ran.status == 130
    assert ran.err.splitlines()[-1].strip() == "pyrepsim info"
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_in_a_callback_whose_errors_python_ignores_is_not_lost(run, monkeypatch):
    class Watched:
        """What a weak reference can refer to."""

    def interrupt(self, call):
        watched = Watched()
        reference = weakref.ref(watched, lambda _: signal.raise_signal(signal.SIGINT))
        del watched
        assert reference() is None
        time.sleep(30)

    monkeypatch.setattr(commands.Info, "run", interrupt)
    before, started = sys.unraisablehook, time.monotonic()
    assert run("info").status == 130
    assert time.monotonic() - started < 15
    assert sys.unraisablehook is before


def test_a_full_disk_is_a_message(run, stores, monkeypatch: pytest.MonkeyPatch):
    def full(self, path):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(rs.Scores, "to_csv", full)
    ran = run("compare", *stores, "--measures", "CCA", "--out", "s.csv")
    assert ran.status == 2
    assert "No space left on device" in ran.err


def test_options_with_default_values_are_not_printed(capsys: pytest.CaptureFixture[str]):
    say = transcript.Transcript("a: 1\n{}\n")
    measure = say("measure", "parse_measure", "CCA")
    assert str(measure) == "CCA"
    assert capsys.readouterr().err == "# a: 1\nimport pyrepsim as rs\nmeasure = rs.parse_measure('CCA')\n"


def test_the_module_is_the_command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "argv", ["pyrepsim", "--version"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_module("pyrepsim", run_name="__main__")
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("pyrepsim ")


def test_compare_revisions(run, tiny_models, tmp_path: Path):
    base, tuned = tiny_models
    for step, model in ((20, base), (3, tuned)):
        shutil.copytree(model, tmp_path / "run" / f"checkpoint-{step}")
    (tmp_path / "t.txt").write_text("the keys are here\nthe river bank flows\n")
    words = ["--texts", "t.txt", "--measures", "LinearCKA", "--device", "cpu", "--n-threads", "1"]
    ran = run("compare-revisions", "run", *words)
    assert ran.status == 0
    assert ran.out.splitlines()[0] == "checkpoint-20 ~ each revision, n = 8"
    assert [line.split()[:2] for line in ran.out.splitlines()[3:6]] == [["checkpoint-3", name] for name in LAYERS]
    assert ran.out.splitlines()[-1] == "sweeps/run/scores.csv"
    assert (tmp_path / "sweeps" / "run" / "scores.csv").exists()
    assert ran.err.splitlines()[-1].startswith("result = rs.compare_revisions('run', None, 't.txt', ['LinearCKA'], ")
    assert run("compare-revisions", "run", *words).out == ran.out


@pytest.mark.parametrize("place", ["after the model", "around options", "as an option"])
def test_revisions_are_the_words_after_the_model(run, tiny_models, tmp_path: Path, place: str):
    base, tuned = tiny_models
    for step, model in ((20, base), (3, tuned), (5, tuned)):
        shutil.copytree(model, tmp_path / "run" / f"checkpoint-{step}")
    (tmp_path / "t.txt").write_text("the keys are here\nthe river bank flows\n")
    words = [
        "--texts",
        "t.txt",
        "--measures=LinearCKA",
        "--layers",
        "layer.1",
        "--tokens",
        "-2:",
        "--reference",
        "run/",
    ]
    words[-1] += "checkpoint-3"
    ran = {
        "after the model": lambda: run("compare-revisions", "run", "checkpoint-20", "checkpoint-3", *words),
        "around options": lambda: run(
            "compare-revisions", *words[:2], "run", "checkpoint-20", *words[2:], "checkpoint-3"
        ),
        "as an option": lambda: run("compare-revisions", "run", *words, "--revisions", "checkpoint-20,checkpoint-3"),
    }[place]()
    assert ran.status == 0, ran.err
    assert "['checkpoint-20', 'checkpoint-3']" in ran.err
    assert "tokens='-2:'" in ran.err
    assert [line.split()[0] for line in ran.out.splitlines()[3:5]] == ["checkpoint-20", "checkpoint-3"]


def test_models_of_a_sweep_are_separated_by_commas(run, tiny_models, tmp_path: Path):
    (tmp_path / "t.txt").write_text("the keys are here\nthe river bank flows\n")
    models = ",".join(map(str, tiny_models))
    ran = run("compare-revisions", models, "--texts", "t.txt", "--measures", "LinearCKA", "--out", "o")
    assert ran.status == 0, ran.err
    assert ran.out.splitlines()[-1] == "o/scores.csv"
    for words in ([], ["--texts", "t.txt", "--revision", "main"]):
        ran = run("compare-revisions", models, *words)
        assert (ran.status, "give --texts, and no --revision" in ran.err) == (2, True)


def test_profile_of_a_model(run, stores, tiny_models, tmp_path: Path):
    (tmp_path / "t.txt").write_text("the keys are here\nthe river bank flows\n")
    ran = run(
        "profile", tiny_models[0], "--texts", "t.txt", "--layers", "layer.1", "--words", "mean", "--device", "cpu"
    )
    assert ran.status == 0, ran.err
    assert ran.out.splitlines()[1].split()[:2] == ["layer.1", "8"]
    assert "texts='t.txt'" in ran.err
    ran = run("profile", stores[0], "--words", "mean")
    assert ran.status == 2
    assert "need --texts: got --words for a store. Leave them out, or give --texts and a model." in ran.err

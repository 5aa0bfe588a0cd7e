"""The demo from the command line to the page, on tiny models."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from pyrepsim.cli import main
from pyrepsim.cli.demo import demo_sentences
from pyrepsim.core.errors import OptionError
from pyrepsim.results import Scores
from pyrepsim.store import open_store

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")


def demo(folders: tuple[Path, Path], out: Path, *more: str) -> int:
    a, b = map(str, folders)
    return main(["demo", "--model-x", a, "--model-y", b, "--out", str(out), *more])


def test_the_demo_runs(tiny_models, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert demo(tiny_models, tmp_path, "--sentences", "40") == 0
    out = capsys.readouterr().out
    scores = Scores.from_jsonl(tmp_path / "scores.jsonl")
    assert scores.layers_x == ("embeddings", "layer.0", "layer.1")
    assert len(scores.measures) == 5
    assert scores.table() in out
    for score in scores:
        same = score.layer_x != "layer.1"
        assert score.value == pytest.approx(1.0, abs=1e-9) if same else score.value < 0.999
    for name in ("index.html", "layers.svg", "layers.png"):
        assert (tmp_path / name).stat().st_size > 1000
        assert str(tmp_path / name) in out
    assert out.count(" s  ") == 6, "each step prints its time"


def test_the_demo_uses_existing_stores(tiny_models, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert demo(tiny_models, tmp_path, "--sentences", "10") == 0
    first = Scores.from_jsonl(tmp_path / "scores.jsonl")
    assert demo(tiny_models, tmp_path, "--sentences", "10") == 0
    assert Scores.from_jsonl(tmp_path / "scores.jsonl") == first
    capsys.readouterr()
    assert demo(tiny_models, tmp_path, "--sentences", "11") == 2
    message = capsys.readouterr().err
    assert "differs in plan.rows.texts" in message
    assert "--overwrite" in message
    assert demo(tiny_models, tmp_path, "--sentences", "11", "--overwrite") == 0


def test_the_demo_reads_another_text(tiny_models, tmp_path: Path):
    text = tmp_path / "mine.txt"
    text.write_text("The key was lost.\n\nWhere was the cabinet?\nnobody slept\n" * 20, encoding="utf-8")
    assert demo(tiny_models, tmp_path / "out", "--texts", str(text)) == 0
    assert len(Scores.from_jsonl(tmp_path / "out" / "scores.jsonl")) == 15


def test_the_demo_takes_the_options_of_reading(tiny_models, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    text = tmp_path / "mine.jsonl"
    records = [{"id": n, "premise": f"The key number {n} was lost in the old cabinet."} for n in range(40)]
    text.write_text("\n".join(map(json.dumps, records)), encoding="utf-8")
    options = ["--field", "premise", "--words", "mean", "--long", "truncate", "--max-length", "12"]
    assert demo(tiny_models, tmp_path / "out", "--texts", str(text), *options) == 0
    policy = open_store(tmp_path / "out" / "acts-y").plan["policy"]
    assert (policy["words"], policy["long"], policy["max_length"]) == ("mean", "truncate", 12)
    capsys.readouterr()
    assert demo(tiny_models, tmp_path / "out", "--field", "premise") == 2
    assert "choose from --texts" in capsys.readouterr().err


def test_the_sentences_of_the_demo_do_not_change():
    sentences = demo_sentences(4000)
    assert len(set(sentences)) == 4000
    text = "".join(f"{sentence}\n" for sentence in sentences)
    assert (
        hashlib.sha256(text.encode()).hexdigest() == "9d8b811867e188090d87e8f5ad66f1353bfb5e4bd5fca36fd9a6d9caf1923bf6"
    )
    assert demo_sentences(2) == [
        "Why were the planets so dusty?",
        "Zofia and Jun doubted that Samuel and Goran were rejected in Osaka.",
    ]
    lengths = sorted(len(sentence.split()) for sentence in sentences)
    assert (lengths[0], lengths[2000], lengths[-1]) == (1, 12, 59)


@pytest.mark.parametrize("n", [0, -1, 4001])
def test_a_number_of_sentences_that_the_demo_does_not_have(n: int):
    with pytest.raises(OptionError, match=f"4000 sentences of its own: got --sentences {n}.*--texts"):
        demo_sentences(n)

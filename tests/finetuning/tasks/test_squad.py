"""SQuAD from the file to the score: a reader of minds loses nothing on the way."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from pyrepsim.core.errors import ShapeError
from pyrepsim.finetuning.tasks.squad import Squad, evaluate
from tests.helpers.squad_files import pair_tokenizer, two_paragraphs, written


def oracle(task, examples, features, padded_to=64):
    """Predictions of a model whose scores are high at the targets, and of no other guidance."""
    read_outs = []
    for feature in features:
        scores = {}
        for name in ("start", "end"):
            scores[name] = np.full(max(padded_to, len(feature)), -np.inf, dtype=np.float32)
            scores[name][: len(feature)] = 0.0
            scores[name][feature.inputs[name]] = 10.0
        read_outs.append(task.read_out(feature, scores))
    return task.predict(examples, features, read_outs)


@pytest.mark.parametrize(("max_length", "doc_stride"), [(384, 128), (70, 20), (60, 5)])
def test_an_oracle_scores_1(tmp_path, max_length, doc_stride):
    path = written(tmp_path, two_paragraphs())
    task = Squad(doc_stride=doc_stride)
    examples = task.fit(task.read(path)).read(path)
    features = task.encode(examples, pair_tokenizer(), max_length=max_length)
    assert (len(features) > len(examples)) == (max_length < 100)
    assert [feature.example for feature in features] == sorted(feature.example for feature in features)
    predictions = oracle(task, examples, features)
    assert [answers[0].text for answers in predictions] == [example.answers[0].text for example in examples]
    assert all(1 <= len(answers) <= task.n_best for answers in predictions)
    assert task.score(examples, predictions) == {"exact_match": 1.0, "f1": 1.0}
    task.write(examples, predictions, tmp_path / "out" / "predictions.json")
    assert evaluate(path, tmp_path / "out" / "predictions.json") == {"exact_match": 100.0, "f1": 100.0}


def test_predictions_are_written_as_the_official_json(tmp_path):
    task = Squad()
    examples = task.read(written(tmp_path, two_paragraphs()))
    predictions = oracle(task, examples, task.encode(examples, pair_tokenizer(), max_length=384))
    predictions[0] = ()
    task.write(examples, predictions, tmp_path / "p.json")
    found = json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))
    assert list(found) == ["n1", "n2", "n3", "b1", "b2", "b3"]
    assert (found["n1"], found["b1"], found["b2"]) == ("", "Café Ünal", "1848–49")
    assert task.score(examples, predictions)["f1"] == pytest.approx(5 / 6)


def test_one_prediction_a_question(tmp_path):
    examples = Squad().read(written(tmp_path, two_paragraphs()))
    with pytest.raises(ShapeError, match="got 2 for 6"):
        Squad().score(examples, [(), ()])


def test_what_the_head_is_asked_for():
    assert Squad().head() == {"kind": "span"}
    assert Squad.metric == "f1"


def test_importing_the_task_does_not_import_torch():
    code = (
        "import sys, pyrepsim.finetuning.tasks.squad; "
        "print(sorted({'torch', 'transformers', 'datasets'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_an_oracle_on_real_questions(shared_data):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(shared_data / "models" / "e5-small")
    task = Squad()
    examples = task.read(shared_data / "squad" / "dev-v1.1.json")[::50]
    features = task.encode(examples, tokenizer, max_length=256)
    assert len(features) > len(examples) > 200
    assert max(len(feature) for feature in features) == 256
    scores = task.score(examples, oracle(task, examples, features))
    assert scores["exact_match"] > 0.99
    assert scores["f1"] > 0.995

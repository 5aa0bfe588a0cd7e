"""SQuAD from the file to the score: perfect outputs score 1; exact match and F1 as in the official script."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest

from pyrepsim.core.errors import ShapeError, TextError
from pyrepsim.finetuning.tasks.squad import Squad, evaluate, exact_match, f1
from tests.helpers.references_squad import f1_by_hand, plain_words
from tests.helpers.squad_files import pair_tokenizer, squad_json, two_paragraphs, written


def oracle(task, examples, features, padded_to=64):
    """Predictions of a model whose scores are high at the targets and equal elsewhere."""
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
def test_perfect_outputs_score_1(tmp_path, max_length, doc_stride):
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
    result = json.loads((tmp_path / "p.json").read_text(encoding="utf-8"))
    assert list(result) == ["n1", "n2", "n3", "b1", "b2", "b3"]
    assert (result["n1"], result["b1"], result["b2"]) == ("", "Café Ünal", "1848–49")
    assert task.score(examples, predictions)["f1"] == pytest.approx(5 / 6)


def test_one_prediction_a_question(tmp_path):
    examples = Squad().read(written(tmp_path, two_paragraphs()))
    with pytest.raises(ShapeError, match="got 2 for 6"):
        Squad().score(examples, [(), ()])


def test_the_options_of_the_head():
    assert Squad().head() == {"kind": "span"}
    assert Squad.metric == "f1"


def test_importing_the_task_does_not_import_torch():
    code = (
        "import sys, pyrepsim.finetuning.tasks.squad; "
        "print(sorted({'torch', 'transformers', 'datasets'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_perfect_outputs_on_real_questions(shared_data):
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


PERFECT = {
    "n1": "egypt.",
    "n2": "6650  KM",
    "n3": "The NILE delta",
    "b1": "Café Ünal",
    "b2": "1848–49",
    "b3": "adas sister",
}


@pytest.mark.parametrize(
    ("prediction", "gold", "exact", "expected"),
    [
        ("The Nile.", "nile", True, 1.0),
        ("an apple a day", "Apple day", True, 1.0),
        ("the Nile river", "Nile", False, 2 / 3),
        ("Nile Nile", "Nile", False, 2 / 3),
        ("Paris", "Nile", False, 0.0),
        ("", "Nile", False, 0.0),
        ("the", "a", True, 0.0),  # nothing left on either side: equal, but no word in common
        ("theatre", "atre", False, 0.0),
        ("the-atre", "theatre", True, 1.0),
        ("1848–49", "184849", False, 0.0),  # an en dash is not ASCII punctuation
        ("Ünal’s", "ünal’s", True, 1.0),
        ("a\u00a0key", "key", True, 1.0),  # a no-break space is white space
        ("à la carte", "la carte", False, 0.8),
        ("U.S.", "us", True, 1.0),
    ],
)
def test_which_texts_are_equal(prediction, gold, exact, expected):
    assert exact_match(prediction, gold) is exact
    assert f1(prediction, gold) == pytest.approx(expected, abs=1e-15)
    assert f1_by_hand(prediction, gold) == pytest.approx(expected, abs=1e-15)
    assert (plain_words(prediction) == plain_words(gold)) is exact


def test_a_perfect_file_and_the_best_of_several_golds(tmp_path):
    data = written(tmp_path, two_paragraphs())
    assert evaluate(data, written(tmp_path, PERFECT, "p.json")) == {"exact_match": 100.0, "f1": 100.0}
    other = {**PERFECT, "n2": "4,130 miles", "unknown": "is ignored"}
    scores = evaluate(str(data), str(written(tmp_path, other, "p.json")))
    assert scores["exact_match"] == pytest.approx(100 * 5 / 6)
    assert scores["f1"] == pytest.approx(100 * (5 + 0.8) / 6)  # 2 of the 3 words of "about 4,130 miles"


def test_a_missing_prediction_scores_0_with_a_warning(tmp_path, caplog):
    left = {key: text for key, text in PERFECT.items() if key not in ("n1", "b3")}
    scores = evaluate(written(tmp_path, two_paragraphs()), written(tmp_path, left, "p.json"))
    assert scores == {"exact_match": pytest.approx(400 / 6), "f1": pytest.approx(400 / 6)}
    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "2 of 6 questions have no prediction and score 0: n1, b3.")
    ]


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        (["Egypt"], "ids to answers: .*p.json holds a list"),
        ({**PERFECT, "n1": None}, "string: .*p.json has None for 'n1'"),
        ({**PERFECT, "n1": ["Egypt"]}, r"string: .*p.json has \['Egypt'\] for 'n1'"),
    ],
)
def test_predictions_of_another_form(tmp_path, predictions, message):
    with pytest.raises(TextError, match=message):
        evaluate(written(tmp_path, two_paragraphs()), written(tmp_path, predictions, "p.json"))


def test_nothing_to_score(tmp_path):
    with pytest.raises(TextError, match="at least one question"):
        evaluate(written(tmp_path, squad_json(("text", []))), written(tmp_path, {}, "p.json"))


@pytest.mark.parametrize(
    ("name", "exact", "expected"),
    [("LogisticRegressionBaseline", 40.14, 50.98), ("BERT_ensemble", 86.21, 92.20)],
)
def test_published_predictions_have_their_published_scores(shared_data, name, exact, expected):
    folder = shared_data / "squad"
    predictions = folder / "predictions" / f"{name}.dev.json"
    scores = evaluate(folder / "dev-v1.1.json", predictions)
    assert (round(scores["exact_match"], 2), round(scores["f1"], 2)) == (exact, expected)
    golds = {
        item["id"]: [gold["text"] for gold in item["answers"]]
        for article in json.loads((folder / "dev-v1.1.json").read_text())["data"]
        for paragraph in article["paragraphs"][:2]
        for item in paragraph["qas"]
    }
    texts = json.loads(predictions.read_text())
    for key in golds.keys() & texts.keys():  # the baseline left out 13
        for answer in golds[key]:
            assert f1(texts[key], answer) == pytest.approx(f1_by_hand(texts[key], answer), abs=1e-12)

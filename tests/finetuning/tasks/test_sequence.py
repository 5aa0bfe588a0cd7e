"""Sentences and pairs: every edition of GLUE read alike, encoded as in BERT, scored as in GLUE."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyrepsim.core.errors import OptionError, TextError
from pyrepsim.finetuning.tasks.base import Feature
from pyrepsim.finetuning.tasks.glue import COLA, GLUE, MNLI, MRPC, QNLI, QQP, RTE, SST2, STSB
from pyrepsim.finetuning.tasks.scores import classification_scores, regression_scores
from pyrepsim.finetuning.tasks.sequence import SequenceClassification, SequenceExample, SequenceRegression
from tests.helpers.tiny_models import byte_level, wordpiece


def lines(*rows: dict[str, Any]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def written(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def pair(gold_label: Any, sentence1: Any = "A man runs.", sentence2: Any = "He is here.") -> dict[str, Any]:
    return {"gold_label": gold_label, "sentence1": sentence1, "sentence2": sentence2}


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """WordPiece with BERT's template for pairs."""
    from tokenizers.processors import TemplateProcessing

    made = wordpiece()
    made.model_input_names = ["input_ids", "token_type_ids", "attention_mask"]
    made.backend_tokenizer.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    return made


# The columns of the official files, in their order.
MNLI_TRAIN = (
    "index\tpromptID\tpairID\tgenre\tsentence1_binary_parse\tsentence2_binary_parse\tsentence1_parse\tsentence2_parse"
    "\tsentence1\tsentence2\tlabel1\tgold_label"
)
MNLI_DEV = MNLI_TRAIN.replace("\tgold_label", "\tlabel2\tlabel3\tlabel4\tlabel5\tgold_label")
EDITIONS = [
    (MNLI, "train.tsv", f"{MNLI_TRAIN}\n0\t3\t3n\tslate\t(\t(\t(\t(\tfirst\tsecond\tentailment\tneutral\n", "neutral"),
    (MNLI, "dev.tsv", f"{MNLI_DEV}\n0\t3\t3n\tslate\t(\t(\t(\t(\tfirst\tsecond\ta\tb\tc\td\te\tneutral\n", "neutral"),
    (MNLI, "a.jsonl", lines({**pair("neutral", "first", "second"), "annotator_labels": ["neutral"]}), "neutral"),
    (MNLI, "a.json", lines({"premise": "first", "hypothesis": "second", "label": "neutral"}), "neutral"),
    (SST2, "train.tsv", "sentence\tlabel\nfirst\t0\n", "negative"),
    (QQP, "a.tsv", "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n1\t2\t3\tfirst\tsecond\t1\n", "duplicate"),
    (QNLI, "dev.tsv", "index\tquestion\tsentence\tlabel\n0\tfirst\tsecond\tentailment\n", "entailment"),
    (COLA, "train.tsv", "gj04\t1\t\tfirst\n", "acceptable"),
    (MRPC, "a.tsv", "Quality\t#1 ID\t#2 ID\t#1 String\t#2 String\n1\t2\t3\tfirst\tsecond\n", "equivalent"),
    (RTE, "dev.tsv", "index\tsentence1\tsentence2\tlabel\n0\tfirst\tsecond\tnot_entailment\n", "not_entailment"),
    (
        STSB,
        "dev.tsv",
        "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore\n"
        "0\tmain\tMSR\t2012\t1\tnone\tnone\tfirst\tsecond\t3.750\n",
        3.75,
    ),
]


@pytest.mark.parametrize(("task", "name", "content", "label"), EDITIONS)
def test_official_files(tmp_path: Path, task: type, name: str, content: str, label: str | float):
    path = written(tmp_path, name, content)
    (example,) = task().read(path)
    second = None if task in (SST2, COLA) else "second"
    assert example == SequenceExample("first", second, label, f"{path}:{1 if task is COLA else content.count(chr(10))}")


def test_names_and_main_scores():
    assert list(GLUE) == ["mnli", "sst2", "qqp", "qnli", "cola", "mrpc", "rte", "stsb"]
    assert {name: task.metric for name, task in GLUE.items() if task.metric != "accuracy"} == {
        "qqp": "f1",
        "cola": "mcc",
        "mrpc": "f1",
        "stsb": "spearman",
    }
    assert MNLI.hub["dev"] == "hub:nyu-mll/glue:mnli:validation_matched"


def test_the_hub_and_the_files_give_the_same_labels(monkeypatch: pytest.MonkeyPatch):
    datasets = pytest.importorskip("datasets", reason="no datasets")
    names = {"premise": datasets.Value("string"), "hypothesis": datasets.Value("string")}
    label = datasets.ClassLabel(names=["entailment", "neutral", "contradiction"])
    columns = {"premise": ["a", "b"], "hypothesis": ["c", "d"], "label": [2, -1]}
    split = datasets.Dataset.from_dict(columns, features=datasets.Features({**names, "label": label}))
    monkeypatch.setattr(datasets, "load_dataset", lambda *names, split: split_of[split])
    split_of = {"validation_matched": split, "test_matched": split.select([1])}
    (example,) = MNLI().read(MNLI.hub["dev"])
    assert (example.first, example.second, example.label) == ("a", "c", "contradiction")
    with pytest.raises(TextError, match="none of the 1 of hub:.* may be hidden"):
        MNLI().read("hub:nyu-mll/glue:mnli:test_matched")


def test_pairs_without_consensus_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    path = written(tmp_path, "dev.jsonl", lines(pair("-"), pair("neutral"), pair("-", "", "")))
    with caplog.at_level(logging.INFO, "pyrepsim.finetuning.tasks"):
        assert len(MNLI().read(path)) == 1
    assert "2 rows without a gold label" in caplog.text


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (pair("neutral", "  "), r"'sentence1' of .*dev.jsonl:2 is\."),
        (pair("neutral", sentence2=None), r"'sentence2' of .*dev.jsonl:2 is\."),
        (pair("neutral", sentence2=["a"]), "'sentence2' of .*dev.jsonl:2 is list"),
        (pair(0.5), "dev.jsonl:2 has 0.5"),
        (pair(" "), "dev.jsonl:2 has ' '"),
        ({"gold_label": "neutral", "sentence1": "a"}, "'sentence2' or 'hypothesis': .*:2 has gold_label, sentence1"),
    ],
)
def test_an_invalid_row_is_named(tmp_path: Path, row: dict[str, Any], message: str):
    path = written(tmp_path, "dev.jsonl", lines(pair("neutral"), row))
    with pytest.raises(TextError, match=message):
        MNLI().read(path)


def test_invalid_rows_can_be_skipped(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    header = "id\tqid1\tqid2\tquestion1\tquestion2\tis_duplicate\n"
    path = written(tmp_path, "train.tsv", f"{header}1\t2\t3\ta\n4\t5\t6\tb\t\t1\n7\t8\t9\tc\td\t0\n")
    (example,) = QQP().read(path)
    assert example.first == "c"
    assert "skipped 2 invalid rows; the first: Each row" in caplog.text
    with pytest.raises(TextError, match="train.tsv:2 has 4, the header 6"):
        QQP(bad_rows="refuse").read(path)
    with pytest.raises(TextError, match="question1"):
        QQP().read(written(tmp_path, "other.tsv", "a\tb\n1\t2\n"))
    with pytest.raises(OptionError, match="'keep'"):
        QQP(bad_rows="keep").read(path)  # type: ignore[arg-type]


def test_a_custom_task(tmp_path: Path):
    path = written(tmp_path, "a.csv", "q,kind\nwho,person\nwhere,place\nwhen,3\n")
    task = SequenceClassification(first="q", label="kind")
    examples = task.read(path)
    fitted = task.fit(examples)
    assert fitted.labels == ("3", "person", "place")
    assert fitted.head() == {"kind": "sequence", "labels": 3, "pooling": "cls"}
    assert fitted.fit(examples[:1]) == fitted
    with pytest.raises(TextError, match="the training data has person. Check the column 'kind'"):
        task.fit(examples[:1])


def test_pairs_are_encoded_as_bert_does(tokenizer: Any):
    examples = [
        SequenceExample("the keys", "here", "neutral", "a:1"),
        SequenceExample("run", "the", "entailment", "a:2"),
    ]
    first, second = MNLI().encode(examples, tokenizer, max_length=16)
    tokens = tokenizer.convert_ids_to_tokens(first.inputs["input_ids"])
    assert tokens == ["[CLS]", "the", "keys", "[SEP]", "here", "[SEP]"]
    assert first.inputs["token_type_ids"] == [0, 0, 0, 0, 1, 1]
    assert (first.inputs["label"], second.inputs["label"]) == (1, 0)
    assert (first.example, second.example) == (0, 1)
    assert set(first.inputs) == {"input_ids", "token_type_ids", "label"}


def test_the_longer_sentence_is_cut_and_counted(tokenizer: Any, caplog: pytest.LogCaptureFixture):
    long_text = "the keys to the cabinet are here"
    examples = [
        SequenceExample(long_text, "the bank", "neutral", "a:1"),
        SequenceExample("the bank", long_text, "neutral", "a:2"),
        SequenceExample("run", "the bank", "neutral", "a:3"),
    ]
    with caplog.at_level(logging.INFO, "pyrepsim.finetuning.tasks"):
        first, second, short = MNLI().encode(examples, tokenizer, max_length=8)
    tokens = [tokenizer.convert_ids_to_tokens(feature.inputs["input_ids"]) for feature in (first, second)]
    assert tokens[0] == ["[CLS]", "the", "keys", "to", "[SEP]", "the", "bank", "[SEP]"]
    assert tokens[1] == ["[CLS]", "the", "bank", "[SEP]", "the", "keys", "to", "[SEP]"]
    assert len(short) == 6
    assert "2 of 3 examples are cut to 8 tokens" in caplog.text
    with pytest.raises(OptionError, match="3 special tokens: at least 5, got 4"):
        MNLI().encode(examples, tokenizer, max_length=4)


def test_single_sentences_of_any_number(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("pyrepsim.finetuning.tasks.sequence._BLOCK", 2)
    examples = [SequenceExample("run " * (i + 1), None, "positive", f"a:{i}") for i in range(5)]
    features = SST2().encode(examples, byte_level(), max_length=64)
    assert [feature.example for feature in features] == [0, 1, 2, 3, 4]
    assert len({len(feature) for feature in features}) == 5


def test_a_label_that_is_not_in_the_training_data(tokenizer: Any):
    with pytest.raises(TextError, match=r"entailment, neutral, contradiction: dev.jsonl:7 has 'contradicts'"):
        MNLI().encode([SequenceExample("a", "b", "contradicts", "dev.jsonl:7")], tokenizer, max_length=16)


def test_grades(tmp_path: Path, tokenizer: Any):
    task = SequenceRegression(second="other")
    path = written(tmp_path, "a.jsonl", lines({"sentence": "a", "other": "b", "label": 2}))
    examples = task.fit(task.read(path)).read(path)
    (feature,) = task.encode(examples, tokenizer, max_length=16)
    assert isinstance(feature.inputs["label"], float)
    assert task.head() == {"kind": "sequence", "labels": 1, "pooling": "cls"}
    assert task.read_out(feature, {"logits": np.array([1.5], dtype=np.float32)}) == 1.5
    for label in ("high", None, True, float("nan")):
        written(tmp_path, "b.jsonl", lines({"sentence": "a", "other": "b", "label": 1}, {**pair(0), "other": "c"}))
        bad = written(tmp_path, "c.jsonl", lines({"sentence": "a", "other": "b", "label": label}))
        with pytest.raises(TextError, match="c.jsonl:1 has|none of the 1|c.jsonl:1 is not JSON .NaN"):
            task.read(bad)


def test_from_logits_to_the_file(tmp_path: Path):
    task, feature = MNLI(), Feature({"input_ids": [1]}, 0)
    examples = [SequenceExample("a", "b", label, f"a:{i}") for i, label in enumerate(("neutral", "neutral"))]
    logits = [np.array([0.1, 2.0, 1.0]), np.array([0.1, -2.0, 1.0])]
    read_outs = [task.read_out(feature, {"logits": row}) for row in logits]
    predictions = task.predict(examples, [feature, replace(feature, example=1)], read_outs)
    assert predictions == ["neutral", "contradiction"]
    assert task.score(examples, predictions)["accuracy"] == 0.5
    task.write(examples, predictions, tmp_path / "out" / "predictions.jsonl")
    first = (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()[0]
    assert json.loads(first) == {"where": "a:0", "label": "neutral", "prediction": "neutral"}


@pytest.mark.parametrize("n_labels", [2, 3])
def test_scores_of_labels_are_those_of_scikit_learn(n_labels: int, rng: np.random.Generator):
    metrics = pytest.importorskip("sklearn.metrics", reason="no scikit-learn")
    labels = [f"label {i}" for i in range(n_labels)]
    for _ in range(20):
        gold = rng.choice(labels, 30, p=[0.6, *[0.4 / (n_labels - 1)] * (n_labels - 1)]).tolist()
        noise = rng.random(30) < 0.4
        predicted = np.where(noise, rng.choice(labels, 30), gold).tolist()
        result = classification_scores(gold, predicted, labels)
        expected = {
            "accuracy": metrics.accuracy_score(gold, predicted),
            "mcc": metrics.matthews_corrcoef(gold, predicted),
        }
        if n_labels == 2:
            expected["f1"] = metrics.f1_score(gold, predicted, pos_label=labels[1])
        else:
            expected["macro_f1"] = metrics.f1_score(gold, predicted, average="macro")
        assert result == pytest.approx(expected)
    constant = classification_scores(["label 0", "label 1"], ["label 0"] * 2, labels)
    assert constant["mcc"] == 0.0
    assert classification_scores(["label 0"], ["label 0"], labels[:2])["f1"] == 0.0


def test_scores_of_grades_are_those_of_scipy(rng: np.random.Generator):
    stats = pytest.importorskip("scipy.stats", reason="no scipy")
    x = rng.integers(0, 6, 50).astype(float)
    y = x + rng.normal(size=50).round(1)
    expected = {"pearson": stats.pearsonr(x, y)[0], "spearman": stats.spearmanr(x, y)[0]}
    assert regression_scores(x, y) == pytest.approx(expected)
    assert regression_scores(x, np.ones(50)) == {"pearson": 0.0, "spearman": 0.0}


def test_multinli(shared_data: Path):
    examples = MNLI().read(shared_data / "mnli" / "multinli_1.0_dev_matched.jsonl")
    assert len(examples) == 9815
    assert examples[0].first == "The new rights are nice enough"
    assert sum(example.label == "entailment" for example in examples) == 3479
    assert MNLI().fit(examples).labels == ("entailment", "neutral", "contradiction")

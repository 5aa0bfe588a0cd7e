"""Tags of words: columns, CoNLL-U and records; labels at first subwords; the scores of conlleval."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pyrepsim.core.errors import ModelError, OptionError, TextError
from pyrepsim.data.entity_tags import entities
from pyrepsim.data.tagged import TaggedSentence
from pyrepsim.finetuning.tasks.scores import entity_scores
from pyrepsim.finetuning.tasks.tagging import EntityTagging, PosTagging
from tests.helpers.references_tagging import entity_f1_by_definition
from tests.helpers.tiny_models import byte_level, wordpiece

CONLLU = """\
# sent_id = s1
1-2	Don't	_	_	_	_	_	_	_	_
1	Do	do	AUX	VB	_	3	aux	_	_
2	n't	not	PART	RB	_	3	advmod	_	_
3	go	go	VERB	VB	_	0	root	_	SpaceAfter=No

"""


def written(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content, encoding="utf-8")
    return path


def columns(*tags: str) -> str:
    return "".join(f"word{i}\t{tag}\n" if tag else "\n" for i, tag in enumerate(tags))


def test_columns_of_wnut(tmp_path: Path):
    path = written(tmp_path, "a.conll", "#nlp\tO\nin\tO\nNew\tB-place\nYork\tI-place\n\t\n\nhere\tO")
    first, second = EntityTagging().read(path)
    assert first == TaggedSentence(("#nlp", "in", "New", "York"), ("O", "O", "B-place", "I-place"), f"{path}:1", True)
    assert (second.words, second.where) == (("here",), f"{path}:7")
    assert first.at(2) == f"{path}:3 ('New')"


def test_columns_of_conll_2003(tmp_path: Path):
    document = "-DOCSTART- -X- O O\n\n"
    path = written(tmp_path, "eng.testa", f"{document}EU NNP I-NP I-ORG\nrejects VBZ I-VP O\n\n{document}x y z O\n")
    first, second = EntityTagging().read(path)
    assert (first.words, first.tags, first.where) == (("EU", "rejects"), ("B-ORG", "O"), f"{path}:3")
    assert second.where == f"{path}:8"
    assert PosTagging().read(path)[0].tags == ("I-ORG", "O"), "the last column unless told"
    assert EntityTagging(word=1).read(path)[0].words == ("NNP", "VBZ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a\tO\nb\n", r"columns 0 and -1: .*a.conll:2 is 'b'"),
        ("a\tO\n\tO\n", r"empty: .*a.conll:2 has '' with the tag 'O'"),
        ("a\tO\nb\t\n", r"empty: .*a.conll:2 has 'b' with the tag ''"),
        ("\n\n", "holds none"),
        ("", "holds none"),
    ],
)
def test_broken_columns(tmp_path: Path, content: str, message: str):
    with pytest.raises(TextError, match=message):
        EntityTagging().read(written(tmp_path, "a.conll", content))


def test_parts_of_speech_of_a_treebank(tmp_path: Path):
    path = written(tmp_path, "a.conllu", CONLLU)
    assert PosTagging().read(path) == [TaggedSentence(("Do", "n't", "go"), ("AUX", "PART", "VERB"), f"{path}:3")]
    assert PosTagging(tags="xpos").read(path)[0].tags == ("VB", "RB", "VB")
    with pytest.raises(TextError, match=r"must have XPOS: .*:3, word 2 \(\"n't\"\) has none"):
        PosTagging(tags="xpos").read(written(tmp_path, "b.conllu", CONLLU.replace("RB", "_")))
    with pytest.raises(OptionError, match="'pos'"):
        PosTagging(tags="pos")  # type: ignore[arg-type]


def test_records(tmp_path: Path):
    rows = [{"tokens": ["don't", "do", "n't"], "upos": ["_", "AUX", "PART"]}, {"words": ["a"], "upos": ["DET"]}]
    path = written(tmp_path, "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert [sentence.words for sentence in PosTagging().read(path)] == [("do", "n't"), ("a",)]
    tagged = written(tmp_path, "b.jsonl", json.dumps({"tokens": ["a", "b"], "ner_tags": ["I-x", "I-y"]}))
    assert EntityTagging().read(tagged)[0].tags == ("B-x", "B-y")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"tokens": ["a", "b"], "upos": ["X"]}, ":1 has 2 words and 1 tags"),
        ({"tokens": "a b", "upos": ["X"]}, "lists of strings, none of them empty: .*:1 has 'a b'"),
        ({"tokens": ["a", " "], "upos": ["X", "Y"]}, "none of them empty: .*:1"),
        ({"tokens": ["a"], "upos": [None]}, "none of them empty: .*:1"),
        ({"tokens": [], "upos": []}, ":1 has none with a tag"),
        ({"tokens": ["a"], "tags": ["X"]}, "'upos': .*:1 has tokens, tags"),
    ],
)
def test_broken_records(tmp_path: Path, row: dict[str, Any], message: str):
    with pytest.raises(TextError, match=message):
        PosTagging().read(written(tmp_path, "a.jsonl", json.dumps(row)))


def test_hub_tags_come_by_name(monkeypatch: pytest.MonkeyPatch):
    datasets = pytest.importorskip("datasets", reason="no datasets")
    tags = datasets.List(datasets.ClassLabel(names=["_", "DET", "NOUN"]))
    features = datasets.Features({"tokens": datasets.List(datasets.Value("string")), "upos": tags})
    split = datasets.Dataset.from_dict({"tokens": [["du", "de", "le"]], "upos": [[0, 2, 1]]}, features=features)
    monkeypatch.setattr(datasets, "load_dataset", lambda name, config, split: splits[split])
    splits = {"validation": split}
    source = PosTagging.hub["dev"]
    assert PosTagging().read(source) == [TaggedSentence(("de", "le"), ("NOUN", "DET"), f"{source}:0")]


SENTENCE = TaggedSentence(("the", "unplayable", "river", "runs"), ("DET", "ADJ", "NOUN", "VERB"), "a.conllu:3")


@pytest.mark.parametrize("make", [wordpiece, byte_level])
def test_labels_are_at_first_subwords(make: Any):
    tokenizer = make()
    task = PosTagging().fit([SENTENCE])
    assert task.labels == ("ADJ", "DET", "NOUN", "VERB")
    assert task.head() == {"kind": "tokens", "labels": 4}
    (feature,) = task.encode([SENTENCE], tokenizer, max_length=64)
    labels = feature.inputs["labels"]
    assert len(labels) == len(feature)
    assert [task.labels[label] for label in labels if label >= 0] == ["DET", "ADJ", "NOUN", "VERB"]
    assert {label for label in labels if label < 0} == {-100}
    for word, position in zip(SENTENCE.words, feature.extra, strict=True):
        token = tokenizer.decode([feature.inputs["input_ids"][position]]).strip()
        assert token
        assert word.startswith(token)
        assert labels[position] >= 0


def test_long_sentences_are_cut_and_unseen_words_count_as_wrong(caplog: pytest.LogCaptureFixture):
    tokenizer = wordpiece()
    task = PosTagging().fit([SENTENCE])
    whole = task.encode([SENTENCE], tokenizer, max_length=64)[0]
    assert whole.extra == (1, 2, 8, 9), "[CLS] the un ##p ##l ##a ##y ##able river run ##s [SEP]"
    with caplog.at_level(logging.INFO, "pyrepsim.finetuning.tasks"):
        (cut,) = task.encode([SENTENCE], tokenizer, max_length=len(whole) - 2)
    assert "1 words of 1 sentences are after the cut" in caplog.text
    assert cut.inputs["input_ids"] == whole.inputs["input_ids"][:-3] + whole.inputs["input_ids"][-1:]
    logits = np.zeros((len(whole) + 5, 4))
    for position, word in zip(whole.extra, SENTENCE.tags, strict=True):
        logits[position, task.labels.index(word)] = 1
    (prediction,) = task.predict([SENTENCE], [cut], [task.read_out(cut, {"logits": logits})])
    assert prediction == ("DET", "ADJ", "NOUN", "_")
    assert task.score([SENTENCE], [prediction]) == {"accuracy": 0.75}
    with pytest.raises(OptionError, match="at least 3, got 2"):
        task.encode([SENTENCE], tokenizer, max_length=2)
    assert task.encode([SENTENCE], tokenizer, max_length=3)[0].extra == (1,)


def test_tags_that_are_not_in_the_training_data():
    task = EntityTagging().fit([TaggedSentence(("a", "b"), ("O", "B-place"), "train:1")])
    assert task.labels == ("O", "B-place", "I-place"), "I- though no place has two words"
    dev = TaggedSentence(("a", "b"), ("O", "B-person"), "dev.conll:7", True)
    with pytest.raises(TextError, match=r"O, B-place, I-place: dev.conll:8 \('b'\) has 'B-person'"):
        task.encode([dev], wordpiece(), max_length=8)
    with pytest.raises(TextError, match="the training data has O"):
        EntityTagging().fit([TaggedSentence(("a",), ("O",), "train:1")])


def test_a_slow_tokenizer_is_refused():
    task = PosTagging().fit([SENTENCE])
    with pytest.raises(ModelError, match="fast"):
        task.encode([SENTENCE], object(), max_length=8)


def random_tags(rng: np.random.Generator, n: int) -> list[str]:
    return rng.choice(["O", "B-x", "I-x", "B-y", "I-y"], n).tolist()


def test_scores_are_those_of_the_definition(rng: np.random.Generator):
    gold = [random_tags(rng, 12) for _ in range(30)]
    predicted = [[tag if rng.random() < 0.8 else "O" for tag in tags] for tags in gold]
    expected = list(entity_f1_by_definition(gold, predicted))
    assert list(entity_scores(gold, predicted).values()) == pytest.approx(expected)
    assert 0 < expected[0] < expected[2] or 0 < expected[1] < expected[2], "the three differ"


def test_scores_without_entities():
    assert entity_scores([["O"]], [["O"]]) == {"precision": 0.0, "recall": 0.0, "f1": 0.0}
    assert entity_scores([["B-x"]], [["I-x"]])["f1"] == 1.0, "conlleval reads a bare I as a beginning"
    assert entity_scores([["B-x", "I-x"]], [["B-x", "O"]])["f1"] == 0.0
    assert entity_scores([["B-x"], ["O"]], [["O"], ["B-x"]])["f1"] == 0.0, "the sentence counts"


def test_predictions_are_written_for_conlleval(tmp_path: Path):
    EntityTagging().write(
        [TaggedSentence(("New York", "is"), ("B-x", "O"), "a:1")], [("B-x", "B-x")], tmp_path / "runs" / "dev"
    )
    assert (tmp_path / "runs" / "dev").read_text() == "New York\tB-x\tB-x\nis\tO\tB-x\n\n"


def test_emerging_entities(shared_data: Path):
    files = {"wnut17train.conll": 3394, "emerging.dev.conll": 1009, "emerging.test.annotated": 1287}
    read = {name: EntityTagging().read(shared_data / "wnut17" / name) for name in files}
    assert {name: len(sentences) for name, sentences in read.items()} == files
    train = read["wnut17train.conll"]
    assert sum(len(entities(sentence.tags)) for sentence in train) == 1975
    assert len(EntityTagging().fit(train).labels) == 13


def test_english_web_treebank(shared_data: Path):
    dev = PosTagging().read(shared_data / "ud_ewt" / "en_ewt-ud-dev.conllu")
    assert len(dev) == 2001
    assert sum(len(sentence.words) for sentence in dev) == 25147
    assert len(PosTagging().fit(dev).labels) == 17

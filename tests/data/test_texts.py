"""Texts from every kind of source, and sources that are refused."""

from __future__ import annotations

import json
import logging
import time
from pathlib import Path

import huggingface_hub.constants
import numpy as np
import pytest

from pyrepsim.core.errors import TextError
from pyrepsim.data import Corpus, Document, read_texts

CONLLU = """\
# newdoc id = letter
# sent_id = s1
# text = Don't go.
1-2	Don't	_	_	_	_	_	_	_	_
1	Do	do	AUX	VB	_	3	aux	_	_
2	n't	not	PART	RB	_	3	advmod	_	_
3	go	go	VERB	VB	_	0	root	_	SpaceAfter=No
4	.	.	PUNCT	.	_	3	punct	_	_

# sent_id = s2
1	They	they	PRON	PRP	_	2	nsubj	_	_
2	ate	eat	VERB	VBD	_	0	root	_	_
2.1	ate	eat	VERB	VBD	_	_	_	_	_

"""


def texts(corpus: Corpus) -> list[str]:
    return [document.text for document in corpus]


def words(document: Document) -> list[str]:
    assert document.words is not None
    return [document.text[start:end] for start, end in document.words]


def test_a_list_of_strings_keeps_order_and_empty_texts():
    corpus = read_texts(["b", "", "a"])
    assert texts(corpus) == ["b", "", "a"]
    assert [document.key for document in corpus] == ["0", "1", "2"]
    assert corpus[0].words is None


def test_word_lists_become_running_text_with_spans():
    corpus = read_texts([["New York", "is", "", "big"], []])
    assert texts(corpus) == ["New York is  big", ""]
    assert words(corpus[0]) == ["New York", "is", "", "big"]
    assert corpus[1].words == ()


def test_a_generator_is_read_once():
    assert texts(read_texts(f"text {i}" for i in range(3))) == ["text 0", "text 1", "text 2"]


def test_a_corpus_is_returned_unchanged():
    corpus = read_texts(["a"])
    assert read_texts(corpus) is corpus


def test_a_plain_file_gives_a_document_per_line(tmp_path: Path):
    path = tmp_path / "notes.txt"
    path.write_text("\ufefffirst\r\n\n  second  \nthird", encoding="utf-8")
    corpus = read_texts(path)
    assert texts(corpus) == ["first", "second", "third"]
    assert [document.key for document in corpus] == ["line 1", "line 3", "line 4"]
    assert corpus.source == "notes.txt"
    assert texts(read_texts(str(path))) == texts(corpus)


@pytest.mark.parametrize(
    ("records", "field", "expected"),
    [
        ([{"id": 1, "text": "a"}, {"text": "b"}], None, ["a", "b"]),
        ([{"sentence": "a", "words": ["x"]}], None, ["a"]),
        ([{"tokens": ["a", "b"]}], None, ["a b"]),
        ([{"premise": "a", "text": "b"}], "premise", ["a"]),
        (["a", ["b", "c"]], None, ["a", "b c"]),
    ],
)
def test_jsonl(tmp_path: Path, records: list[object], field: str | None, expected: list[str]):
    path = tmp_path / "texts.jsonl"
    path.write_text("\n".join(map(json.dumps, records)) + "\n\n")
    assert texts(read_texts(path, field=field)) == expected


def test_conllu_gives_syntactic_words_and_sentence_ids(tmp_path: Path):
    path = tmp_path / "bank.conllu"
    path.write_text(CONLLU)
    corpus = read_texts(path)
    assert [document.key for document in corpus] == ["s1", "s2"]
    assert [words(document) for document in corpus] == [["Do", "n't", "go", "."], ["They", "ate"]]


def test_a_dataset():
    datasets = pytest.importorskip("datasets", reason="no datasets")
    data = datasets.Dataset.from_dict({"idx": [7, 8], "sentence": ["a", "b"], "tokens": [["c"], ["d", "e"]]})
    assert texts(read_texts(data)) == ["a", "b"]
    assert texts(read_texts(data, field="tokens")) == ["c", "d e"]
    assert texts(read_texts(data.to_iterable_dataset())) == ["a", "b"]
    with pytest.raises(TextError, match=r"field='text' must be a column .*: it has idx, sentence, tokens"):
        read_texts(data, field="text")
    with pytest.raises(TextError, match=r"splits train, test. Choose one: dataset\['train'\]"):
        read_texts(datasets.DatasetDict(train=data, test=data))


def test_a_dataset_that_the_hub_does_not_have():
    pytest.importorskip("datasets", reason="no datasets")
    with pytest.raises(TextError, match="'nobody/nothing' is not a file, and could not be loaded"):
        read_texts("nobody/nothing")


def test_an_unreachable_hub_is_contacted_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    datasets = pytest.importorskip("datasets", reason="no datasets")
    for constant, value in {"HF_HUB_OFFLINE": False, "ENDPOINT": "http://127.0.0.1:9"}.items():
        monkeypatch.setattr(huggingface_hub.constants, constant, value)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_ENDPOINT", "http://127.0.0.1:9")
    started = time.perf_counter()
    with pytest.raises(TextError, match=r"the hub cannot be reached, .*127\.0\.0\.1:9.*--split"):
        read_texts("nobody/nothing")
    assert time.perf_counter() - started < 6
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert datasets.config.HF_HUB_OFFLINE is False, "left as it was"


def test_a_split_of_a_hub_data_set_must_be_chosen(monkeypatch: pytest.MonkeyPatch):
    datasets = pytest.importorskip("datasets", reason="no datasets")
    splits = {name: datasets.Dataset.from_dict({"premise": [name]}) for name in ("train", "dev")}
    calls = []

    def load_dataset(name: str, config: str | None, split: str | None) -> object:
        calls.append((name, config, split))
        return datasets.DatasetDict(splits) if split is None else splits[split]

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(TextError, match="it has train, dev. .* split='train'.*or --split on the command line"):
        read_texts("owner/pairs", config="mnli")
    assert texts(read_texts("owner/pairs", config="mnli", split="dev", field="premise")) == ["dev"]
    assert calls == [("owner/pairs", "mnli", None), ("owner/pairs", "mnli", "dev")]


def test_the_field_with_the_longest_text_is_suggested(tmp_path: Path):
    path = tmp_path / "pairs.jsonl"
    pairs = [
        {
            "gold_label": "neutral",
            "sentence1_parse": "(ROOT (S" + " (NP))" * 20,
            "sentence1": "A long premise.",
            "n": 3,
        },
        {"gold_label": "entailment", "sentence1_parse": "(ROOT", "sentence1": "One more.", "sentence2": "Short."},
    ]
    path.write_text("\n".join(map(json.dumps, pairs)))
    for field in (None, "premise"):
        with pytest.raises(TextError, match=r"field='sentence1'\), or --field sentence1 on the command line"):
            read_texts(path, field=field)
    datasets = pytest.importorskip("datasets", reason="no datasets")
    data = datasets.Dataset.from_list([{"label": "x", "premise": "much longer"}])
    for field in (None, "text"):
        for source in (data, data.to_iterable_dataset()):
            with pytest.raises(TextError, match="--field premise"):
                read_texts(source, field=field)


def test_tables_are_refused_with_the_column_to_take():
    pandas = pytest.importorskip("pandas", reason="no pandas")
    frame = pandas.DataFrame({"label": [0, 1], "sentence": ["a", "b"]})
    with pytest.raises(TextError, match=r"columns label, sentence. Give one as a list: df\['sentence'\]\.tolist\(\)"):
        read_texts(frame)
    with pytest.raises(TextError, match=r"df\['review'\]"):
        read_texts(pandas.DataFrame({"review": ["a"]}))
    assert texts(read_texts(frame["sentence"])) == ["a", "b"]
    arrow = pytest.importorskip("pyarrow", reason="no pyarrow").table({"text": ["a"]})
    with pytest.raises(TextError, match=r"df\['text'\]"):
        read_texts(arrow)


def test_an_array_of_strings():
    assert texts(read_texts(np.array(["a", "b"]))) == ["a", "b"]


@pytest.mark.parametrize("options", [{"field": "text"}, {"config": "mnli"}, {"split": "train"}])
def test_options_that_do_not_apply(options: dict[str, str], tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("a")
    for source in (["a"], path, read_texts(["a"])):
        with pytest.raises(TextError, match=r"Leave (it|both|field) out"):
            read_texts(source, **options)


def test_real_files(shared_data: Path):
    corpus = read_texts(shared_data / "ud_ewt" / "en_ewt-ud-dev.conllu")
    assert len(corpus) == 2001
    assert sum(len(document.words or ()) for document in corpus) == 25147
    pairs = read_texts(shared_data / "mnli" / "multinli_1.0_dev_matched.jsonl", field="sentence1")
    assert pairs[0].text == "The new rights are nice enough"


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ([], "at least one document"),
        (["a", 3], "document 1 is int"),
        ([["a", None]], "document 0 is a list with a NoneType in it"),
        (42, "got int"),
        (None, r"got None. Give a list: \[text"),
        ({"a", "b"}, r"a set has none. Give a list: sorted\(texts\)"),
        (frozenset("ab"), "a frozenset has none"),
        (np.array([["a", "b"]]), r"ndarray of shape \(1, 2\). Give one column as a list"),
        (np.array("a"), r"ndarray of shape \(\)"),
        (np.array([1.5]), "document 0 is float"),
        (b"bytes", "got bytes"),
        ({"text": "a"}, "got dict"),
        ("no_such.txt", "'no_such.txt' does not"),
        (Path("no_such"), "'no_such' does not"),
        ("The keys are here.", r"give a list: \[text\]"),
        ("Mr. Smith has the keys", r"give a list: \[text\]"),
        ("long " * 2000, r"give a list: \[text\]"),
        ("x" * 300 + " y", r"give a list: \[text\]"),
        ("the keys are here", r"give a list: \[text\]"),
        ("", r"give a list: \[text\]"),
        (".", "is a folder"),
    ],
)
def test_sources_that_are_not_texts(source: object, message: str):
    with pytest.raises(TextError, match=message):
        read_texts(source)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.jsonl", b'{"text": "a"}\n{broken', "a.jsonl:2 is not JSON"),
        ("a.jsonl", b'{"title": "a"}', r"has title. Name it: read_texts\(source, field='title'\)"),
        ("a.jsonl", b'{"text": "a"}\n{"other": "b"}', "field 'text': line 2 has other"),
        ("a.jsonl", b'{"text": 3}', "document line 1 is int"),
        ("a.jsonl", b"", "at least one document"),
        ("a.txt", b"caf\xe9", "must be UTF-8"),
        ("a.csv", b"text", "plain text, JSONL or CoNLL-U"),
        ("a.conll", b"the DET\n", "plain text, JSONL or CoNLL-U"),
        ("a.conllu", b"1\tonly two", "a.conllu:1: A line of CoNLL-U must have 10 columns"),
    ],
)
def test_broken_files(tmp_path: Path, name: str, content: bytes, message: str):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(TextError, match=message):
        read_texts(path)


def test_a_field_for_a_plain_file_is_refused(tmp_path: Path):
    (tmp_path / "a.txt").write_text("a")
    with pytest.raises(TextError, match="Leave it out"):
        read_texts(tmp_path / "a.txt", field="text")


def test_the_fingerprint_depends_on_texts_and_words_only():
    plain = read_texts(["a b", "c"]).fingerprint
    assert read_texts(("a b", "c")).fingerprint == plain
    renamed = Corpus((Document("x", "a b"), Document("y", "c")), "elsewhere")
    assert renamed.fingerprint == plain
    others = [["a", "b c"], ["c", "a b"], ["a b", "c", ""], [["a", "b"], "c"], [["a b"], "c"]]
    assert len({plain, *(read_texts(other).fingerprint for other in others)}) == 6


def test_a_lone_surrogate_is_named():
    with pytest.raises(TextError, match="document '1' has a lone surrogate at character 2"):
        _ = read_texts(["fine", "ab\ud800"]).fingerprint

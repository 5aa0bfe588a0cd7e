"""SemEval-2010 Task 8, entity tags, JSONL, OntoGUM; how formats are recognised."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pyrepsim.core.errors import TextError
from pyrepsim.probing.corpora import read, splits, write

from .conftest import File, conllu

SEMEVAL = """8001\t"The most common <e1>audits</e1> were about <e2>waste and junk</e2>."
Message-Topic(e1,e2)
Comment: Assuming an audit = an audit document.

8002\t"<e2>Chairs</e2> by a <e1>company</e1>"
Other
Comment:

"""
BIO = "Empire\tB-location\nState\tI-location\n#tag\tO\n\n@paul\tO\n\nESB\tB-product\nESB\tB-product\nRose\tI-product\n"
RECORD = {"text": "a b c", "targets": [{"span1": [0, 1], "span2": [1, 3], "label": "yes"}]}


def spans(record: dict) -> list:
    return [(*one["span1"], *one.get("span2", ()), one["label"]) for one in record["targets"]]


def test_relations(file: File) -> None:
    first, second = read(file("TEST_FILE_FULL.TXT", SEMEVAL), "relations")
    assert first["text"] == "The most common audits were about waste and junk."
    assert spans(first) == [(3, 4, 6, 9, "Message-Topic(e1,e2)")]
    assert first["info"]["sentence"] == "8001"
    assert spans(second) == [(3, 4, 0, 1, "Other")]
    assert second["info"]["where"].endswith("TXT:5")


def test_parts_of_the_training_file(file: File) -> None:
    text = "".join(f'{i}\t"<e1>a</e1> <e2>b</e2>"\nOther\nComment:\n\n' for i in range(200))
    path = file("TRAIN_FILE.TXT", text)
    parts = {
        part: [int(one["info"]["sentence"]) for one in read(path, "relations", part=part)] for part in ("train", "dev")
    }
    assert sorted(parts["train"] + parts["dev"]) == list(range(200))
    assert parts["dev"][:4] == [6, 24, 33, 38]  # random.Random(42), drawn once an example
    assert len(list(read(path, "relations"))) == 200


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("</e1>", "", 1, "<e1>...</e1> is not"),
        ("Other", "other", 5, "got 'other'"),
        ("Other\nComment:\n", "", 5, "got one line"),
        ('8002\t"', "8002\t", 5, "A sentence must be"),
    ],
)
def test_invalid_semeval(file: File, old: str, new: str, line: int, message: str) -> None:
    with pytest.raises(TextError, match=rf"TRAIN\.TXT:{line}: .*{message}"):
        list(read(file("TRAIN.TXT", SEMEVAL.replace(old, new, 1)), "relations"))


def test_entity_tags(file: File) -> None:
    records = read(file("wnut.conll", BIO), "entities")
    first, second = records
    assert first["text"] == "Empire State #tag"
    assert spans(first) == [(0, 2, "location")]
    assert spans(second) == [(0, 1, "product"), (1, 3, "product")]
    assert records.counts["without targets"] == 1


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("B-location", "I-location", 1, "starts one with 'I-location'"),
        ("I-product", "I-group", 9, "starts one with 'I-group'"),
        ("B-p", "S-p", 3, "has 'O' after 'I-location'"),
        ("B-p", "X-p", 7, "has 'X-product'"),
    ],
)
def test_invalid_entity_tags(file: File, old: str, new: str, line: int, message: str) -> None:
    with pytest.raises(TextError, match=rf"wnut\.conll:{line} .*{message}"):
        list(read(file("wnut.conll", BIO.replace(old, new, 1)), "entities"))


def test_entity_tags_in_bioes(file: File) -> None:
    (record,) = read(file("a.conll", "Rome\tS-place\nin\tO\nNew\tB-place\nYork\tE-place\n"), "entities")
    assert spans(record) == [(0, 1, "place"), (2, 4, "place")]


def test_written_jsonl_is_read_again(file: File, tmp_path: Path) -> None:
    write(read(file("t.TXT", SEMEVAL), "relations"), tmp_path / "relations.jsonl")
    again = list(read(tmp_path / "relations.jsonl", "relations"))
    assert [spans(one) for one in again] == [spans(one) for one in read(tmp_path / "t.TXT", "relations")]
    assert again[1]["info"] == {
        "source": "SemEval-2010 Task 8",
        "sentence": "8002",
        "where": f"{tmp_path / 'relations.jsonl'}:2",
    }


def test_proto_roles(file: File) -> None:
    target = {"span1": [1, 2], "span2": [0, 1], "label": ["awareness", "volition"], "ratings": {"awareness": 4.0}}
    none = {"span1": [1, 2], "span2": [0, 1], "label": []}
    record = {"uds_id": "ewt-1", "sent_id": "s", "tokens": ["I", "ran"], "text": "I ran", "targets": [target, none]}
    path = file("uds_protoroles.dev.jsonl", json.dumps(record))
    records = read(path, "spr")
    (result,) = records
    assert result["targets"][0]["info"] == {"ratings": {"awareness": 4.0}}
    assert result["targets"][1]["label"] == []
    assert result["info"] == {
        "uds_id": "ewt-1",
        "sent_id": "s",
        "source": path.name,
        "sentence": "s",
        "where": f"{path}:1",
    }
    assert records.labels == {"awareness": 1, "volition": 1}
    with pytest.raises(TextError, match=r"holds spr \(UDS\): not 'srl'"):
        read(path, "srl")


@pytest.mark.parametrize(
    ("task", "change", "message"),
    [
        ("dpr", {"span1": [0, 4]}, "0 <= start < end <= 3: span1 is"),
        ("dpr", {"span2": [1, 1]}, "span2 is"),
        ("dpr", {"span2": [0.0, 1.0]}, "span2 is"),
        ("dpr", {"span2": None}, "must have span2: one has none"),
        ("dpr", {"label": 1}, "A label must be a string"),
        ("dpr", {"label": ["a", "b"]}, "must have one label"),
        ("entities", {}, "must have one span"),
        ("dependencies", {"more": True}, "overlap"),
    ],
)
def test_invalid_targets(file: File, task: str, change: dict, message: str) -> None:
    targets = [{**RECORD["targets"][0], **change}]
    if change.pop("more", False):
        targets.append({"span1": [0, 2], "span2": [0, 1], "label": "x"})
    text = json.dumps(RECORD) + "\n" + json.dumps({**RECORD, "targets": targets})
    records = read(file("a.jsonl", text), task)
    with pytest.raises(TextError, match=rf"a\.jsonl:{1 if task == 'entities' else 2}: .*{message}"):
        list(records)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[]", "must be a JSON object"),
        ('{"text": "a"}', "list 'targets'"),
        ('{"text": "a  b", "targets": [{"span1": [0, 1], "span2": [0, 1], "label": "x"}]}', "empty word"),
        ('{"text": "a b", "tokens": ["a"], "targets": []}', "they differ"),
    ],
)
def test_invalid_records(file: File, line: str, message: str) -> None:
    with pytest.raises(TextError, match=rf"a\.jsonl:1: .*{message}"):
        list(read(file("a.jsonl", line), "dpr"))


def test_a_line_that_is_not_json(file: File) -> None:
    with pytest.raises(TextError, match=r"one JSON object: .*a\.jsonl:2 is not JSON"):
        list(read(file("a.jsonl", json.dumps(RECORD) + "\n{"), "dpr"))


def test_ontogum(file: File, tmp_path: Path) -> None:
    one = conllu("1 She PRON PRP 2 nsubj _", "2 ran VERB VBD 0 root _", comments="# sent_id = d-1\n")
    two = conllu(
        "1 She PRON PRP 2 nsubj _", "2 hurt VERB VBD 0 root _", "3 herself PRON PRP 2 obj _", "4 | SYM SYM 2 x _"
    )
    path = file("coref_ontogum/dev/d.conll", "# begin document d\n0\tShe\t(1)\n1\tran\t_\n2\tShe\t(1)\n3\thurt\t(2\n"
                "4\therself\t(1)2)\n5\t\t_\n# end document\n")  # fmt: skip
    with pytest.raises(TextError, match=r"d\.conllu, which is not under a folder dep/"):
        list(read(path, "coref"))
    treebank = file("dep/dev/d.conllu", one + two)
    records = read(path, "coref")
    (record,) = records
    assert record["text"] == "She hurt herself |"
    assert spans(record) == [(0, 1, 1, 3, "0"), (0, 1, 2, 3, "1"), (1, 3, 2, 3, "0")]
    assert record["info"]["where"] == f"{path}:4"
    assert records.counts["without targets"] == 1
    assert len(list(read(path, "coref", treebank=treebank))) == 1
    file("dep/dev/d.conllu", one + two.replace("hurt", "hit"))
    with pytest.raises(TextError, match=r"d\.conll:5: .*'hurt' for 'hit'"):
        list(read(path, "coref"))
    file("dep/dev/d.conllu", one)
    with pytest.raises(TextError, match="6 words, but 2"):
        list(read(path, "coref"))


def test_unknown_files(file: File, tmp_path: Path) -> None:
    with pytest.raises(TextError, match="is empty"):
        read(file("a.conllu", "\n"), "pos")
    with pytest.raises(TextError, match="starts with 'Once upon a time'"):
        read(file("a.txt", "Once upon a time\n"), "pos")
    with pytest.raises(TextError, match="does not exist"):
        read(tmp_path / "none.conll", "pos")
    path = tmp_path / "latin.conll"
    path.write_bytes("é\tO\n".encode("latin-1"))
    with pytest.raises(TextError, match="latin.conll:1 is not"):
        read(path, "entities")


def test_splits_by_file_names(file: File, tmp_path: Path) -> None:
    for name in ("en_x-ud-train.conllu", "en_x-ud-dev.conllu", "en_x-ud-test.conllu"):
        file(name, conllu("1 Go VERB VB 0 root _"))
    result = splits(tmp_path, "dependencies")
    assert [result[name].path.name for name in ("train", "dev", "test")] == [
        "en_x-ud-train.conllu",
        "en_x-ud-dev.conllu",
        "en_x-ud-test.conllu",
    ]
    assert len(list(result["dev"].read("dependencies"))) == 1
    with pytest.raises(TextError, match="none of the layouts for 'srl'"):
        splits(tmp_path, "srl")

"""Each reader splits and strips at the characters of its format only, and honours what a file says about itself."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest

from pyrepsim.core.errors import PyrepsimError, TextError
from pyrepsim.data.brackets import mentions
from pyrepsim.data.conllu import read_conllu, with_tree
from pyrepsim.data.lines import json_lines, numbered_lines
from pyrepsim.data.phrase_trees import parse_bracketed
from pyrepsim.data.records import records
from pyrepsim.data.squad import read_questions
from pyrepsim.data.tagged import read_tagged_columns
from pyrepsim.data.texts import read_texts
from pyrepsim.finetuning.tasks import get_task
from pyrepsim.finetuning.tasks.sequence import SequenceRegression
from pyrepsim.probing.corpora import read
from pyrepsim.probing.edge.records import read_records
from tests.helpers.squad_files import two_paragraphs, written

# What str.splitlines, str.split, str.strip or str.isspace take as an end, and ASCII formats do not.
INSIDE = ["\u2028", "\u2029", "\u0085", "\v", "\f", "\x1c", "\x1d", "\x1e", "\u00a0", "\u3000", "\u2003", "\r"]


def conllu_line(number: int, form: str, head: int = 0) -> str:
    return f"{number}\t{form}\t_\tX\tX\t_\t{head}\tdep\t_\t_\n"


@pytest.mark.parametrize("character", INSIDE)
def test_other_characters_are_part_of_the_text(tmp_path: Path, character: str):
    path = tmp_path / "a.conllu"
    form = f"a{character}{character}b"
    path.write_bytes((f"# sent_id = {form}\n" + conllu_line(1, form) + conllu_line(2, character, 1) + "\n").encode())
    (sentence,) = read_conllu(path)
    assert (sentence.words, sentence.sent_id) == ((form, character), form)
    (document,) = read_texts(path)
    assert [document.text[a:b] for a, b in document.words] == [form, character]
    tagged = tmp_path / "a.conll"
    tagged.write_bytes(f"{form} X\n{character}\tY\n".encode())
    assert read_tagged_columns(tagged, word=0, tag=-1)[0].words == (form, character)
    table = tmp_path / "a.tsv"
    table.write_bytes(f"text\tlabel\n{form}\t{character}x\n".encode())
    assert next(records(table, {"text": ["text"], "label": ["label"]}))[1] == {"text": form, "label": f"{character}x"}
    lines = tmp_path / "a.jsonl"
    lines.write_bytes(json.dumps({"text": form, character: 1}, ensure_ascii=character == "\r").encode() + b"\n")
    if character in "\v\f\x1c\x1d\x1e":  # JSON forbids them in a string
        lines.write_bytes(json.dumps({"text": form, character: 1}).encode())
    assert [value for _, value in json_lines(lines)] == [{"text": form, character: 1}]
    plain = tmp_path / "a.txt"
    plain.write_bytes(f"  {form}\n\n".encode())
    assert [document.text for document in read_texts(plain)] == [form]
    if character not in "\v\f\r":  # white space of ASCII, at which trees are split
        (tree,) = parse_bracketed([(1, f"(S (X {form}) (Y {character}))")], "a")
        assert tree.words == [form, character]


def test_words_of_semeval_are_separated_by_ascii_blanks(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text('1\t"The <e1>26\u00a0000 keys</e1>  of <e2>a\u2028b</e2>"\nOther\nComment:\n\n', encoding="utf-8")
    (record,) = read(path, "relations")
    assert record["text"].split(" ") == ["The", "26\u00a0000", "keys", "of", "a\u2028b"]


@pytest.mark.parametrize(
    "number", ["\uff11", "1_0", " 1", "1 ", "+1", "01", "\u0661", "1.", "1-", "-1-2", "1e0", "", "_"]
)
def test_numbers_of_conllu_are_ascii(tmp_path: Path, number: str):
    path = tmp_path / "a.conllu"
    path.write_text(conllu_line(1, "a").replace("1", number, 1))
    with pytest.raises(TextError, match="a.conllu:1: .*(numbers|must have an id)"):
        read_conllu(path)
    if number not in ("_",):
        path.write_text(conllu_line(1, "a") + conllu_line(2, "b", 1).replace("\t1\t", f"\t{number}\t"))
        with pytest.raises(TextError, match="a.conllu:2: Ids and heads must be numbers"):
            read_conllu(path)


def test_column_numbers_and_grades_are_ascii(tmp_path: Path):
    path = tmp_path / "a.tsv"
    for grade in ("\uff11", "1_000", "0x1", "infinity", "1e999", "\u00a01", "1,5", ""):
        path.write_text(f"sentence\tlabel\na\t{grade}\n", encoding="utf-8")
        with pytest.raises(TextError, match="A grade must be a number: .*a.tsv:2"):
            SequenceRegression().read(path)
    path.write_text("sentence\tlabel\na\t 1.5 \nb\t-2e-1\nc\t+.5\n")
    assert [example.label for example in SequenceRegression().read(path)] == [1.5, -0.2, 0.5]
    big = tmp_path / "a.jsonl"
    big.write_text('{"sentence": "a", "label": 1' + "0" * 400 + "}")
    with pytest.raises(TextError, match="A grade must be a number"):
        SequenceRegression().read(big)


# ---- what a file says about itself --------------------------------------------------------------------------


def test_the_order_of_columns_that_a_treebank_declares(tmp_path: Path):
    path = tmp_path / "a.conllup"
    path.write_text(
        "# global.columns = ID FORM HEAD DEPREL UPOS PARSEME:MWE\n\n# sent_id = s1\n1\ta\t2\tdet\tDET\t*\n"
        "2\tb\t0\troot\tNOUN\t1:LVC\n\n# global.columns = FORM ID HEAD\nc\t1\t0\n\n"
        "# global.columns = ID FORM LEMMA UPOS XPOS FEATS HEAD DEPREL DEPS MISC\n" + conllu_line(1, "d")
    )
    first, second, third = read_conllu(path)
    assert (first.words, first.heads, first.relations) == (("a", "b"), (2, 0), ("det", "root"))
    assert (first.upos, first.xpos, first.sent_id) == (("DET", "NOUN"), ("_", "_"), "s1")
    assert (second.words, second.heads, third.words) == (("c",), (0,), ("d",))
    (tmp_path / "b.conllu").write_text("\n".join(with_tree(first, [0, 1], ["root", "x"])) + "\n\n")
    (again,) = read_conllu(tmp_path / "b.conllu")
    assert (again.words, again.heads, again.upos) == (("a", "b"), (0, 1), ("DET", "NOUN"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("# global.columns = FORM HEAD\na\t0\n", "a.conllu:1: # global.columns must name ID once"),
        ("# global.columns = ID FORM form\n1\ta\tb\n", "must name FORM once"),
        ("# global.columns = ID FORM X X\n1\ta\t_\t_\n", "X occurs twice"),
        ("# global.columns = ID FORM HEAD\n1\ta\n", "a.conllu:2: A line must have the 3 columns of # global.columns"),
        ("# global.columns = ID FORM\n1\ta\n", "Every word must have a head"),
        ("# only = comments\n\n# and = more\n", "at least one sentence"),
    ],
)
def test_declared_columns_that_cannot_be_read(tmp_path: Path, text: str, message: str):
    path = tmp_path / "a.conllu"
    path.write_text(text)
    with pytest.raises(TextError, match=message):
        read_conllu(path)


def test_what_comments_alone_say_of_all_sentences_is_kept(tmp_path: Path):
    entities = "\t_\tX\tX\t_\t0\troot\t_\tEntity=(person-1)\n"
    path = tmp_path / "a.conllu"
    path.write_text("# newdoc id = d\n# sent_id = no\n# global.Entity = etype-GRP\n\n1\tAnn" + entities)
    (record,) = read(path, "entities")
    assert [target["label"] for target in record["targets"]] == ["person"]
    (sentence,) = read_conllu(path)
    assert (sentence.sent_id, sentence.where) == ("", f"{path}:5")


@pytest.mark.parametrize("version", ["1.1", "v2.0", 1.1, "KorQuAD_v3.0", "", None])
def test_versions_of_squad_that_are_known(tmp_path: Path, version: object):
    content = two_paragraphs() | {"version": version}
    path = written(tmp_path, content)
    assert read_questions(path)
    for unknown in ("3.0", "v3", 3):
        path.write_text(json.dumps(content | {"version": unknown}))
        with pytest.raises(TextError, match="must have version 1.1"):
            read_questions(path)


# ---- bytes ----------------------------------------------------------------------------------------------------

FILES = {
    "a.conllu": "# sent_id = s1\n" + conllu_line(1, "one") + "\n",
    "a.jsonl": '{"text": "one"}\n',
    "a.txt": "one\n",
}


@pytest.mark.parametrize("name", FILES)
def test_joined_files_have_byte_order_marks_inside(tmp_path: Path, name: str):
    path = tmp_path / name
    path.write_text("\ufeff\ufeff" + FILES[name] + "\ufeff" + FILES[name], encoding="utf-8")
    assert [document.text for document in read_texts(path)] == ["one", "one"]


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.encode("utf-16"), "is UTF-16"),
        (lambda text: text.encode("utf-16-le"), ":1 has a NUL character"),
        (lambda text: gzip.compress(text.encode()), "is compressed .gzip."),
        (lambda text: text.encode() + b"a\0b\n", r":\d has a NUL character"),
        (lambda text: text.encode() + b"\xff\n", r":\d is not .byte 0"),
        (lambda text: text.encode() + b"\xed\xa0\x80\n", r":\d is not .byte 0"),  # a lone surrogate
    ],
)
def test_files_in_other_encodings_are_named(tmp_path: Path, name: str, change, message: str):
    path = tmp_path / name
    path.write_bytes(change(FILES[name]))
    with pytest.raises(TextError, match=f"{name}.*{message}|{name}{message}"):
        read_texts(path)


@pytest.mark.parametrize("name", ["a.conllu", "a.jsonl", "a.tsv", "a.txt", "a.json"])
def test_sources_that_are_no_regular_file(tmp_path: Path, name: str):
    os.mkfifo(tmp_path / name)
    readers = [read_conllu, read_questions, lambda path: list(numbered_lines(path)), read_texts]
    for source in (tmp_path / name, f"{tmp_path}/a\0b", f"{tmp_path}/{'x' * 300}", f"{tmp_path}/\ud800", "", "."):
        for reader in readers:
            with pytest.raises(PyrepsimError):
                reader(source)


# ---- JSON -------------------------------------------------------------------------------------------------------

BROKEN_JSON = {
    '{"text": "fine \\ud83d"}': "half of a surrogate pair",
    '{"text": "a", "\\ude00": 1}': "half of a surrogate pair",
    '{"text": "a", "more": [{"deep": "\\udfff"}]}': "half of a surrogate pair",
    '{"text": "a", "text": "b"}': "'text' occurs twice",
    '{"text": "a", "x": NaN}': "NaN is not a JSON number",
    '{"text": "a", "x": -Infinity}': "-Infinity is not",
    '{"text": "a", "x": 1e999}': "too large",
    '{"text": "a", "x": ' + "9" * 5000 + "}": "is not JSON",
    '{"text": ' + "[" * 100_000 + "]" * 100_000 + "}": "levels deep",
    '{"text": "a", "x": ' + "[" * 100 + "]" * 100 + "}": "levels deep",
    '{"text": "a"}\u00a0': "is not JSON",
    '{"text": "a"} {"text": "b"}': "is not JSON",
}


@pytest.mark.parametrize("line", BROKEN_JSON, ids=range(len(BROKEN_JSON)))
def test_json_that_is_no_json_or_that_others_cannot_read(tmp_path: Path, line: str):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "before"}\n \t\n' + line + "\n", encoding="utf-8")
    for reader in (read_texts, lambda path: list(read(path, "pos")), get_task("sst2").read):
        with pytest.raises(TextError, match=r"a.jsonl:3 is not JSON|a.jsonl:1"):
            reader(path)
    with pytest.raises(TextError, match=f"a.jsonl:3 .*{BROKEN_JSON[line]}"):
        read_texts(path)
    path.write_text(line, encoding="utf-8")
    with pytest.raises(TextError, match="a.jsonl must be JSON"):
        read_questions(path)


def test_identifiers_of_more_than_53_bits_are_read(tmp_path: Path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "a", "id": 12345678901234567890}\n{"text": "\\ud83d\\ude00"}')
    assert [document.text for document in read_texts(path)] == ["a", "\U0001f600"]


def test_texts_in_memory_are_valid_unicode_too():
    with pytest.raises(TextError, match="record 1 of train has half of a surrogate pair at character 2"):
        read_records([{"text": "a b", "targets": []}, {"text": "a \ud83d", "targets": []}], "train")


# ---- time -------------------------------------------------------------------------------------------------------


def test_time_grows_with_the_length_of_a_file(tmp_path: Path):
    """Each of these took time quadratic in its length: minutes for this many."""
    n = 60_000
    fail = lambda message, word: TextError(message)  # noqa: E731
    assert len(mentions([f"({i}" for i in range(n)] + [f"{i})" for i in range(n)], fail)) == n
    with pytest.raises(TextError, match="mention must be closed"):
        mentions([f"({i}" for i in range(n)], fail)
    path = tmp_path / "a.tsv"
    path.write_text("\t".join([*map(str, range(n)), "0"]) + "\n")
    with pytest.raises(TextError, match="has '0' twice"):
        next(records(path, {"text": ["0"]}))
    lines = tmp_path / "a.jsonl"
    lines.write_text("{" + ",".join(f'"{i}":1' for i in [*range(n), n - 1]) + "}\n")
    with pytest.raises(TextError, match=f"'{n - 1}' occurs twice"):
        next(json_lines(lines))

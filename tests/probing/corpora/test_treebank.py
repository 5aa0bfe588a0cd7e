from __future__ import annotations

from pathlib import Path

import pytest

from pyrepsim.core.errors import OptionError, TextError
from pyrepsim.probing.corpora import read

from .conftest import File, conllu

DOGS = conllu(
    "1 Dogs NOUN NNS 2 nsubj _", "2 bark VERB VBP 0 root _", "3 loudly ADV RB 2 advmod:x _", comments="# sent_id = s1\n"
)
EMPTY_NODE = conllu("1 She PRON PRP 2 nsubj _", "2 left VERB VBD 0 root _", "2.1 left VERB VBD _ _ _")
GUM = conllu(
    "1 My PRON PRP$ 2 nmod:poss Entity=(2-object-new(1-person-giv)",
    "2 dog NOUN NN 3 nsubj Entity=2)|SpaceAfter=No",
    "3 saw VERB VBD 0 root _",
    "4 me PRON PRP 3 obj Entity=(1-person-giv)",
    comments="# global.Entity = GRP-etype-infstat\n# sent_id = g1\n",
)


def test_tags(file: File) -> None:
    path = file("a.conllu", DOGS)
    records = read(path, "pos")
    assert list(records) == [
        {
            "text": "Dogs bark loudly",
            "targets": [
                {"span1": [0, 1], "label": "NNS", "info": {}},
                {"span1": [1, 2], "label": "VBP", "info": {}},
                {"span1": [2, 3], "label": "RB", "info": {}},
            ],
            "info": {"source": "CoNLL-U", "where": f"{path}:2", "sentence": "s1"},
        }
    ]
    assert records.counts == {"sentences": 1, "records": 1, "tokens": 3, "targets": 3}
    assert [one["label"] for one in next(read(path, "pos", tags="upos"))["targets"]] == ["NOUN", "VERB", "ADV"]


def test_dependencies(file: File) -> None:
    (record,) = read(file("a.conllu", DOGS), "dependencies")
    result = [(one["span1"], one["span2"], one["label"]) for one in record["targets"]]
    assert result == [([0, 1], [1, 2], "nsubj"), ([1, 2], [1, 2], "root"), ([2, 3], [1, 2], "advmod:x")]


def test_sentences_with_empty_nodes(file: File) -> None:
    path = file("a.conllu", DOGS + EMPTY_NODE)
    records = read(path, "dependencies")
    assert [record["text"] for record in records] == ["Dogs bark loudly"]
    assert records.counts["with empty nodes"] == 1
    assert records.counts["sentences"] == 2
    kept = list(read(path, "dependencies", empty_nodes="keep"))
    assert [record["text"] for record in kept] == ["Dogs bark loudly", "She left"]
    assert len(list(read(path, "pos"))) == 2


def test_nested_entities(file: File) -> None:
    (record,) = read(file("a.conllu", GUM), "entities")
    result = [(one["span1"], one["label"]) for one in record["targets"]]
    assert result == [([0, 2], "object"), ([0, 1], "person"), ([3, 4], "person")]


def test_pairs_of_mentions(file: File) -> None:
    (record,) = read(file("a.conllu", GUM), "coref")
    result = [(one["span1"], one["span2"], one["label"]) for one in record["targets"]]
    assert result == [([0, 1], [0, 2], "0"), ([0, 1], [3, 4], "1"), ([0, 2], [3, 4], "0")]


def test_discontinuous_mentions_are_counted(file: File) -> None:
    text = GUM.replace("(2-object-new", "(2[1/2]-object-new").replace("2)|", "2[1/2])|")
    records = read(file("a.conllu", text), "entities")
    assert [one["label"] for one in next(records)["targets"]] == ["person", "person"]
    assert records.counts["parts of discontinuous mentions"] == 1


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("Entity=2)|", "", 3, "2-object-new is not"),
        ("Entity=2)", "Entity=7)", 4, "was not"),
        ("obj\t_\tEntity=(1-person-giv)", "obj\t_\tEntity=(1-person-giv", 6, "1-person-giv is not"),
    ],
)
def test_unbalanced_entities(file: File, old: str, new: str, line: int, message: str) -> None:
    assert old in GUM
    path = file("a.conllu", GUM.replace(old, new, 1))
    with pytest.raises(TextError, match=f":{line}: .*{message}.*g1"):
        list(read(path, "entities"))


def test_an_entity_without_type(file: File) -> None:
    with pytest.raises(TextError, match=r"a\.conllu:6: Entity= must hold GRP-etype-infstat: got '1'"):
        list(read(file("a.conllu", GUM.replace("obj\t_\tEntity=(1-person-giv)", "obj\t_\tEntity=(1)")), "entities"))


def test_words_with_spaces_stay_one_word(file: File) -> None:
    rows = "1\t10 000\t_\tNUM\tCD\t_\t2\tnummod\t_\t_\n2\tkm\t_\tNOUN\tNN\t_\t0\troot\t_\t_\n\n"
    (record,) = read(file("a.conllu", rows), "pos")
    assert record["text"].split(" ") == ["10\N{NO-BREAK SPACE}000", "km"]


def test_a_missing_tag(file: File) -> None:
    with pytest.raises(TextError, match=r"a\.conllu:2: .*word 2 has no xpos. Read tags='upos'"):
        list(read(file("a.conllu", DOGS.replace("VBP", "_")), "pos"))


def test_missing_annotation(file: File) -> None:
    path = file("a.conllu", DOGS)
    with pytest.raises(TextError, match=r"holds pos, dependencies \(CoNLL-U\): not 'srl'"):
        read(path, "srl")
    with pytest.raises(TextError, match="not 'entities'"):
        read(path, "entities")


def test_options_belong_to_a_task(file: File) -> None:
    path = file("a.conllu", DOGS)
    with pytest.raises(OptionError, match="must be one of pos, constituents"):
        read(path, "parsing")
    with pytest.raises(OptionError, match="tags must be one of xpos, upos: got 'ptb'"):
        read(path, "pos", tags="ptb")
    with pytest.raises(OptionError, match="tags= is for pos of CoNLL-U: the task is 'dependencies'"):
        read(path, "dependencies", tags="upos")


def test_documents_are_those_of_the_comment_newdoc(file: File) -> None:
    """A document without an id is named by its file and line; before the first comment there is none."""
    newdoc = ["", "# newdoc id = x\n", "", "# newdoc\n", ""]
    path = file("a.conllu", "".join(DOGS.replace("# sent_id", f"{one}# sent_id") for one in newdoc))
    found = [record["info"].get("document") for record in read(path, "pos")]
    assert found == [None, "x", "x", f"{path}:17", f"{path}:17"]


def test_each_file_of_a_folder_of_trees_is_a_document(file: File, tmp_path: Path) -> None:
    tree = "(S (NP (NNS Dogs)) (VP (VBP bark)))\n"
    path = file("a.ptb", 2 * tree)
    assert ["document" in record["info"] for record in read(path, "pos")] == [False, False]
    file("b.ptb", tree)
    assert [record["info"]["document"] for record in read(tmp_path, "pos")] == ["a", "a", "b"]


def test_a_folder_is_one_corpus(file: File, tmp_path: Path) -> None:
    file("b.conllu", DOGS.replace("s1", "s2"))
    file("a.conllu", DOGS)
    file("notes.md", "none of it")
    records = read(tmp_path, "pos")
    assert [record["info"]["sentence"] for record in records] == ["s1", "s2"]
    assert records.counts["sentences"] == 2
    file("c.jsonl", "{}")
    with pytest.raises(TextError, match=r"must have one format: .* has \.conllu, \.jsonl"):
        read(tmp_path, "pos")

"""Texts of corpora: the document of each, and how they are drawn evenly from documents."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from pyrepsim.finetuning.tasks import get_task
from pyrepsim.studies.merchant2020.documents import Text, documents_of, plain_texts
from pyrepsim.studies.merchant2020.scales import Corpus
from pyrepsim.studies.merchant2020.texts import choose, draw


def treebank(*sentences: tuple[str, ...]) -> str:
    """Sentences of one word, each with its comments."""
    row = "\t".join(["1", "Go", "go", "VERB", "VB", "_", "0", "root", "_", "_"])
    return "".join("\n".join([*comments, row]) + "\n\n" for comments in sentences)


def test_sentences_of_a_treebank_are_of_the_document_before(tmp_path: Path):
    file = tmp_path / "a.conllu"
    file.write_text(
        treebank(
            ("# newdoc id = GUM_bio_one", "# sent_id = one-1", "# text = Go !"),
            ("# sent_id = one-2",),
            ("# newdoc", "# sent_id = two-1"),
        )
    )
    assert plain_texts(str(file)) == [Text("Go !", "0 GUM_bio_one"), Text("Go", "0 GUM_bio_one"), Text("Go", "2")]
    assert documents_of(get_task("dependency").read(file)) == ["0 GUM_bio_one", "0 GUM_bio_one", "2"]


def test_without_marks_the_sentence_ids_name_documents(tmp_path: Path):
    file = tmp_path / "a.conllu"
    file.write_text(treebank(("# sent_id = web-x-1",), ("# sent_id = web-x-2",), ("# sent_id = web-y-1",), ()))
    assert [text.document for text in plain_texts(str(file))] == ["web-x", "web-x", "web-y", "3"]


def test_files_of_a_folder_are_documents(tmp_path: Path):
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "two.txt").write_text("A river.\nA bank.\n")
    (tmp_path / "one.conllu").write_text(treebank(("# newdoc id = x",), ("# newdoc id = y",), ()))
    (tmp_path / "left.out").write_text("no text\n")
    documents = [text.document for text in plain_texts(str(tmp_path))]
    assert documents == ["two: ", "two: ", "one: 0 x", "one: 1 y", "one: 1 y"]


def test_headings_name_the_articles_of_wikitext(tmp_path: Path):
    file = tmp_path / "wiki.raw"
    file.write_text(" = Gold = \nShiny .\n = = History = = \nOld .\n = Gold = \nOther .\n")
    assert plain_texts(str(file)) == [
        Text("Shiny .", "0 = Gold ="),
        Text("Old .", "0 = Gold ="),
        Text("Other .", "4 = Gold ="),
    ]


def test_lines_without_headings_are_documents(tmp_path: Path):
    file = tmp_path / "lines.txt"
    file.write_text("one line\nanother line\n")
    assert [text.document for text in plain_texts(str(file))] == ["0", "1"]


def test_questions_are_of_their_article_and_pairs_of_their_premise(tmp_path: Path):
    def article(title: str, *ids: str) -> dict:
        questions = [{"id": key, "question": "Who?", "answers": [{"text": "I", "answer_start": 0}]} for key in ids]
        return {"title": title, "paragraphs": [{"context": "I am.", "qas": questions}]}

    squad = tmp_path / "squad.json"
    squad.write_text(json.dumps({"version": "1.1", "data": [article("Gold", "a", "b"), article("Iron", "c")]}))
    assert documents_of(get_task("squad").read(squad)) == ["Gold", "Gold", "Iron"]

    pairs = [("He runs.", "He moves."), ("He runs.", "He sleeps."), ("It rains.", "It is wet.")]
    mnli = tmp_path / "mnli.jsonl"
    mnli.write_text(
        "".join(json.dumps({"sentence1": a, "sentence2": b, "gold_label": "neutral"}) + "\n" for a, b in pairs)
    )
    assert documents_of(get_task("mnli").read(mnli)) == ["He runs.", "He runs.", "It rains."]


@pytest.fixture
def texts() -> list[Text]:
    """Five documents of 40, 30, 20, 10 and 5 texts of two words, one after the other."""
    sizes = {"a": 40, "b": 30, "c": 20, "d_bio_d": 10, "e": 5}
    return [Text(f"{name} {i}", name) for name, size in sizes.items() for i in range(size)]


def test_texts_are_drawn_evenly_from_documents(texts: list[Text]):
    chosen = choose(texts, Corpus(source="", words=80))
    assert chosen == sorted(chosen)
    assert Counter(texts[i].document for i in chosen) == {"a": 9, "b": 9, "c": 9, "d_bio_d": 8, "e": 5}


def test_a_document_gives_all_it_has_and_the_others_the_rest(texts: list[Text]):
    chosen = choose(texts, Corpus(source="", words=1000))
    assert chosen == list(range(105))


def test_the_longest_documents_are_kept_without_the_named_ones(texts: list[Text]):
    chosen = choose(texts, Corpus(source="", words=60, documents=3, without=("_bio_",)))
    assert Counter(texts[i].document for i in chosen) == {"a": 10, "b": 10, "c": 10}
    four = choose(texts, Corpus(source="", words=48, documents=4, without=("_bio_",)))
    assert Counter(texts[i].document for i in four)["e"] == 5


def test_texts_of_given_lengths_come_from_an_even_pool(texts: list[Text]):
    chosen = choose(texts, Corpus(source="", documents=3), [2] * 30)  # a pool of 120 words: 20 texts of each
    counts = Counter(texts[i].document for i in chosen)
    assert sum(counts.values()) == 30
    assert max(counts.values()) <= 20
    assert set(counts) == {"a", "b", "c"}


def test_single_documents_are_drawn_at_random():
    drawn = draw([10] * 100, 95, [str(i) for i in range(100)])
    assert len(drawn) == 10
    assert drawn == sorted(drawn) != list(range(10))

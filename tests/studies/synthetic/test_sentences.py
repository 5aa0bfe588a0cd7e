"""Synthetic sentences, pairs and paragraphs: annotations are correct, and a seed names the data."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pyrepsim.core.errors import OptionError
from pyrepsim.studies.synthetic import (
    Sentence,
    generate_pairs,
    generate_paragraphs,
    generate_sentences,
)

N = 400
ROOT = Path(__file__).resolve().parents[3]
DOMAIN_NAMES = ("village", "laboratory")


@pytest.fixture(scope="module", params=DOMAIN_NAMES)
def domain(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def sentences(domain: str) -> list[Sentence]:
    return generate_sentences(N, domain=domain)


def test_trees_are_projective_with_one_root(sentences: list[Sentence]):
    for sentence in sentences:
        heads = [token.head for token in sentence.tokens]
        assert heads.count(0) == 1
        assert all((token.relation == "root") == (token.head == 0) for token in sentence.tokens)
        for child, head in enumerate(heads, 1):
            low, high = sorted((child, head))
            between = range(low + 1, high)
            assert head == 0 or all(low <= heads[word - 1] <= high for word in between), sentence.text
        for word in range(1, len(heads) + 1):
            seen = 0
            while word and seen <= len(heads):
                word, seen = heads[word - 1], seen + 1
            assert word == 0, sentence.text


def test_a_head_takes_one_subject_and_one_object(sentences: list[Sentence]):
    for sentence in sentences:
        for once in (("nsubj", "nsubj:pass"), ("obj", "ccomp", "xcomp"), ("cop",), ("aux:pass",)):
            counts = Counter(token.head for token in sentence.tokens if token.relation in once)
            assert not counts or max(counts.values()) == 1, sentence.text


def test_verbs_agree_with_their_subjects(sentences: list[Sentence]):
    checked = 0
    for sentence in sentences:
        tokens = sentence.tokens
        for subject in tokens:
            if not subject.relation.startswith("nsubj") or subject.xpos not in ("NN", "NNS", "NNP"):
                continue
            finite = [i for i, token in enumerate(tokens, 1) if i == subject.head or token.head == subject.head]
            joined = any(token.relation == "conj" and tokens[token.head - 1] is subject for token in tokens)
            for token in (tokens[i - 1] for i in finite if tokens[i - 1].upos in ("VERB", "AUX")):
                if token.xpos in ("VBZ", "VBP") and token.relation not in ("advcl", "conj", "ccomp", "acl:relcl"):
                    checked += 1
                    assert (token.xpos == "VBP") == (subject.xpos == "NNS" or joined), sentence.text
    assert checked > 20


def test_spans_lie_within_their_sentence_and_nest(sentences: list[Sentence]):
    for sentence in sentences:
        n = len(sentence.tokens)
        edges = (*sentence.relations, *sentence.proto_roles)
        spans = [span for edge in edges for span in (edge.span1, edge.span2)]
        spans += [span for frame in sentence.frames for _, span in frame.arguments]
        spans += [mention for chain in sentence.chains for mention in chain]
        spans += [(start, end) for start, end, _ in (*sentence.entities, *sentence.constituents)]
        assert all(0 <= start < end <= n for start, end in spans)
        assert sentence.constituents[0][:2] == (0, n)
        for a, b, _ in sentence.constituents:
            assert not any(a < c < b < d for c, d, _ in sentence.constituents), sentence.text
        ends = [0, *(end for _, end, _ in sentence.entities)]
        assert all(start >= end for (start, _, _), end in zip(sentence.entities, ends, strict=False))


def test_brackets_have_words_tags_and_constituents(sentences: list[Sentence]):
    for sentence in sentences:
        leaves = re.findall(r"\((\S+) ([^()]+)\)", sentence.brackets)
        assert leaves == [(token.xpos, token.form) for token in sentence.tokens]
        assert sentence.brackets.count("(") == 1 + len(leaves) + len(sentence.constituents)
        assert sentence.brackets.count("(") == sentence.brackets.count(")")


KNOWN: dict[str, dict[str, Any]] = {
    "village": {
        "text": "Elsie baked a loaf with the tool slowly after she said that Ben forged the fence.",
        "frames": {
            "baked": {
                "ARG0": "Elsie",
                "ARG1": "a loaf",
                "ARG2": "with the tool",
                "ARGM-MNR": "slowly",
                "ARGM-TMP": "after she said that Ben forged the fence",
            },
            "said": {"ARG0": "she", "ARG1": "that Ben forged the fence"},
            "forged": {"ARG0": "Ben", "ARG1": "the fence"},
        },
        "chains": [["Elsie", "she"]],
        "entities": [("Elsie", "PERSON"), ("Ben", "PERSON")],
        "relations": [
            ("Elsie", "loaf", "Product-Producer(e2,e1)"),
            ("Elsie", "tool", "Instrument-Agency(e2,e1)"),
            ("Ben", "fence", "Product-Producer(e2,e1)"),
        ],
    },
    "laboratory": {
        "text": "Omar Larsen fetched the moths from Geneva to Chen Institute beside the observatory before he trains "
        "Amara Larsen's person.",
        "frames": {
            "fetched": {
                "ARG0": "Omar Larsen",
                "ARG1": "the moths from Geneva",
                "ARG4": "to Chen Institute",
                "ARGM-LOC": "beside the observatory",
                "ARGM-TMP": "before he trains Amara Larsen 's person",
            },
            "trains": {"ARG0": "he", "ARG1": "Amara Larsen 's person"},
        },
        "chains": [["Omar Larsen", "he"]],
        "entities": [
            ("Omar Larsen", "PERSON"),
            ("Geneva", "GPE"),
            ("Chen Institute", "ORG"),
            ("Amara Larsen", "PERSON"),
        ],
        "relations": [("moths", "Geneva", "Entity-Origin(e1,e2)"), ("moths", "Chen", "Entity-Destination(e1,e2)")],
    },
}


def test_annotations_of_a_known_sentence(domain: str):
    (sentence,) = [s for s in generate_sentences(800, domain=domain) if s.text == KNOWN[domain]["text"]]
    words = sentence.words

    def say(span: tuple[int, int]) -> str:
        return " ".join(words[slice(*span)])

    frames = {say(frame.predicate): {role: say(span) for role, span in frame.arguments} for frame in sentence.frames}
    assert frames == KNOWN[domain]["frames"]
    assert [[say(span) for span in chain] for chain in sentence.chains if len(chain) > 1] == KNOWN[domain]["chains"]
    assert [(say((a, b)), kind) for a, b, kind in sentence.entities] == KNOWN[domain]["entities"]
    relations = [(say(edge.span1), say(edge.span2), *edge.labels) for edge in sentence.relations]
    assert relations == KNOWN[domain]["relations"]


def test_every_annotation_occurs(sentences: list[Sentence]):
    roles = {role for sentence in sentences for frame in sentence.frames for role, _ in frame.arguments}
    assert roles >= {
        "ARG0",
        "ARG1",
        "ARG2",
        "ARG4",
        "R-ARG0",
        "ARGM-LOC",
        "ARGM-TMP",
        "ARGM-NEG",
        "ARGM-MOD",
        "ARGM-CAU",
    }
    relations = {token.relation for sentence in sentences for token in sentence.tokens}
    assert relations >= {"acl:relcl", "advcl", "aux:pass", "ccomp", "conj", "cop", "expl", "flat", "iobj", "obl:agent"}
    kinds = {kind for sentence in sentences for _, _, kind in sentence.entities}
    assert kinds == {"PERSON", "GPE", "ORG", "DATE", "CARDINAL"}
    assert sum(any(len(chain) > 1 for chain in sentence.chains) for sentence in sentences) > N / 10
    assert len({label for sentence in sentences for edge in sentence.relations for label in edge.labels}) >= 6


def test_domains_share_function_words_and_little_else():
    words = {domain: set() for domain in DOMAIN_NAMES}
    content = {domain: set() for domain in DOMAIN_NAMES}
    for domain in DOMAIN_NAMES:
        for sentence in generate_sentences(1500, domain=domain):
            for token in sentence.tokens:
                open_class = token.upos in ("NOUN", "VERB", "ADJ", "PROPN", "ADV") and token.lemma != "be"
                (content if open_class else words)[domain].add(token.lemma)
    first, second = words.values()
    assert len(first & second) >= 0.95 * len(first | second)
    first, second = content.values()
    assert min(len(first), len(second)) > 120
    assert len(first & second) <= 0.05 * len(first | second)


def test_a_prefix_of_more_and_no_repetition(domain: str):
    assert generate_sentences(30, domain=domain, seed=2) == generate_sentences(60, domain=domain, seed=2)[:30]
    assert generate_sentences(30, domain=domain, seed=2) != generate_sentences(30, domain=domain, seed=3)
    assert len({sentence.text for sentence in generate_sentences(N, domain=domain)}) == N
    assert generate_pairs(7, domain=domain) == generate_pairs(60, domain=domain)[:7]
    assert generate_paragraphs(3, domain=domain) == generate_paragraphs(9, domain=domain)[:3]


def test_answers_are_at_their_offsets(domain: str):
    kinds = Counter()
    for paragraph in generate_paragraphs(150, domain=domain):
        assert len(paragraph.questions) >= 4
        assert len({question.text for question in paragraph.questions}) == len(paragraph.questions)
        for question in paragraph.questions:
            assert paragraph.text[question.start :].startswith(question.answer)
            assert question.answer.lower() not in ("he", "she")
            before, after = (
                paragraph.text[: question.start][-1:],
                paragraph.text[question.start + len(question.answer) :][:1],
            )
            assert before in ("", " ")
            assert after in (" ", ".", ",")
            kinds[question.text.split()[0]] += 1
    assert set(kinds) == {"Who", "What", "Where", "When"}
    assert max(kinds.values()) < 4 * min(kinds.values())


def test_no_hash_order_and_no_heavy_import():
    code = (
        "import sys, hashlib; from pyrepsim.studies.synthetic import generate_pairs, generate_sentences;"
        "assert not {'torch', 'transformers', 'datasets'} & set(sys.modules);"
        "print(hashlib.sha256(repr((generate_sentences(20), generate_pairs(20))).encode()).hexdigest())"
    )
    digests = []
    for seed in ("1", "2"):
        env = os.environ | {"PYTHONHASHSEED": seed}
        run = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env, cwd=ROOT
        )
        digests.append(run.stdout)
    assert digests[0] == digests[1]


@pytest.mark.parametrize("make", [generate_sentences, generate_pairs, generate_paragraphs])
def test_options_are_checked(make: Any):
    with pytest.raises(OptionError, match="at least 1: got 0"):
        make(0)
    with pytest.raises(OptionError, match=r"one of village, laboratory: got 'city'"):
        make(1, domain="city")

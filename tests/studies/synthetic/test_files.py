"""Synthetic data as files: the usual formats, and the same bytes for the same seed."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from pathlib import Path
from typing import Any

import conllu
import pytest

from pyrepsim.core.errors import OptionError
from pyrepsim.studies.synthetic import (
    generate_sentences,
    write_synthetic,
)

DOMAIN_NAMES = ("village", "laboratory")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synthetic")
    write_synthetic(folder, train=60, dev=20, test=10)
    return folder


def test_files_in_the_official_formats(folder: Path):
    for domain in DOMAIN_NAMES:
        root = folder / domain
        pairs = [json.loads(line) for line in (root / "mnli" / "train.jsonl").read_text().splitlines()]
        assert len(pairs) == 60
        assert {"gold_label", "sentence1", "sentence2", "pairID", "promptID", "genre"} <= pairs[0].keys()
        squad = json.loads((root / "squad" / "dev.json").read_text())
        questions = [qa for article in squad["data"] for p in article["paragraphs"] for qa in p["qas"]]
        assert len(questions) == len({qa["id"] for qa in questions}) == 20
        ner = (root / "ner" / "test.conll").read_text().split("\n\n")
        assert len([block for block in ner if block.strip()]) == 10
        assert re.search(r"^\S+\tB-PERSON$", "\n".join(ner), re.MULTILINE)


def test_conllu_reads_back(folder: Path):
    path = folder / "village" / "dependency" / "train.conllu"
    expected = generate_sentences(90)[:60]
    read = conllu.parse(path.read_text())
    assert len(read) == 60
    for sentence, lines in zip(expected, read, strict=True):
        words = [line for line in lines if isinstance(line["id"], int)]
        assert [word["form"] for word in words] == sentence.words
        assert [word["head"] for word in words] == [token.head for token in sentence.tokens]
        assert lines.metadata["text"] == sentence.text == _detokenised(lines)


def _detokenised(lines: Any) -> str:
    """The text from the surface tokens and their SpaceAfter."""
    text, covered = "", 0
    for line in lines:
        if isinstance(line["id"], int) and line["id"] <= covered:
            continue
        covered = line["id"] if isinstance(line["id"], int) else line["id"][2]
        text += line["form"] + ("" if (line["misc"] or {}).get("SpaceAfter") == "No" else " ")
    return text.strip()


def test_probing_records(folder: Path):
    for task in ("pos", "constituents", "dependencies", "entities", "srl", "coref", "spr", "relations"):
        lines = (folder / "laboratory" / "edge" / task / "train.jsonl").read_text().splitlines()
        assert lines
        for record in map(json.loads, lines):
            n = len(record["text"].split())
            assert record["targets"]
            for target in record["targets"]:
                pair = task not in ("pos", "constituents", "entities")
                assert target.keys() == ({"span1", "span2", "label"} if pair else {"span1", "label"})
                spans = [target["span1"], target["span2"]] if pair else [target["span1"]]
                assert all(0 <= start < end <= n for start, end in spans)
                assert isinstance(target["label"], list if task == "spr" else str)


def test_splits_share_nothing(folder: Path):
    for domain in DOMAIN_NAMES:
        texts: dict[str, list[set[str]]] = defaultdict(list)
        for split in ("train", "dev", "test"):
            root = folder / domain
            texts["text"].append(set((root / "text" / f"{split}.txt").read_text().splitlines()))
            pairs = [json.loads(line) for line in (root / "mnli" / f"{split}.jsonl").read_text().splitlines()]
            texts["hypotheses"].append({pair["sentence2"] for pair in pairs})
            (article,) = json.loads((root / "squad" / f"{split}.json").read_text())["data"]
            texts["contexts"].append({paragraph["context"] for paragraph in article["paragraphs"]})
        for train, dev, test in texts.values():
            assert train.isdisjoint(dev)
            assert (train | dev).isdisjoint(test)


# Results measured on this data need the same bytes: change the digest only with the grammar.
DIGEST = "70164978f4927c3a7f8a1886751b33d485612064a923c92b4385af4b8a30d84b"


def _digest(folder: Path) -> str:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
    return digest.hexdigest()


def test_a_seed_always_gives_the_same_bytes(folder: Path):
    assert _digest(folder) == DIGEST


def test_a_split_has_at_least_one_example(tmp_path: Path):
    with pytest.raises(OptionError, match="got dev=0"):
        write_synthetic(tmp_path, dev=0)

"""Counts over real corpora: published counts, or counts by regular expressions here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pyrepsim.probing.corpora import Records, project, splits


def drained(folder: Path, task: str, part: str) -> Records:
    records = splits(folder, task)[part].read(task)
    for _ in records:
        pass
    return records


def test_dependencies_of_ewt(shared_data: Path) -> None:
    records = drained(shared_data / "ud_ewt", "dependencies", "test")
    assert records.counts["sentences"] == 2077
    assert records.counts["records"] == 2075  # as in the paper's table, of UD 2.2
    text = (shared_data / "ud_ewt" / "en_ewt-ud-test.conllu").read_text()
    kept = [block for block in text.split("\n\n") if not re.search(r"^\d+\.\d", block, re.MULTILINE)]
    assert records.counts["targets"] == sum(len(re.findall(r"^\d+\t", block, re.MULTILINE)) for block in kept)


def test_frames_of_propbank(shared_data: Path) -> None:
    records = drained(shared_data / "propbank_ewt", "srl", "dev")
    text = (shared_data / "propbank_ewt" / "ewt-propbank-dev.gold_conll").read_text()
    cells = [cell for line in text.splitlines() if not line.startswith("#") for cell in line.split("\t")[8:]]
    labels = [label for cell in cells for label in re.findall(r"\(([^*]+)", cell)]
    assert records.counts["frames"] == labels.count("V") == 4960
    assert records.counts["targets"] == len(labels) - 4960
    assert records.labels["R-ARG0"] == labels.count("R-ARG0")


def test_constituents_of_propbank(shared_data: Path) -> None:
    records = drained(shared_data / "propbank_ewt", "constituents", "dev")
    text = (shared_data / "propbank_ewt" / "ewt-propbank-dev.gold_conll").read_text()
    bits = [line.split("\t")[5] for line in text.splitlines() if line and not line.startswith("#")]
    assert records.counts["targets"] == sum(bit.count("(") for bit in bits)
    assert records.counts["tokens"] == len(bits)


def test_gum(shared_data: Path) -> None:
    entities = drained(shared_data / "gum", "entities", "dev")
    text = "".join(path.read_text() for path in sorted((shared_data / "gum" / "dep" / "dev").iterdir()))
    assert entities.counts["targets"] == len(re.findall(r"\(\d+-[a-z]+-", text))
    coref = drained(shared_data / "gum", "coref", "dev")
    text = "".join(path.read_text() for path in sorted((shared_data / "gum" / "coref_ontogum" / "dev").iterdir()))
    assert coref.counts["mentions"] == len(
        re.findall(r"\(\d+", re.sub(r"^\d+\t[^\t]*\t", "", text, flags=re.MULTILINE))
    )
    assert coref.labels == {"1": 473, "0": 1929}
    trees = drained(shared_data / "gum", "constituents", "dev")
    assert trees.counts["tokens"] == 10631
    assert trees.labels["ROOT"] == trees.counts["sentences"] == entities.counts["sentences"] == 438


def test_relations(shared_data: Path) -> None:
    """Sentences and words of the three parts, and the 19 labels, as in jiant's table."""
    folder = shared_data / "semeval2010_task8"
    train, dev, test = (drained(folder, "relations", part) for part in ("train", "dev", "test"))
    assert [part.counts["records"] for part in (train, dev, test)] == [6851, 1149, 2717]
    assert [part.counts["tokens"] for part in (dev, test)] == [20361, 46873]
    assert len(train.labels) == 19


def test_proto_roles(shared_data: Path) -> None:
    folder = shared_data / "spr_uds"
    dev, test = (drained(folder, "spr", part) for part in ("dev", "test"))
    assert [part.counts["records"] for part in (dev, test)] == [291, 276]
    assert [part.counts["tokens"] for part in (dev, test)] == [5592, 4929]
    assert len(dev.labels) == 18


@pytest.mark.parametrize(
    ("part", "sentences", "targets"), [("train", 3394, 1975), ("dev", 1009, 836), ("test", 1287, 1079)]
)
def test_emerging_entities(shared_data: Path, part: str, sentences: int, targets: int) -> None:
    records = drained(shared_data / "wnut17", "entities", part)
    assert records.counts["sentences"] == sentences
    assert records.counts["targets"] == targets


def test_all_spans_of_a_part_have_pieces(shared_data: Path) -> None:
    tokenizers = pytest.importorskip("tokenizers")
    tokenizer = tokenizers.Tokenizer.from_file(str(shared_data / "models" / "e5-small" / "tokenizer.json"))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    unaligned, n_targets = [], 0
    for record in splits(shared_data / "gum", "entities")["test"].read("entities"):
        moved = project(record, tokenizer.encode(record["text"]))
        unaligned += moved.unaligned
        n_targets += len(moved.targets)
    assert unaligned == []
    assert n_targets == 3142

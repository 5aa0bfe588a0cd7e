"""From records to rows: spans of words become rows, and targets that cannot be probed are named and counted."""

from __future__ import annotations

import numpy as np
import pytest

from pyrepsim.core.errors import OptionError, RowMismatchError, ShapeError, TextError
from pyrepsim.probing.edge import choose_members, fit_edge_probes, lexical_table, probe_texts
from pyrepsim.probing.edge.records import read_records
from pyrepsim.probing.edge.targets import align
from pyrepsim.probing.rows import StoreRows
from tests.helpers.probe_data import LAYERS, noise, pieces, store_of

TEXTS = [["a1", "b2", "c3"], ["d4", "e5"], ["f6"]]


@pytest.fixture
def store(rng, tmp_path):
    return store_of(tmp_path / "store", TEXTS, noise(rng, 4))


def record(words, *targets):
    return {"text": " ".join(words), "targets": list(targets)}


def target(start, end, label="A", **more):
    return {"span1": [start, end], "label": label} | more


def aligned(store, *records, **options):
    return align(store, read_records(records, "train"), name="train", **options)


def reasons(targets):
    return [(finding.reason, finding.where, finding.kept) for finding in targets.findings]


def test_spans_become_all_pieces_of_their_words(store):
    found = aligned(store, record(TEXTS[0], target(0, 1), target(1, 3)), record(TEXTS[1], target(1, 2)))
    for (start, end), (document, words) in zip(found.spans[:, 0], [(0, {0}), (0, {1, 2}), (1, {1})], strict=True):
        rows = np.arange(start, end)
        assert (store.columns.doc_id[rows] == document).all()
        due = [(s, e) for s, e, word in pieces(TEXTS[document]) if word in words]
        assert list(zip(store.columns.char_start[rows], store.columns.char_end[rows], strict=True)) == due
    assert found.ptr.tolist() == [0, 2, 3]
    assert not found.findings


def test_every_target_that_cannot_be_probed_is_named(store, caplog):
    found = aligned(
        store,
        record(TEXTS[0], target(0, 4), target(2, 2), target(-1, 1), target(0, 1, [])),
        record(["d4", "e5", "longer9"], target(0, 1)),
        record(TEXTS[2]),
        record(["not", "there"], target(0, 1)),
    )
    outside = "span outside its sentence"
    assert reasons(found) == [
        *((outside, f"target {i} of record 0 of train", False) for i in range(3)),
        ("target without a label", "target 3 of record 0 of train", True),
        ("the store has another text here", "target 0 of record 1 of train", False),
        ("record without targets", "record 2 of train", False),
        ("sentence not in the store", "target 0 of record 3 of train", False),
    ]
    assert found.n_targets == 1
    assert "train: 3 left out: span outside its sentence (first: target 0 of record 0 of train)" in caplog.text


@pytest.mark.parametrize("words", [["a1b2", "c3"], ["a", "1", "b2", "c3", "x"], ["a1"]])
def test_other_words_than_those_of_the_store_are_reported(store, words):
    found = aligned(store, record(words, target(0, 1)), record(TEXTS[1], target(0, 1)))
    assert found.n_targets == 1
    ((reason, where, kept),) = reasons(found)
    assert reason in ("the store has another text here", "the store has other words here")
    assert (where, kept) == ("target 0 of record 0 of train", False)


def test_overlapping_spans_are_kept_and_counted(store):
    found = aligned(
        store,
        record(TEXTS[0], target(0, 2, span2=[1, 3]), target(0, 1, span2=[0, 1]), target(0, 1, span2=[1, 2])),
    )
    assert reasons(found) == [("spans of one target overlap", "target 0 of record 0 of train", True)]
    assert found.n_targets == 3


def test_labels_not_seen_in_training_count_as_missed(store):
    found = aligned(store, record(TEXTS[0], target(0, 1, ["A", "new"]), target(1, 2, "new")), labels=("A", "B"))
    assert found.unseen == {0: ("new",), 1: ("new",)}
    assert found.multi_hot(np.arange(2)).tolist() == [[1, 0], [0, 0]]
    assert found.n_targets == 2
    assert len(reasons(found)) == 2


def test_targets_of_chosen_sentences(store):
    records = [record(words, target(0, 1, words[0][:1]), target(0, 1, "z")) for words in TEXTS]
    found = aligned(store, *records)
    part = found.take(np.array([2, 0]))
    assert part.record.tolist() == [2, 0]
    assert part.spans.tolist() == found.spans[[4, 5, 0, 1]].tolist()
    assert (part.multi_hot(np.arange(4)) == found.multi_hot(np.array([4, 5, 0, 1]))).all()


def test_a_text_that_several_records_share_is_one_document(store):
    records = [
        record(TEXTS[0], target(0, 1)),
        record(TEXTS[0], target(2, 3)),
        *(record(t, target(0, 1)) for t in TEXTS[1:]),
    ]
    found = aligned(store, *records)
    assert store.columns.doc_id[found.spans[:, 0, 0]].tolist() == [0, 0, 1, 2]
    assert found.document.tolist() == [0, 0, 1, 2]
    assert found.take(np.array([3, 1])).document.tolist() == [2, 0]
    named = [one | {"info": {"document": name}} for one, name in zip(records, "yyzy", strict=True)]
    assert aligned(store, *named).document.tolist() == [0, 0, 1, 0]
    assert probe_texts(records) == [" ".join(words) for words in TEXTS]


def test_records_find_their_texts_in_a_larger_store(store):
    found = aligned(store, record(TEXTS[2], target(0, 1)), texts=[" ".join(words) for words in TEXTS])
    assert store.columns.doc_id[found.spans[0, 0, 0]] == 2


def test_a_store_with_a_fingerprint_of_other_texts_is_refused(tmp_path, rng):
    """What an extraction writes into its plan about its texts: here by the extraction's own code."""
    from pyrepsim.data.documents import Corpus, Document

    texts = [" ".join(words) for words in TEXTS]
    for name, documents in (
        ("running", [Document(str(i), text) for i, text in enumerate(texts)]),
        ("words", [Document.from_words(str(i), words) for i, words in enumerate(TEXTS)]),
    ):
        plan = {"rows": {"texts": Corpus(tuple(documents), "test").fingerprint, "documents": 3}}
        store = store_of(tmp_path / name, TEXTS, noise(rng, 4), plan=plan)
        records = [record(words, target(0, 1)) for words in TEXTS]
        assert aligned(store, *records, records[0]).n_targets == 4
        with pytest.raises(RowMismatchError, match=r"3 other documents .* are 2 texts to find, 2 of them different"):
            aligned(store, *records[:2])
        assert aligned(store, *records[:2], texts=texts).n_targets == 2


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"targets": []}, 'must be an object with a "text": record 0 of train'),
        ({"text": "a", "targets": "b"}, 'list of "targets"'),
        ({"text": "a", "targets": [3]}, "target 0 of record 0 of train is '3'"),
        (record(["a"], {"label": "A"}), "two whole numbers: target 0 of record 0 of train has 'None'"),
        (record(["a"], target(0, 1.5)), "two whole numbers"),
        (record(["a"], target(0, 1, span2="ab")), "two whole numbers"),
        (record(["a"], target(0, 1, None)), "a string or a list of strings"),
        (
            record(["a"], target(0, 1), target(0, 1, span2=[0, 1])),
            r"number of spans: those of train have \[1, 2\]",
        ),
    ],
)
def test_malformed_records_are_refused(bad, message):
    with pytest.raises(TextError, match=message):
        read_records([bad], "train")


def test_no_targets_left(store):
    with pytest.raises(TextError, match=r"train has none left \(span outside its sentence\)"):
        aligned(store, record(TEXTS[0], target(5, 6)))


def test_rows_of_a_store_in_any_pieces(rng, tmp_path):
    texts = [[f"w{i}"] * int(rng.integers(1, 5)) for i in range(30)]
    store = store_of(tmp_path / "s", texts, noise(rng, 5), dtype="float16", shard_rows=17)
    table = rng.normal(size=(12, 5)).astype(np.float32)
    rows = np.sort(rng.choice(store.n_rows, 40, replace=False))
    content = store.columns.mask("content")
    with StoreRows(store, ["layer.1", "embeddings", "lex"], table) as source:
        found = source.read(rows)
    assert found.dtype == np.float32
    for place, layer in enumerate(("layer.1", "embeddings")):
        assert (found[place] == np.asarray(store[layer])[rows].astype(np.float32)).all()
    assert (found[2][content[rows]] == table[store.columns.token_id[rows]][content[rows]]).all()


def test_widths_and_tables_that_do_not_fit(store, tmp_path, rng):
    with pytest.raises(ShapeError, match="one width"):
        StoreRows(store, ["layer.0", "lex"], np.zeros((12, 5)))
    with pytest.raises(ShapeError, match="a row for every token id: it has 2"):
        StoreRows(store, ["layer.0", "lex"], np.zeros((2, 4)))


def test_members_by_name():
    names = [member.name for member in choose_members(None, LAYERS, [0], lexical=True)]
    assert names == [*LAYERS, "lex", "mix.0", "mix.1", "mix.2"]
    (mix,) = choose_members("mix", LAYERS, [0], lexical=False)
    assert (mix.name, mix.sources) == ("mix.2", LAYERS)
    assert [m.key for m in choose_members(["top", "mix.1"], LAYERS, [4, 2], lexical=False)] == [
        ("layer.1", 4),
        ("layer.1", 2),
        ("mix.1", 4),
        ("mix.1", 2),
    ]
    with pytest.raises(LookupError, match="got 'layer.7'"):
        choose_members("layer.7", LAYERS, [0], lexical=False)
    with pytest.raises(OptionError, match="Pass lex="):
        choose_members("lex", LAYERS, [0], lexical=False)
    with pytest.raises(OptionError, match="must differ"):
        choose_members("top", LAYERS, [1, 1], lexical=False)


def test_the_lexical_table_is_the_embedding_without_position(tmp_path):
    import torch

    from pyrepsim.models import load_encoder
    from tests.helpers.tiny_models import tiny_bert

    encoder = load_encoder(tiny_bert(tmp_path / "bert"), device="cpu")
    module = encoder.module.embeddings
    due = torch.nn.functional.layer_norm(
        module.word_embeddings.weight, (16,), module.LayerNorm.weight, module.LayerNorm.bias, 1e-12
    )
    assert lexical_table(encoder) == pytest.approx(due.detach().numpy(), abs=1e-6)
    with pytest.raises(ShapeError, match="vocabulary, width"):
        lexical_table(np.zeros(3))


@pytest.mark.parametrize("dev", [None, ("a", []), []])
def test_a_split_is_a_store_and_records(store, dev):
    with pytest.raises(OptionError, match=r"dev must be \(store, records\)"):
        fit_edge_probes(store, [record(TEXTS[0], target(0, 1))], dev=dev)

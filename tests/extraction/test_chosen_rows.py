"""`extract(tokens=...)` and `rows="document"`: which rows are stored, and means over the tokens of a document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import pyrepsim as rs
from pyrepsim.core.errors import NonFiniteError, OptionError, RowMismatchError, StoreError, TextError
from pyrepsim.models import Encoder
from pyrepsim.store import ActivationStore, TokenFlag

from .reference import forward_alone, relative_error, tokens_alone

FLOAT32 = 3e-6  # padding changes float32 activations of these random models by up to 1e-6 of their size
IDENTITY = ("doc_id", "position", "token_id", "word_id", "char_start", "char_end", "window_id", "flags")
SELECTIONS = ["last", "content", "special", "cls", "first_subword", "-3:", "1:4", slice(0, 2), range(2)]


def even(columns: Any) -> Any:
    return columns["position"] % 2 == 0


def label(value: Any) -> str:
    """The value as text, without the address of a function, which differs between processes."""
    return str(value).replace(repr(even), even.__name__)


def same_rows(one: ActivationStore, whole: ActivationStore, mask: np.ndarray) -> bool:
    """The same rows; bit for bit if every text has one: texts without any are not read, so that batches differ."""
    columns = all(np.array_equal(one.columns[name], whole.columns[name][mask]) for name in IDENTITY)
    pairs = [(np.asarray(one[name]), np.asarray(whole[name])[mask]) for name in whole.layers]
    if len(np.unique(one.columns.doc_id)) == len(np.unique(whole.columns.doc_id)):
        return columns and all(np.array_equal(*pair) for pair in pairs)
    return columns and all(relative_error(*pair) < 2.0**-11 + FLOAT32 for pair in pairs)


@pytest.mark.parametrize("tokens", [*SELECTIONS, even], ids=label)
@pytest.mark.parametrize("kind", ["base", "gpt2"])
def test_the_stored_rows_are_those_that_a_whole_store_has(
    encoders: dict[str, Encoder], kind: str, tokens: Any, sentences: list[str], tmp_path: Path
):
    if kind == "gpt2" and tokens in ("special", "cls"):
        with pytest.raises(TextError, match=f"have no tokens that tokens='{tokens}' selects"):
            rs.extract(encoders[kind], sentences, tmp_path / "s", tokens=tokens)
        return
    sentences = sentences if isinstance(tokens, str) else [text for text in sentences if text]
    whole = rs.extract(encoders[kind], sentences, tmp_path / "whole", batch_tokens=60)
    some = rs.extract(encoders[kind], sentences, tmp_path / "some", tokens=tokens, batch_tokens=60)
    assert same_rows(some, whole, whole.columns.mask(tokens))
    assert (some.n_rows < whole.n_rows) == (kind == "base" or tokens != "content")
    planned = rs.plan_extraction(encoders[kind], sentences, tokens=tokens, batch_tokens=60, out=tmp_path / "some")
    assert (planned.n_rows, planned.n_bytes_left) == (some.n_rows, 0)


def test_by_default_the_plan_has_no_word_about_it(base: Encoder, sentences: list[str], tmp_path: Path):
    plans = [rs.extract(base, sentences, tmp_path / str(i), **kw).plan for i, kw in enumerate([{}, {"tokens": "all"}])]
    assert plans[0] == plans[1]
    assert set(plans[0]["policy"]) == {"words", "long", "max_length", "batch_tokens", "shard_tokens"}
    record = rs.plan_extraction(base, sentences, tokens=range(2)).record()
    assert record["policy"]["tokens"] == "0:2"
    assert json.loads(json.dumps(record)) == record


@pytest.mark.parametrize("words", ["first", "mean"])
def test_words_are_chosen_too(base: Encoder, sentences: list[str], words: str, tmp_path: Path):
    whole = rs.extract(base, sentences, tmp_path / "whole", words=words, batch_tokens=60)
    some = rs.extract(base, sentences, tmp_path / "some", words=words, tokens="-2:", batch_tokens=60)
    assert same_rows(some, whole, whole.columns.mask("-2:"))
    with pytest.raises(OptionError, match="Rows per word hold no special tokens"):
        rs.extract(base, sentences, tmp_path / "none", words=words, tokens="cls")


def test_windows_without_chosen_rows_are_not_read(base: Encoder, sentences: list[str], tmp_path: Path):
    texts, options = [" ".join(sentences), "the keys"], {"long": "window", "max_length": 20, "dtype": "float32"}
    plans = [rs.plan_extraction(base, texts, tokens=tokens, **options) for tokens in (None, "last")]
    assert plans[1].n_rows == 2
    assert plans[1].n_tokens == 20 + 4  # [CLS] the keys [SEP]
    assert plans[0].n_tokens > 3 * 20
    whole = rs.extract(base, texts, tmp_path / "whole", **options)
    last = rs.extract(base, texts, tmp_path / "last", tokens="last", **options)
    mask = whole.columns.mask("last")
    assert np.array_equal(last.columns.window_id, whole.columns.window_id[mask])
    for layer in whole.layers:
        assert relative_error(np.asarray(last[layer]), np.asarray(whole[layer])[mask]) <= FLOAT32


def interrupted(encoder: Encoder, texts: list[str], out: Path, calls: int, **options: Any) -> None:
    """Stop an extraction after some forward passes."""
    left = [calls]

    def stop(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return original(*arguments)

    original = Encoder.hidden_states
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Encoder, "hidden_states", stop)
        with pytest.raises(KeyboardInterrupt):
            rs.extract(encoder, texts, out, **options)


TEXTS = [f"the keys {'are here ' * (i % 7)}{i}" for i in range(60)]


@pytest.mark.parametrize("options", [{"tokens": "last"}, {"tokens": even}, {"rows": "document"}], ids=label)
def test_a_stopped_extraction_is_continued_with_the_same_choice_only(
    base: Encoder, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("pyrepsim.extraction.plan.SHARD_TOKENS", 100)
    whole = rs.extract(base, TEXTS, tmp_path / "whole", **options)
    assert len(whole.shard_rows) > 4
    interrupted(base, TEXTS, tmp_path / "s", 4, **options)
    assert 0 < len(list((tmp_path / "s" / "journal").glob("*.json"))) < len(whole.shard_rows)
    others: list[dict[str, Any]] = [{}, {"tokens": "-2:"}, {"tokens": lambda columns: columns["position"] == 3}]
    others += [{"rows": "document", "tokens": "all"}]
    for other in others:
        with pytest.raises(StoreError, match="differs in"):
            rs.extract(base, TEXTS, tmp_path / "s", **other)
    assert rs.extract(base, TEXTS, tmp_path / "s", **options).digest == whole.digest


def test_a_function_that_chooses_other_rows_does_not_continue_a_store(base: Encoder, tmp_path: Path):
    """Functions are compared by their code and by the rows that they choose."""
    chosen = [np.array([2])]
    pick = lambda columns: np.isin(columns["position"], chosen[0])  # noqa: E731
    rs.extract(base, TEXTS, tmp_path / "s", tokens=pick)
    chosen[0] = np.array([3])
    with pytest.raises(StoreError, match="differs in"):
        rs.extract(base, TEXTS, tmp_path / "s", tokens=pick)


def test_plans_are_shared_with_their_choice(encoders: dict[str, Encoder], tmp_path: Path):
    base, tuned = encoders["base"], encoders["tuned"]
    x = rs.extract(base, TEXTS, tmp_path / "x", tokens="last")
    y = rs.extract(tuned, TEXTS, tmp_path / "y", same_plan_as=x)
    assert y.n_rows == len(TEXTS)
    assert rs.compare(x, y, "LinearCKA", layers=["layer.1"])[0].n_samples == len(TEXTS)
    with pytest.raises(OptionError, match="has tokens='last': got tokens='first' beside it"):
        rs.extract(tuned, TEXTS, tmp_path / "z", same_plan_as=x, tokens="first")
    by_function = rs.extract(base, TEXTS, tmp_path / "f", tokens=even)
    with pytest.raises(OptionError, match="chose its rows by a function of the columns.*Give it again"):
        rs.extract(tuned, TEXTS, tmp_path / "g", same_plan_as=by_function)
    again = rs.extract(tuned, TEXTS, tmp_path / "g", same_plan_as=by_function, tokens=even)
    assert again.rows_digest == by_function.rows_digest
    plan = rs.plan_extraction(base, TEXTS, tokens=even)
    assert rs.plan_extraction(tuned, TEXTS, same_plan_as=plan).record() == plan.record()


def test_comparisons_of_rows_that_are_not_there_say_so(base: Encoder, tmp_path: Path):
    whole = rs.extract(base, TEXTS, tmp_path / "whole")
    last = rs.extract(base, TEXTS, tmp_path / "last", tokens="-3:-1")
    content = rs.extract(base, TEXTS, tmp_path / "content", tokens="content")
    with pytest.raises(OptionError, match="got tokens='first' for one that was extracted with tokens='-3:-1'"):
        rs.compare(last, last, "LinearCKA", tokens="first")
    with pytest.raises(OptionError, match="got tokens='cls' for one that was extracted with tokens='content'"):
        rs.profile(content, tokens="cls")
    with pytest.raises(RowMismatchError, match="extracted with the rows 'all', the second with '-3:-1'"):
        rs.compare(whole, last, "LinearCKA")
    layers = ["layer.0", "layer.1"]
    rows = {name: np.asarray(whole[name])[whole.columns.mask("-3:-1")] for name in layers}
    for tokens in ("content", "all", "-3:-1", slice(-3, -1), np.ones(last.n_rows, bool)):
        scores = rs.compare(last, last, "LinearCKA", tokens=tokens, layers=[("layer.0", "layer.1")])
        assert scores[0].value == pytest.approx(rs.compare(*rows.values(), "LinearCKA").value, rel=1e-12)
    assert scores[0].provenance["stored_rows"] == "-3:-1"
    wanted = rs.compare(whole, whole, "LinearCKA", tokens="-2:", layers=[("layer.0", "layer.1")])[0].value
    found = rs.compare(content, content, "LinearCKA", tokens="-2:", layers=[("layer.0", "layer.1")])[0].value
    assert found == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("kind", ["base", "gpt2"])
@pytest.mark.parametrize("tokens", [None, "all", "-2:"])
def test_a_row_a_document_is_the_mean_over_its_tokens(
    encoders: dict[str, Encoder], kind: str, tokens: Any, side: str, sentences: list[str], tmp_path: Path
):
    encoder = encoders[kind]
    before = encoder.tokenizer.padding_side
    encoder.tokenizer.padding_side = side
    try:
        store = rs.extract(encoder, sentences, tmp_path / "s", rows="document", tokens=tokens, dtype="float32")
    finally:
        encoder.tokenizer.padding_side = before
    row = 0
    for document, text in enumerate(sentences):
        ids = tokens_alone(encoder, text)
        chosen = range(len(ids)) if kind == "gpt2" or tokens == "all" else range(1, len(ids) - 1)
        chosen = chosen[-2:] if tokens == "-2:" else chosen
        if not len(chosen):
            continue  # an empty text has no row
        assert store.columns.doc_id[row] == document
        for layer, states in zip(store.layers, forward_alone(encoder, ids), strict=True):
            wanted = states.astype(np.float64)[list(chosen)].mean(axis=0)
            assert relative_error(np.asarray(store[layer])[row : row + 1], wanted[None]) <= FLOAT32
        row += 1
    assert store.n_rows == row
    assert store.plan["rows"]["unit"] == "document"
    assert not store.columns.has(TokenFlag.SPECIAL).any()


@pytest.mark.parametrize("long", ["window", "truncate"])
def test_means_of_long_documents_take_each_token_once(base: Encoder, long: str, sentences: list[str], tmp_path: Path):
    texts, options = ["run", " ".join(sentences), "the keys " * 30], {"long": long, "max_length": 20}
    tokens = rs.extract(base, texts, tmp_path / "t", dtype="float32", **options)
    for batch_tokens in (20, 4096):  # the windows of a document are in different batches, or in one
        store = rs.extract(
            base,
            texts,
            tmp_path / str(batch_tokens),
            rows="document",
            dtype="float32",
            batch_tokens=batch_tokens,
            **options,
        )
        assert store.columns.has(TokenFlag.TRUNCATED_CONTEXT).tolist() == [False, True, True]
        for layer in store.layers:
            rows = np.asarray(tokens[layer]).astype(np.float64)
            content = tokens.columns.mask("content")
            wanted = [rows[content & (tokens.columns.doc_id == index)].mean(axis=0) for index in range(3)]
            assert relative_error(np.asarray(store[layer]), np.stack(wanted)) <= FLOAT32


def test_means_do_not_depend_on_neighbours_and_shards(
    base: Encoder, sentences: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """With equal states of the tokens, as of the embeddings, the bits of a mean are the same in every batch."""
    texts = [text for text in sentences if text.strip()]
    options: dict[str, Any] = {"rows": "document", "dtype": "float32", "layers": ["embeddings"], "tokens": "all"}
    monkeypatch.setattr(Encoder, "hidden_states", exact_states)
    whole = rs.extract(base, texts, tmp_path / "whole", **options)
    alone = [rs.extract(base, [text], tmp_path / f"alone{i}", **options) for i, text in enumerate(texts)]
    assert np.array_equal(np.asarray(whole[0]), np.concatenate([np.asarray(store[0]) for store in alone]))
    for index, text in enumerate(texts):
        values = exact_rows(torch.tensor(tokens_alone(base, text))).double().numpy()
        assert np.asarray(whole[0])[index].tobytes() == values.mean(axis=0).astype(np.float32).tobytes()
    monkeypatch.setattr("pyrepsim.extraction.plan.SHARD_TOKENS", 30)
    shards = rs.extract(base, texts, tmp_path / "shards", **options)
    assert len(shards.shard_rows) > 2
    assert np.array_equal(np.asarray(whole[0]), np.asarray(shards[0]))


def exact_rows(ids: torch.Tensor) -> torch.Tensor:
    """States that depend on the token alone, of magnitudes from 1e-3 to 1e7: a sum in float32 loses the small ones."""
    features = torch.arange(16)
    return torch.sin(ids[..., None] * 1.7 + features) * 10.0 ** ((ids[..., None] + features) % 11 - 3)


def exact_states(_: Encoder, ids: torch.Tensor, *__: Any) -> tuple[torch.Tensor, ...]:
    return (exact_rows(ids),)


def test_documents_are_compared_across_tokenizers(encoders: dict[str, Encoder], tmp_path: Path):
    pair = encoders["base"], encoders["gpt2"]
    x, y = (
        rs.extract(encoder, TEXTS, tmp_path / name, rows="document", dtype="float32")
        for name, encoder in zip("xy", pair, strict=True)
    )
    stored = rs.compare(x, y, ["LinearCKA", "Procrustes"])
    streamed = rs.compare_models(*pair, TEXTS, ["LinearCKA", "Procrustes"], rows="document")
    assert [score.n_samples for score in streamed] == [len(TEXTS)] * len(stored)
    for one, other in zip(stored, streamed, strict=True):
        assert one.value == pytest.approx(other.value, abs=1e-6)
    assert streamed[0].provenance["policy"]["rows"] == "document"
    with pytest.raises(RowMismatchError, match="differ in 'rows.of'|rows.of"):
        rs.compare(x, rs.extract(pair[1], TEXTS, tmp_path / "z", rows="document", tokens="last"), "LinearCKA")
    for tokens in ("last", "first_subword"):
        with pytest.raises(OptionError, match="extracted with rows='document'"):
            rs.compare(x, y, "LinearCKA", tokens=tokens)
    with pytest.raises(OptionError, match="or by text: rows='document'"):
        rs.compare_models(*pair, TEXTS, "LinearCKA")
    with pytest.raises(
        RowMismatchError, match=r"base' has none for document '1', because tokens='content' selects none"
    ):
        rs.compare_models(*pair, ["the keys", "\u200b", "keys"], "LinearCKA", rows="document")


@pytest.mark.parametrize("tokens", ["content", "last", even], ids=label)
def test_streams_of_documents_equal_stores(encoders: dict[str, Encoder], tokens: Any, tmp_path: Path):
    pair = encoders["base"], encoders["tuned"]
    x = rs.extract(pair[0], TEXTS, tmp_path / "x", rows="document", tokens=tokens, dtype="float32")
    y = rs.extract(pair[1], TEXTS, tmp_path / "y", same_plan_as=x, tokens=tokens, dtype="float32")
    stored = rs.compare(x, y, "LinearCKA", layers=["layer.1"])[0]
    streamed = rs.compare_models(*pair, TEXTS, "LinearCKA", rows="document", tokens=tokens, layers=["layer.1"])[0]
    assert streamed.value == pytest.approx(stored.value, rel=1e-9)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokens": "nouns"}, "tokens must be one of"),
        ({"tokens": 3}, "tokens must be one of"),
        ({"tokens": np.ones(9, bool)}, "A boolean array chooses rows of a store: texts have none yet"),
        ({"rows": "document", "words": "mean"}, "A row is a word or a document"),
        ({"rows": "sentence"}, "rows must be one of 'document', 'item', 'token', 'flatten', or a function"),
        ({"rows": "item"}, "rows=, forward= and ids= are for batches of tensors: got texts"),
        ({"rows": "document", "tokens": np.ones(9, bool)}, "A boolean array"),
    ],
)
def test_what_cannot_be_chosen_is_refused(base: Encoder, options: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(OptionError, match=message):
        rs.extract(base, TEXTS, tmp_path / "s", **options)
    assert not (tmp_path / "s").exists()


def test_batches_have_no_tokens_and_no_documents(base: Encoder, tmp_path: Path):
    batches = [{"input_ids": torch.ones(2, 3, dtype=torch.long)}]
    with pytest.raises(OptionError, match="tokens is an option for texts"):
        rs.extract(base.module, batches, tmp_path / "s", tokens="last")
    with pytest.raises(OptionError, match="rows must be one of 'item', .* or a function: got 'document'"):
        rs.extract(base.module, batches, tmp_path / "s", rows="document")


def test_probes_need_every_token(base: Encoder, tmp_path: Path):
    from pyrepsim.core.errors import PyrepsimError
    from pyrepsim.probing.edge.targets import _Tokens
    from pyrepsim.probing.structural.data import find_sentences

    store = rs.extract(base, TEXTS, tmp_path / "s", tokens="first_subword")
    with pytest.raises(TextError, match="was extracted with tokens='first_subword'"):
        _Tokens(store)
    documents = rs.extract(base, TEXTS, tmp_path / "d", rows="document")
    with pytest.raises(TextError, match="have none"):
        _Tokens(documents)
    with pytest.raises(PyrepsimError, match="has one per document"):
        find_sentences(documents, [object()])  # type: ignore[list-item]


@pytest.mark.parametrize("longest", [1, 2, 7, 33, 100, 257])
def test_the_order_of_additions_depends_on_the_row_alone(longest: int):
    """In float64: a mean has the same bits alone and beside a longer row; of equal tokens it is that token."""
    from pyrepsim.extraction.forward import _MeanOfDocument
    from pyrepsim.extraction.layout import Batch

    torch.manual_seed(longest)
    tokens = torch.randn(longest + 32, 5) * 10.0 ** torch.randint(-6, 6, (longest + 32, 5))
    tokens[:, 4] = -0.0
    ids, own = np.zeros((1, len(tokens)), np.int64), np.arange(32)
    alone = _MeanOfDocument(Batch(ids, own, np.array([32]), np.array([0])), torch.device("cpu"))(tokens)
    picks, counts = np.concatenate([own, np.arange(32, 32 + longest)]), np.array([32, longest])
    both = _MeanOfDocument(Batch(ids, picks, counts, np.array([0, 1])), torch.device("cpu"))(tokens)
    assert both.dtype == torch.float64
    assert both[0].numpy().tobytes() == alone[0].numpy().tobytes()
    assert both[:, 4].numpy().tobytes() == np.zeros(2).tobytes()
    wanted = tokens[:32].double().mean(0)
    assert float(((both[0] - wanted).abs() / tokens[:32].abs().double().amax(0).clamp_min(1e-30)).max()) < 1e-15


@pytest.mark.parametrize("long", [{}, {"long": "window", "max_length": 20}], ids=["whole", "windows"])
def test_means_that_overflow_or_are_not_finite(base: Encoder, long: dict[str, Any], tmp_path: Path, monkeypatch: Any):
    """Of three documents, the last has values that float16 cannot hold, or an infinity in one token."""
    text = "the keys to the cabinet are here and the river bank flows the keys are here to run"
    texts = ["keys", text, text + " 7"]
    seven = int(base.tokenizer("7", add_special_tokens=False)["input_ids"][0])
    value = [1e7]

    def states(_: Encoder, ids: torch.Tensor, *__: Any) -> tuple[torch.Tensor, ...]:
        return (torch.where(ids[..., None] == seven, value[0], 1.0).expand(-1, -1, 16).contiguous(),)

    monkeypatch.setattr(Encoder, "hidden_states", states)
    options: dict[str, Any] = {"rows": "document", "layers": ["embeddings"], **long}
    store = rs.extract(base, texts, tmp_path / "s", **options)
    n = len(base.tokenizer(texts[2], add_special_tokens=False)["input_ids"])
    rows = np.asarray(store[0]).astype(np.float64)
    assert rows[:, 0] == pytest.approx([1.0, 1.0, (1e7 + n - 1) / n], rel=1e-7)
    assert "float32" in str(store[0].dtypes)
    value[0] = float("inf")
    with pytest.raises(NonFiniteError, match="in layer 'embeddings' for document '2'"):
        rs.extract(base, texts, tmp_path / "t", **options)

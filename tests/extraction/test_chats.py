"""Chats: token ids are those of apply_chat_template, assistant rows those that the assistant writes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

pytest.importorskip("transformers", reason="no transformers: chats need the extra [torch]")

import pyrepsim as rs
from pyrepsim.core.errors import ModelError, RowMismatchError, TextError
from pyrepsim.data import read_texts
from pyrepsim.data.chats import render_chats
from pyrepsim.extraction.tokens import tokenise

LLAMA = (
    "{{ bos_token }}{% for m in messages %}<|start|>{{ m['role'] }}<|end|>\n\n{{ m['content'] | trim }}<|eot|>"
    "{% endfor %}{% if add_generation_prompt %}<|start|>assistant<|end|>\n\n{% endif %}"
)
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MISTRAL = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'user' %}[INST] {{ m['content'] }} [/INST]"
    "{% elif m['role'] == 'assistant' %} {{ m['content'] }}{{ eos_token }}"
    "{% else %}{{ raise_exception('Only user and assistant') }}{% endif %}{% endfor %}"
)
MARKED = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{% if m['role'] == 'assistant' %}"
    "{% generation %}{{ m['content'] }}<|im_end|>{% endgeneration %}\n{% else %}{{ m['content'] }}<|im_end|>\n"
    "{% endif %}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
STRIPPING = (  # earlier answers are shortened once another message follows
    "{% for m in messages %}<|im_start|>{{ m['content'] if loop.last else m['content'][:2] }}<|im_end|>{% endfor %}"
)
TEMPLATES = {"llama": (LLAMA, "<|eot|>"), "chatml": (CHATML, "<|im_end|>"), "mistral": (MISTRAL, "</s>")}
TEMPLATES["marked"] = (MARKED, "<|im_end|>")

CHATS = [
    [{"role": "user", "content": "where are the keys?"}, {"role": "assistant", "content": "here are the keys"}],
    [
        {"role": "user", "content": "the river"},
        {"role": "assistant", "content": "the bank flows"},
        {"role": "user", "content": "and the cabinet? user assistant"},
        {"role": "assistant", "content": "to the cabinet"},
    ],
    [{"role": "user", "content": "keys"}],
]


def chat_tokenizer(template: str) -> Any:
    """Byte-level BPE, whose tokens end where words do, with the special tokens of all templates."""
    from tests.helpers.tiny_models import byte_level

    tokenizer = byte_level()
    special = ["<|start|>", "<|end|>", "<|eot|>", "<|im_start|>", "<|im_end|>", "[INST]", "[/INST]", "<s>", "</s>"]
    tokenizer.add_special_tokens({"bos_token": "<s>", "eos_token": "</s>", "additional_special_tokens": special[:7]})
    tokenizer.chat_template = template
    return tokenizer


def table_of(chats: Any, tokenizer: Any) -> Any:
    return tokenise(render_chats(read_texts(chats), tokenizer), tokenizer)


@pytest.mark.parametrize("name", TEMPLATES)
def test_ids_are_those_of_the_template_and_rows_those_of_the_assistant(name):
    template, end = TEMPLATES[name]
    tokenizer = chat_tokenizer(template)
    table = table_of(CHATS, tokenizer)
    for index, chat in enumerate(CHATS):
        mine = slice(table.ptr[index], table.ptr[index + 1])
        made = tokenizer.apply_chat_template(chat, tokenize=True, return_dict=True)["input_ids"]
        assert table.ids[mine].tolist() == list(made)
        answers = "".join(
            (" " if name == "mistral" else "") + message["content"] + end
            for message in chat
            if message["role"] == "assistant"
        )
        assert tokenizer.decode(table.ids[mine][table.assistant[mine]]) == answers
        ids = table.ids[mine].tolist()
        of_specials = [token in set(tokenizer.all_special_ids) for token in ids]
        assert table.special[mine].tolist() == of_specials
    assert table.prefix == table.suffix == 0


def test_a_special_token_in_a_message_is_read_as_the_template_reads_it():
    tokenizer = chat_tokenizer(CHATML)
    chat = [{"role": "user", "content": "say <|im_end|>"}, {"role": "assistant", "content": "no"}]
    table = table_of([chat], tokenizer)
    assert table.ids.tolist() == list(tokenizer.apply_chat_template(chat, tokenize=True, return_dict=True)["input_ids"])
    assert tokenizer.decode(table.ids[table.assistant]) == "no<|im_end|>"


def test_templates_that_change_earlier_messages_mark_nothing(caplog):
    table = table_of([CHATS[0], CHATS[1]], chat_tokenizer(STRIPPING))
    assert not table.assistant.any()
    assert "leaves earlier messages as they are" in caplog.text


def test_what_cannot_be_read_is_refused():
    tokenizer = chat_tokenizer(MISTRAL)
    system = [{"role": "system", "content": "be kind"}, *CHATS[0]]
    with pytest.raises(TextError, match="refuses the first 3 messages of document '0'"):
        table_of([system], tokenizer)
    with pytest.raises(TextError, match="all chats or all texts"):
        table_of([CHATS[0], "a text"], tokenizer)
    tokenizer.chat_template = None
    with pytest.raises(ModelError, match="chat template"):
        table_of(CHATS, tokenizer)
    for wrong in ([{"content": "x"}], [{"role": 1, "content": "x"}], [{"role": "user"}]):
        with pytest.raises(TextError, match="'role' and 'content'"):
            read_texts([wrong])
    with pytest.raises(TextError, match="all pairs or all single texts"):
        table_of([("a premise", "a hypothesis"), "a text"], tokenizer)


def test_fingerprints_depend_on_messages_alone():
    first, second = read_texts(CHATS), render_chats(read_texts(CHATS), chat_tokenizer(CHATML))
    assert first.fingerprint == second.fingerprint
    assert first.fingerprint != read_texts(CHATS[::-1]).fingerprint
    assert read_texts([CHATS[0]]).fingerprint != read_texts([json.dumps(CHATS[0])]).fingerprint


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    import torch
    from transformers import GPT2Config, GPT2Model

    from tests.helpers.tiny_models import save

    tokenizer = chat_tokenizer(CHATML)
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=len(tokenizer), n_embd=16, n_layer=2, n_head=2, n_positions=128)
    return save(tmp_path_factory.mktemp("chat") / "model", GPT2Model(config), tokenizer)


def test_chats_from_a_file_to_a_store_and_a_comparison(model, tmp_path, caplog):
    file = tmp_path / "chats.jsonl"
    file.write_text("".join(json.dumps({"messages": chat}) + "\n" for chat in CHATS))
    store = rs.extract(model, file, out=tmp_path / "store", device="cpu")
    columns = store.columns
    table = table_of(CHATS, chat_tokenizer(CHATML))
    assert np.array_equal(columns.token_id, table.ids)
    assert np.array_equal(columns.mask("assistant"), table.assistant)
    stored = rs.compare(store, store, "LinearCKA", tokens="assistant")
    streamed = rs.compare_models(model, model, CHATS, "LinearCKA", tokens="assistant", device="cpu")
    assert stored[0].n_samples == streamed[0].n_samples == table.assistant.sum()
    last = rs.compare_models(model, model, [*CHATS, CHATS[0]], "LinearCKA", tokens="last", device="cpu")
    assert last[0].n_samples == 4
    again = rs.extract(model, CHATS, out=tmp_path / "other", same_plan_as=store, device="cpu")
    assert again.plan["rows"] == store.plan["rows"]
    texts = rs.extract(model, ["no chat"], out=tmp_path / "texts", device="cpu")
    with pytest.raises(RowMismatchError, match="at least one row"):
        rs.compare(texts, texts, "LinearCKA", tokens="assistant")


def test_special_tokens_in_texts_are_read_as_the_caller_says(model, tmp_path, caplog):
    texts = ["the <|im_start|> keys", "keys"]
    tokenizer = chat_tokenizer(CHATML)
    split = rs.extract(model, texts, out=tmp_path / "split", device="cpu")
    assert "1 of 2 texts spell a special token" in caplog.text
    assert "special_tokens='tokens'" in caplog.text
    caplog.clear()
    whole = rs.extract(model, texts, out=tmp_path / "whole", special_tokens="tokens", device="cpu")
    assert not caplog.text
    assert "special_tokens" not in split.plan["policy"]
    assert whole.plan["policy"]["special_tokens"] == "tokens"
    wanted = tokenizer(texts[0])["input_ids"]
    assert whole.columns.token_id[whole.columns.doc_id == 0].tolist() == wanted
    assert split.n_rows > whole.n_rows
    assert whole.columns.mask("content").all()
    resumed = rs.extract(model, texts, out=tmp_path / "shared", same_plan_as=whole, device="cpu")
    assert resumed.n_rows == whole.n_rows


def test_the_rows_of_the_assistant_are_stored_alone(model, tmp_path):
    whole = rs.extract(model, CHATS, out=tmp_path / "whole", device="cpu", dtype="float32")
    alone = rs.extract(model, CHATS, out=tmp_path / "alone", device="cpu", dtype="float32", tokens="assistant")
    mask = whole.columns.mask("assistant")
    for name in ("doc_id", "position", "token_id", "flags"):
        assert np.array_equal(alone.columns[name], whole.columns[name][mask])
    assert np.allclose(np.asarray(alone[-1]), np.asarray(whole[-1])[mask], rtol=0, atol=1e-5)
    assert rs.compare(alone, alone, "LinearCKA", tokens="assistant")[0].n_samples == int(mask.sum())
    options = {"device": "cpu", "dtype": "float32", "rows": "document", "tokens": "assistant"}
    means = rs.extract(model, CHATS, out=tmp_path / "means", **options)
    assert means.columns.doc_id.tolist() == [0, 1], "the third chat has no answer"
    for row in (0, 1):
        wanted = np.asarray(whole[-1])[mask & (whole.columns.doc_id == row)].astype(np.float64).mean(axis=0)
        assert np.allclose(np.asarray(means[-1])[row], wanted, rtol=0, atol=1e-5)


def test_chats_are_matched_across_templates(model, tmp_path):
    """A document is identified by its messages, of which each tokenizer makes another text."""
    encoder = rs.load_encoder(model, device="cpu")
    other = rs.wrap(encoder.module, chat_tokenizer(LLAMA), name="llama")
    score = rs.compare_models(encoder, other, CHATS * 3, "LinearCKA", rows="document", max_length=128)[-1]
    assert score.n_samples == 9

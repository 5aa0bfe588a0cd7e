"""Tasks read a text as extraction does, keep the boundary of a pair, and ignore a tokenizer's saved settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import pyrepsim as rs
from pyrepsim.core.errors import ModelError, OptionError, TextError
from pyrepsim.data.conllu import read_conllu
from pyrepsim.data.documents import Corpus, Document
from pyrepsim.data.squad import GoldAnswer, SquadExample
from pyrepsim.data.tagged import TaggedSentence
from pyrepsim.data.tokenizing import encode, pair_template, text_template
from pyrepsim.extraction.tokens import tokenise
from pyrepsim.finetuning.heads import SequenceHead
from pyrepsim.finetuning.tasks import get_task
from pyrepsim.finetuning.tasks.sequence import SequenceExample
from tests.helpers.squad_files import pair_tokenizer
from tests.helpers.tiny_models import byte_level, tiny_bert, tiny_gpt2, wordpiece

WORDS = ["the", "[SEP]", "keys", "<|endoftext|>", "[MASK]", "<extra_id_0>", "added", "[PAD]"]


def with_added_tokens(make: Any) -> Any:
    tokenizer = make()
    tokenizer.add_tokens(["added"])
    tokenizer.add_special_tokens({"extra_special_tokens": ["<extra_id_0>"]})
    return tokenizer


def holds(ids: list[int], part: list[int]) -> bool:
    return any(ids[at : at + len(part)] == part for at in range(len(ids)))


@pytest.mark.parametrize("make", [wordpiece, pair_tokenizer, byte_level])
def test_all_tasks_read_the_tokens_that_extraction_reads(make: Any, tmp_path: Path):
    tokenizer, text = with_added_tokens(make), " ".join(WORDS)
    table = tokenise(Corpus((Document.from_words("a", WORDS),), "a list"), tokenizer)
    extracted = table.ids[~table.special].tolist()
    assert not set(extracted) & {tokenizer.convert_tokens_to_ids(name) for name in ("[SEP]", "[PAD]", "<extra_id_0>")}
    assert tokenizer.convert_tokens_to_ids("added") in extracted  # an added token that is not special
    lines = [f"{i}\t{word}\t_\tX\tX\t_\t{i - 1}\t{'dep' if i > 1 else 'root'}\t_\t_" for i, word in enumerate(WORDS, 1)]
    (tmp_path / "a.conllu").write_text("\n".join(lines) + "\n\n")
    gold = GoldAnswer("keys", text.index("keys"))
    tags = ("X", "Y", *["X"] * 6)
    examples: dict[str, list[Any]] = {
        "sst2": [SequenceExample(text, None, "positive", "a")],
        "mnli": [SequenceExample(text, text, "neutral", "a")],
        "squad": [SquadExample("1", text, text, (gold,), "a")],
        "pos": [TaggedSentence(tuple(WORDS), tags, "a")],
        "dependency": read_conllu(tmp_path / "a.conllu"),
    }
    for name, given in examples.items():
        task = get_task(name)
        task = task if task.labels else task.fit(given)
        ids = task.encode(given, tokenizer, max_length=400)[0].inputs["input_ids"]
        assert holds(ids, extracted), name


@pytest.mark.parametrize("make", [wordpiece, pair_tokenizer, byte_level])
def test_two_pairs_of_one_text_have_different_ids(make: Any):
    tokenizer = make()
    words = ["the", "keys", "to", "run"]
    pairs = [SequenceExample(" ".join(words[:i]), " ".join(words[i:]), "neutral", "a") for i in (1, 2, 3)]
    features = get_task("mnli").encode(pairs, tokenizer, max_length=64)
    assert len({tuple(feature.inputs["input_ids"]) for feature in features}) == 3
    separator = pair_template(tokenizer).separator
    assert separator == {wordpiece: "[SEP]", pair_tokenizer: None, byte_level: "<|endoftext|>"}[make]
    assert get_task("mnli").separator(tokenizer) == get_task("squad").separator(tokenizer) == separator
    assert get_task("sst2").separator(tokenizer) is None


def test_a_pair_without_any_token_between_is_refused():
    tokenizer = byte_level()
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="needs a token between them: .* Set tokenizer.sep_token"):
        get_task("mnli").encode([SequenceExample("a", "b", "neutral", "x")], tokenizer, max_length=64)


def test_a_separator_that_a_text_has_is_refused():
    tokenizer = wordpiece()
    tokenizer.sep_token = tokenizer.unk_token
    with pytest.raises(TextError, match=r"'\[UNK\]' is in file:3"):
        get_task("mnli").encode([SequenceExample("the \u2603", "keys", "neutral", "file:3")], tokenizer, max_length=64)


@pytest.mark.parametrize("make", [wordpiece, pair_tokenizer])
@pytest.mark.parametrize("max_length", range(5, 24))
def test_sequences_are_cut_as_transformers_cuts_them_on_the_right(make: Any, max_length: int):
    texts = ["keys", "the keys to the cabinet", "the river bank flows here and the keys run to the river"]
    for first in texts:
        for second in [None, *texts]:
            task: Any = get_task("sst2" if second is None else "mnli")
            label = "positive" if second is None else "neutral"
            tokenizer = make()
            if make is wordpiece and second is not None:
                continue  # puts nothing between two texts
            wanted = tokenizer(first, second, truncation="longest_first", max_length=max_length)
            for side in ("right", "left"):
                tokenizer.truncation_side = tokenizer.padding_side = side
                (feature,) = task.encode([SequenceExample(first, second, label, "a")], tokenizer, max_length=max_length)
                assert feature.inputs["input_ids"] == wanted["input_ids"]
                assert feature.inputs.get("token_type_ids") == wanted.get("token_type_ids")


def test_windows_do_not_depend_on_saved_truncation_and_padding():
    context = "the river bank flows here and the keys run to the river and the cabinet"
    item = SquadExample("1", "keys?", context, (GoldAnswer("cabinet", context.index("cabinet")),), "a")
    features = []
    for side in ("right", "left"):
        tokenizer = pair_tokenizer()
        tokenizer.truncation_side = tokenizer.padding_side = side
        tokenizer.backend_tokenizer.enable_truncation(8, direction=side)
        tokenizer.backend_tokenizer.enable_padding(length=12, direction=side)
        features.append(get_task("squad(doc_stride=3)").encode([item], tokenizer, max_length=12))
    right, left = ([feature.inputs for feature in own] for own in features)
    assert right == left
    offsets = [tuple(pair) for feature in features[0] for pair in feature.extra.offsets[feature.extra.owned].tolist()]
    encoding = encode([context], pair_tokenizer(), ["a"], special_tokens=False)[0]
    assert offsets == encoding.offsets  # every token once, in order


def test_templates_are_those_of_the_tokenizer():
    single, pair = text_template(pair_tokenizer()), pair_template(pair_tokenizer())
    assert single.join([5, 6]) == {"input_ids": [2, 5, 6, 3], "token_type_ids": [0] * 4}
    assert pair.join([5], [6, 7]) == {"input_ids": [2, 5, 3, 6, 7, 3], "token_type_ids": [0, 0, 0, 1, 1, 1]}
    assert text_template(byte_level()).join([5]) == {"input_ids": [5]}


@pytest.mark.parametrize("name", ["sst2", "mnli", "squad", "pos"])
def test_a_lone_surrogate_is_a_text_error_with_its_place(name: str):
    half = "the \ud83d keys"
    example: Any = {
        "sst2": SequenceExample(half, None, "positive", "file:7"),
        "mnli": SequenceExample("a", half, "neutral", "file:7"),
        "squad": SquadExample("1", "a", half, (GoldAnswer("the", 0),), "file:7"),
        "pos": TaggedSentence(("the", "\ud83d"), ("X", "Y"), "file:7"),
    }[name]
    task = get_task(name)
    task = task if task.labels or name == "squad" else task.fit([example])
    with pytest.raises(TextError, match="file:7 has a lone surrogate at character 4"):
        task.encode([example], pair_tokenizer(), max_length=64)


def test_a_slow_tokenizer_is_refused_for_sentences_too():
    with pytest.raises(ModelError, match="fast tokenizer"):
        get_task("sst2").encode([SequenceExample("a", None, "positive", "a")], object(), max_length=64)


def test_a_sentence_without_tokens_is_the_unknown_token():
    tokenizer = wordpiece()
    tokenizer.backend_tokenizer.post_processor = byte_level().backend_tokenizer.post_processor
    (feature,) = get_task("sst2").encode([SequenceExample("\u200b", None, "positive", "a")], tokenizer, max_length=64)
    assert feature.inputs["input_ids"] == [tokenizer.unk_token_id]


@pytest.mark.parametrize("side", ["left", "right"])
def test_the_last_token_is_pooled_wherever_the_padding_is(side: str):
    head = SequenceHead(4, labels=2, pooling="last").eval()
    hidden = torch.randn(2, 5, 4)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 0, 0, 0]])
    mask = mask if side == "right" else mask.flip(1)
    last = hidden[torch.arange(2), torch.tensor([4, 1] if side == "right" else [4, 4])]
    wanted = head.classifier(torch.tanh(head.pooler(last)))
    assert torch.equal(head(hidden, {"attention_mask": mask})["logits"], wanted)


def test_the_first_token_of_a_causal_model_is_not_pooled(tmp_path: Path):
    (tmp_path / "data.tsv").write_text("sentence\tlabel\nthe keys\t1\nthe river\t0\n" * 1)
    options: dict[str, Any] = {"train": tmp_path / "data.tsv", "dev": tmp_path / "data.tsv", "device": "cpu"}
    options["recipe"] = rs.TrainingRecipe(epochs=1, batch_size=2, max_length=32)
    gpt2 = tiny_gpt2(tmp_path / "gpt2")
    with pytest.raises(OptionError, match=r"causal.*sst2\(pooling='last'\)"):
        rs.finetune(gpt2, "sst2", out=tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()
    run = rs.finetune(gpt2, "sst2(pooling='last')", out=tmp_path / "last", **options)
    assert run.record["request"]["task"]["pooling"] == "last"
    rs.finetune(tiny_bert(tmp_path / "bert"), "sst2", out=tmp_path / "cls", **options)

"""The dependency task: from a treebank to features, from a head's outputs to trees, scores and a file."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pyrepsim.core.errors import ModelError, OptionError, TextError
from pyrepsim.data.conllu import read_conllu
from pyrepsim.finetuning.tasks.dependency import Dependency, Parse, evaluate
from pyrepsim.finetuning.tasks.word_pieces import encode_words
from tests.helpers.tiny_models import byte_level, wordpiece
from tests.helpers.treebank import conllu, write_treebank


@pytest.fixture
def sentences(tmp_path):
    return read_conllu(write_treebank(tmp_path))


@pytest.fixture(scope="module")
def tokenizer():
    return wordpiece()


def gold(sentences):
    return [Parse(sentence.heads, sentence.relations) for sentence in sentences]


def test_relations_are_universal_by_default(sentences):
    labels = Dependency().fit(sentences).labels
    assert labels == ("advmod", "aux", "det", "nsubj", "punct", "root")
    assert "nsubj:pass" in Dependency(relations="full").fit(sentences).labels


def test_the_options_of_the_head(sentences):
    with pytest.raises(OptionError, match="fit"):
        Dependency().head()
    assert Dependency(words="first").fit(sentences).head() == {"kind": "biaffine", "relations": 6, "words": "first"}


def test_features(sentences, tokenizer):
    task = Dependency().fit(sentences)
    first, _, third = task.encode(sentences, tokenizer, max_length=64)
    tokens = tokenizer.convert_ids_to_tokens(third.inputs["input_ids"])
    assert tokens == ["[CLS]", *tokenizer.tokenize("unplayable"), "[SEP]"]
    assert third.inputs["word_of_token"] == [0, *[1] * (len(third) - 2), -100]
    assert list(dict.fromkeys(first.inputs["word_of_token"])) == [0, 1, 2, 3, 4, -100]
    assert first.inputs["heads"] == [2, 3, 0, 3]
    assert [task.labels[i] for i in first.inputs["relations"]] == ["det", "nsubj", "root", "punct"]
    assert (first.example, first.extra) == (0, 4)


@pytest.mark.parametrize("make", [wordpiece, byte_level])
def test_each_token_belongs_to_its_word(make):
    tokenizer = make()
    tokenizer.bos_token = tokenizer.bos_token or tokenizer.eos_token or tokenizer.cls_token
    words = ["keys", "to", "un", "playable", "don't", "x y", "games"]
    (inputs,) = encode_words([words], tokenizer)
    assert inputs["word_of_token"][0] == 0
    for number, word in enumerate(words, start=1):
        tokens = [t for t, w in zip(inputs["input_ids"], inputs["word_of_token"], strict=True) if w == number]
        made = "".join(tokenizer.convert_ids_to_tokens(tokens)).replace("##", "").replace("\u0120", "")
        assert made == word.replace(" ", "")
    assert len(set(map(len, inputs.values()))) == 1


def test_a_word_without_tokens_is_unknown(tokenizer):
    (inputs,) = encode_words([["the", "\u200b\x00", "keys"]], tokenizer)
    token = inputs["input_ids"][inputs["word_of_token"].index(2)]
    assert token == tokenizer.unk_token_id
    assert inputs["word_of_token"].count(2) == 1
    bare = wordpiece()
    bare.unk_token = None
    with pytest.raises(ModelError, match="unk_token"):
        encode_words([["the", "\x00"]], bare)


def test_unsuitable_tokenizers():
    with pytest.raises(ModelError, match="fast"):
        encode_words([["the"]], object())
    rootless = byte_level()
    rootless.eos_token = None
    with pytest.raises(ModelError, match="bos_token"):
        encode_words([["the"]], rootless)


def test_a_sentence_that_is_too_long(sentences, tokenizer):
    task = Dependency().fit(sentences)
    with pytest.raises(TextError, match=r"dev.conllu:3: .* max_length is 5.*long='drop'"):
        task.encode(sentences, tokenizer, max_length=5)
    dropping = replace(task, long="drop")
    lengths = [len(feature) for feature in task.encode(sentences, tokenizer, max_length=64)]
    features = dropping.encode(sentences, tokenizer, max_length=max(lengths) - 1)
    kept = [feature.example for feature in features]
    assert 0 < len(kept) < 3
    parses = dropping.predict(sentences, features, [gold(sentences)[i] for i in kept])
    for i, sentence in enumerate(sentences):
        if i in kept:
            assert parses[i] == gold(sentences)[i]
        else:
            assert parses[i].heads == (0,) + (1,) * (len(sentence.words) - 1)
    assert dropping.score(sentences, parses)["las"] < 1


def test_unknown_relations_give_a_warning_and_are_not_targets(sentences, tokenizer):
    task = Dependency().fit(sentences[1:])
    with pytest.warns(UserWarning, match=r"dev.conllu:3: relation 'det'.*2 such arcs"):
        first, _, third = task.encode(sentences, tokenizer, max_length=64)
    assert first.inputs["relations"].count(-100) == 2
    assert -100 not in third.inputs["relations"]


def test_outputs_become_trees(sentences):
    task = Dependency().fit(sentences)
    n_words, padded = 3, 5
    arcs = np.full((padded, padded + 1), -np.inf, dtype=np.float32)
    arcs[:n_words, : n_words + 1] = [[5, 0, 1, 0], [4, 3, 0, 0], [0, 0, 2, 0]]  # two words would take the root
    relations = np.arange(padded * (padded + 1)).reshape(padded, padded + 1) % 6
    feature = task.encode(sentences[:1], wordpiece(), max_length=64)[0]
    feature = replace(feature, extra=n_words)
    for dtype in (np.int64, np.float32):
        parse = task.read_out(feature, {"arcs": arcs, "relations": relations.astype(dtype)})
        assert parse.heads == (0, 1, 2)
        assert parse.relations == tuple(task.labels[relations[i, head]] for i, head in enumerate(parse.heads))
    greedy = replace(task, decode="argmax").read_out(feature, {"arcs": arcs, "relations": relations})
    assert greedy.heads == (0, 0, 2)


def test_scores_with_and_without_punctuation(sentences):
    perfect = gold(sentences)
    assert Dependency().score(sentences, perfect) == {"uas": 1, "las": 1}
    # One head wrong, at the full stop; one relation wrong in its subtype alone.
    wrong = [
        Parse((2, 3, 0, 2), perfect[0].relations),
        Parse(perfect[1].heads, ("nsubj", "aux", "advmod", "root")),
        perfect[2],
    ]
    assert Dependency().score(sentences, wrong) == pytest.approx({"uas": 8 / 9, "las": 8 / 9})
    assert Dependency(punctuation=False).score(sentences, wrong) == {"uas": 1, "las": 1}
    full = Dependency(relations="full").score(sentences, wrong)
    assert full == pytest.approx({"uas": 8 / 9, "las": 8 / 9, "las_full": 7 / 9})


def test_penn_treebank_punctuation_is_recognised_by_tags(tmp_path):
    text = conllu("1 Keys NNS 2 nsubj", "2 run VBP 0 root", "3 . . 2 punct").replace("NNS\t_", "NNS\tNNS")
    sentences = read_conllu(write_treebank(tmp_path, text))
    wrong = [Parse((2, 0, 1), sentences[0].relations)]
    assert Dependency(punctuation=False).score(sentences, wrong)["uas"] == 1
    assert Dependency().score(sentences, wrong)["uas"] == pytest.approx(2 / 3)


def test_the_file_written_scores_the_same(sentences, tmp_path):
    parses = [
        Parse((0, 1, 1, 1), ("root", "nsubj", "det", "punct")),
        Parse((4, 4, 2, 0), ("nsubj", "aux", "advmod", "root")),
        gold(sentences)[2],
    ]
    Dependency().write(sentences, parses, tmp_path / "system.conllu")
    result = evaluate(write_treebank(tmp_path), tmp_path / "system.conllu")
    own = Dependency(relations="full").score(sentences, parses)
    assert result == pytest.approx({name: 100 * score for name, score in own.items()})
    again = read_conllu(tmp_path / "system.conllu")
    assert [Parse(sentence.heads, sentence.relations) for sentence in again] == parses


@pytest.mark.parametrize("option", [{"words": "last"}, {"relations": "some"}, {"decode": "eisner"}, {"long": "cut"}])
def test_invalid_options(option):
    with pytest.raises(OptionError, match=next(iter(option))):
        Dependency(**option)


def test_a_parser_fits_a_small_treebank_perfectly(sentences, tokenizer):
    import torch

    from pyrepsim.finetuning.heads import BiaffineHead

    task = Dependency(relations="full").fit(sentences)
    features = task.encode(sentences, tokenizer, max_length=64)
    lists = {name: [torch.tensor(f.inputs[name]) for f in features] for name in features[0].inputs}
    batch = {
        name: torch.nn.utils.rnn.pad_sequence(rows, True, 0 if name in ("input_ids", "token_type_ids") else -100)
        for name, rows in lists.items()
    }
    kind = task.head()
    kind.pop("kind")
    embedding = torch.nn.Embedding(len(tokenizer), 16)
    head = BiaffineHead(16, **kind)
    optimizer = torch.optim.Adam([*embedding.parameters(), *head.parameters()], lr=3e-3)
    for _ in range(40):
        optimizer.zero_grad()
        head.loss(head(embedding(batch["input_ids"]), batch), batch).backward()
        optimizer.step()
    with torch.no_grad():
        outputs = head.eval()(embedding(batch["input_ids"]), batch)
    arrays = [{name: tensor[i].numpy() for name, tensor in outputs.items()} for i in range(3)]
    parses = task.predict(sentences, features, [task.read_out(f, a) for f, a in zip(features, arrays, strict=True)])
    assert task.score(sentences, parses) == {"uas": 1, "las": 1, "las_full": 1}

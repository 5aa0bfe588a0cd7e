"""The biaffine head against its formula, written out word by word, and what its outputs may depend on."""

from __future__ import annotations

import pytest
import torch

from pyrepsim.core.errors import OptionError
from pyrepsim.finetuning.heads import BiaffineHead

WIDTH, RELATIONS = 12, 5
# Two sentences: three words of 1, 2 and 1 subwords; one word, whose last token is [SEP], and padding.
WORDS = torch.tensor([[0, 1, 2, 2, 3, -100], [0, 1, -100, -100, -100, -100]])
HEADS = torch.tensor([[2, 0, 2], [0, -100, -100]])
TARGETS = torch.tensor([[1, 0, 4], [0, -100, -100]])
BATCH = {"word_of_token": WORDS, "heads": HEADS, "relations": TARGETS}


@pytest.fixture
def hidden() -> torch.Tensor:
    return torch.randn(2, 6, WIDTH)


def random_head(**options) -> BiaffineHead:
    head = BiaffineHead(WIDTH, relations=RELATIONS, arc_width=7, relation_width=4, **options)
    with torch.no_grad():
        for parameter in (head.arc.weight, head.arc.bias, head.relation):
            parameter.normal_()
    return head.eval()


def leaky(perceptron, vector):
    out = perceptron[0].weight @ vector + perceptron[0].bias
    return torch.where(out > 0, out, 0.1 * out)


def one(vector):
    return torch.cat([vector, torch.ones(1)])


def word_vectors(states, words, how):
    vectors = []
    for word in range(int(words.max()) + 1):
        own = [states[t] for t in range(len(words)) if words[t] == word]
        vectors.append(own[0] if how == "first" else sum(own) / len(own))
    return vectors


@pytest.mark.parametrize("how", ["mean", "first"])
def test_scores_equal_the_formula(hidden, how):
    head = random_head(words=how)
    outputs = head(hidden, BATCH)
    U = torch.cat([head.arc.weight.T, head.arc.bias[None]])
    for b, n_words in enumerate((3, 1)):
        vectors = word_vectors(hidden[b], WORDS[b], how)
        for i in range(1, n_words + 1):
            d, e = leaky(head.arc_dependent, vectors[i]), leaky(head.relation_dependent, vectors[i])
            for j in range(n_words + 1):
                h, g = leaky(head.arc_head, vectors[j]), leaky(head.relation_head, vectors[j])
                torch.testing.assert_close(outputs["arcs"][b, i - 1, j], one(d) @ U @ h)
                scores = torch.stack([one(e) @ V @ one(g) for V in head.relation])
                assert outputs["relations"][b, i - 1, j] == scores.argmax()
                if HEADS[b, i - 1] == j:
                    torch.testing.assert_close(outputs["gold_relations"][b, i - 1], scores)


def test_the_loss_is_the_sum_of_two_cross_entropies(hidden):
    head = random_head()
    outputs = head(hidden, BATCH)
    real = [(0, 0), (0, 1), (0, 2), (1, 0)]
    expected = torch.zeros(())
    for b, i in real:
        expected -= outputs["arcs"][b, i].log_softmax(0)[HEADS[b, i]] / len(real)
        expected -= outputs["gold_relations"][b, i].log_softmax(0)[TARGETS[b, i]] / len(real)
    torch.testing.assert_close(head.loss(outputs, BATCH), expected)


def test_relations_without_target_are_ignored(hidden):
    head = random_head()
    outputs = head(hidden, BATCH)
    arcs = head.loss(outputs, {**BATCH, "relations": torch.full_like(TARGETS, -100)})
    assert torch.isfinite(arcs)
    assert arcs < head.loss(outputs, BATCH)


def test_padding_does_not_change_the_scores(hidden):
    head = random_head()
    together = head(hidden, BATCH)
    assert torch.isneginf(together["arcs"][1, :, 2:]).all()
    assert torch.isfinite(together["arcs"][0]).all()
    other = hidden.clone()
    other[0, 5], other[1, 2:] = 50.0, -50.0
    alone = head(other, BATCH)
    assert torch.equal(alone["arcs"], together["arcs"])
    torch.testing.assert_close(head(hidden[:1], {k: v[:1] for k, v in BATCH.items()})["arcs"][0], together["arcs"][0])


def test_scores_without_gold_heads(hidden):
    head = random_head()
    outputs = head(hidden, {"word_of_token": WORDS})
    assert outputs.keys() == {"arcs", "relations"}
    expected = head(hidden, BATCH)
    assert all(torch.equal(outputs[name], expected[name]) for name in outputs)


def test_training_does_not_compute_all_relations(hidden):
    outputs = random_head().train()(hidden, BATCH)
    assert outputs.keys() == {"arcs", "gold_relations"}


def test_the_biaffine_weights_start_at_zero_and_learn(hidden):
    head = BiaffineHead(WIDTH, relations=RELATIONS, dropout=0.0)
    first = head.loss(head(hidden, BATCH), BATCH)
    # All heads of a sentence are alike: 4 in the first, 2 in the second.
    expected = (3 * torch.tensor(4.0).log() + torch.tensor(2.0).log()) / 4 + torch.tensor(5.0).log()
    torch.testing.assert_close(first, expected)
    optimizer = torch.optim.Adam(head.parameters(), lr=1e-2)
    for _ in range(20):
        optimizer.zero_grad()
        head.loss(head(hidden, BATCH), BATCH).backward()
        optimizer.step()
    assert head.loss(head(hidden, BATCH), BATCH) < 0.1 * first


def test_under_autocast_scores_are_float32(hidden):
    head = random_head()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        outputs = head(hidden.bfloat16(), BATCH)
        loss = head.loss(outputs, BATCH)
    assert outputs["arcs"].dtype == outputs["gold_relations"].dtype == loss.dtype == torch.float32
    torch.testing.assert_close(outputs["arcs"], head(hidden, BATCH)["arcs"], rtol=0.1, atol=0.5)


@pytest.mark.parametrize("options", [{"relations": 0}, {"relations": 3, "words": "last"}])
def test_options_outside_their_domain(options):
    with pytest.raises(OptionError):
        BiaffineHead(WIDTH, **options)

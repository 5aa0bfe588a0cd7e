"""Task heads: from hidden states to scores by name, and their loss. A task's `head()` names the kind of its head."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..core.errors import OptionError, check_choice

__all__ = ["Batch", "BiaffineHead", "Head", "SequenceHead", "SpanHead", "TokenHead", "build_head", "linear"]

Batch = Mapping[str, torch.Tensor]
Pooling = Literal["cls", "last", "mean"]


class Head(torch.nn.Module, ABC):
    """A task head over hidden states of shape (batch, tokens, width)."""

    @abstractmethod
    def forward(self, hidden: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        """Return scores by name, each with the batch as its first axis."""

    @abstractmethod
    def loss(self, outputs: Batch, batch: Batch) -> torch.Tensor:
        """Return the mean loss of these scores against the targets in `batch`."""


def linear(width: int, outputs: int) -> torch.nn.Linear:
    """A linear layer initialised as in BERT: weights from N(0, 0.02²), biases zero."""
    layer = torch.nn.Linear(width, outputs)
    torch.nn.init.normal_(layer.weight, std=0.02)
    torch.nn.init.zeros_(layer.bias)
    return layer


IGNORED = -100


class BiaffineHead(Head):
    """Arc and relation scores of a graph-based dependency parser (Dozat & Manning 2017, equations 2 to 6).

    With r_i the vector of word i (the mean, or the first, of its subwords) and r_0 that of the root token, four
    perceptrons (one layer, LeakyReLU, dropout) give arc vectors d_i, h_j and relation vectors e_i, g_j, and ::

        arc score       s_ij  = [d_i; 1]^T U h_j            word j (0: the root) as the head of word i
        relation score  t_ijr = [e_i; 1]^T V_r [g_j; 1]     relation r on the arc from j to i

    U and V start at zero. The loss is the cross-entropy of the gold heads plus that of the gold relations at the gold
    heads, each a mean over words. The two biaffine products are computed in float32, also under autocast.

    Parameters
    ----------
    width : int
        Width of the hidden states.
    relations : int
        Number of relations R.
    arc_width, relation_width : int
        Sizes of d and h, and of e and g.
    dropout : float
        Fraction of the perceptrons' outputs that is dropped in training.
    words : {"mean", "first"}
        Vector of a word: the mean of its subwords, or the first one.
    """

    def __init__(
        self,
        width: int,
        *,
        relations: int,
        arc_width: int = 500,
        relation_width: int = 100,
        dropout: float = 0.33,
        words: Literal["mean", "first"] = "mean",
    ) -> None:
        super().__init__()
        if relations < 1:
            raise OptionError(f"A parser needs at least one relation: got {relations}. Fit the task to a treebank.")
        if words not in ("mean", "first"):
            raise OptionError(f"words must be 'mean' or 'first': got {words!r}.")
        self.words = words
        self.arc_dependent = _perceptron(width, arc_width, dropout)
        self.arc_head = _perceptron(width, arc_width, dropout)
        self.relation_dependent = _perceptron(width, relation_width, dropout)
        self.relation_head = _perceptron(width, relation_width, dropout)
        self.arc = nn.Linear(arc_width, arc_width)  # d -> [d; 1]^T U: the bias is the last row of U
        nn.init.zeros_(self.arc.weight)
        nn.init.zeros_(self.arc.bias)
        self.relation = nn.Parameter(torch.zeros(relations, relation_width + 1, relation_width + 1))

    def forward(self, hidden: Tensor, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Scores from hidden states (B, T, width) and ``batch["word_of_token"]`` (B, T).

        ``word_of_token`` is 0 at the root token, 1 to W at subwords of the words, -100 elsewhere. ``batch["heads"]``
        (B, W), if given, holds the gold heads, -100 in the padding, and sets W.

        Returns
        -------
        ``"arcs"`` : (B, W, 1 + W) float32, s_ij in row i - 1, column j; -inf in columns beyond the sentence.
        ``"gold_relations"`` : (B, W, R) float32, t_ijr at the gold heads j, if gold heads are given.
        ``"relations"`` : (B, W, 1 + W) integers, argmax_r t_ijr; in evaluation mode only.
        """
        word_of_token, heads = batch["word_of_token"], batch.get("heads")
        n_words = heads.shape[1] if heads is not None else int(word_of_token.max())
        vectors = self._word_vectors(hidden, word_of_token, n_words)
        words = vectors[:, 1:]
        arc = self.arc_dependent(words), self.arc_head(vectors)
        relation = self.relation_dependent(words), self.relation_head(vectors)
        with torch.autocast(hidden.device.type, enabled=False):
            arcs = self.arc(arc[0].float()) @ arc[1].float().transpose(1, 2)
            columns = torch.arange(n_words + 1, device=arcs.device)
            beyond = columns > word_of_token.amax(dim=1, keepdim=True)
            outputs = {"arcs": arcs.masked_fill(beyond[:, None, :], -torch.inf)}
            dependent, head = (functional.pad(side.float(), (0, 1), value=1.0) for side in relation)
            if heads is not None:
                index = heads.clamp(min=0)[:, :, None].expand(-1, -1, head.shape[2])
                outputs["gold_relations"] = (self._queries(dependent) @ head.gather(1, index)[..., None])[..., 0]
            if not self.training:
                outputs["relations"] = self._best_relations(dependent, head)
        return outputs

    def loss(self, outputs: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> Tensor:
        """Return the mean cross-entropy of heads plus that of relations, without targets of -100."""
        return _cross_entropy(outputs["arcs"], batch["heads"]) + _cross_entropy(
            outputs["gold_relations"], batch["relations"]
        )

    def _word_vectors(self, hidden: Tensor, word_of_token: Tensor, n_words: int) -> Tensor:
        """(B, 1 + W, width): the root, then the words; zeros beyond the end of a sentence."""
        # A matrix product instead of a scatter: its gradient has the same bits in every run on a GPU.
        places = torch.arange(n_words + 1, device=hidden.device)
        chosen = word_of_token[:, None, :] == places[:, None]
        if self.words == "first":
            first = torch.ones_like(word_of_token, dtype=torch.bool)
            first[:, 1:] = word_of_token[:, 1:] != word_of_token[:, :-1]
            chosen = chosen & first[:, None, :]
        weights = chosen.to(hidden.dtype)
        return (weights @ hidden) / weights.sum(dim=2, keepdim=True).clamp(min=1)

    def _queries(self, dependent: Tensor) -> Tensor:
        """[e_i; 1]^T V_r for every word and relation: (B, W, R, relation_width + 1)."""
        size = self.relation.shape[1]
        flat = self.relation.permute(1, 0, 2).reshape(size, -1)
        return (dependent @ flat).unflatten(-1, (-1, size))

    def _best_relations(self, dependent: Tensor, head: Tensor) -> Tensor:
        """argmax_r t_ijr, one sentence at a time, so that B x W x (1 + W) x R scores are never in memory at once."""
        best = []
        for words, candidates in zip(dependent, head, strict=True):
            scores = self._queries(words[None])[0] @ candidates.T  # (W, R, 1 + W)
            best.append(scores.argmax(dim=1))
        return torch.stack(best)


def _cross_entropy(scores: Tensor, targets: Tensor) -> Tensor:
    """Mean over the targets that are not ignored; 0 if all are ignored."""
    total = functional.cross_entropy(scores.flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum")
    return total / (targets != IGNORED).sum().clamp(min=1)


def _perceptron(width: int, out: int, dropout: float) -> nn.Sequential:
    linear = nn.Linear(width, out)
    nn.init.orthogonal_(linear.weight)
    nn.init.zeros_(linear.bias)
    return nn.Sequential(linear, nn.LeakyReLU(0.1), nn.Dropout(dropout))


class SequenceHead(Head):
    """tanh(W h + b) of a pooled state h, dropout, and a linear layer to the labels (Devlin et al. 2019, section 4.1).

    Parameters
    ----------
    labels : int
        Number of classes; 1 for regression with squared error.
    pooling : {"cls", "last", "mean"}
        The state of the first token; of the last one, for causal models, whose first token has read nothing else; or
        the mean over all tokens, as in encoders trained for sentence embeddings.
    dropout : float
        Dropout before the last linear layer.

    Outputs ``"logits"`` (batch, labels). Target: ``"label"`` (batch,), class indices or numbers.
    """

    def __init__(self, width: int, *, labels: int, pooling: Pooling = "cls", dropout: float = 0.1):
        super().__init__()
        check_choice("pooling", pooling, get_args(Pooling))
        self.pooling = pooling
        self.pooler = linear(width, width)
        self.dropout = torch.nn.Dropout(dropout)
        self.classifier = linear(width, labels)

    def pooled(self, hidden: torch.Tensor, batch: Batch) -> torch.Tensor:
        """The state of each sequence that is classified: (batch, width)."""
        if self.pooling == "cls":
            return hidden[:, 0]
        if self.pooling == "last":
            positions = torch.arange(hidden.shape[1], device=hidden.device)
            last = (positions * batch["attention_mask"]).argmax(dim=1)  # wherever the padding is
            return hidden[torch.arange(len(hidden), device=hidden.device), last]
        mask = batch["attention_mask"].unsqueeze(-1).to(hidden.dtype)
        return (hidden * mask).sum(1) / mask.sum(1)

    def forward(self, hidden: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        return {"logits": self.classifier(self.dropout(torch.tanh(self.pooler(self.pooled(hidden, batch)))))}

    def loss(self, outputs: Batch, batch: Batch) -> torch.Tensor:
        logits, label = outputs["logits"].float(), batch["label"]
        if logits.shape[1] == 1:
            return functional.mse_loss(logits[:, 0], label.float())
        return functional.cross_entropy(logits, label)


class SpanHead(Head):
    """A start and an end score for every token (Devlin et al. 2019, section 4.2).

    Outputs ``"start"`` and ``"end"`` (batch, tokens), -inf at padding. Targets: ``"start"`` and ``"end"`` (batch,).
    """

    def __init__(self, width: int):
        super().__init__()
        self.scores = linear(width, 2)

    def forward(self, hidden: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        scores = self.scores(hidden).float().masked_fill(batch["attention_mask"].unsqueeze(-1) == 0, -torch.inf)
        return {"start": scores[..., 0], "end": scores[..., 1]}

    def loss(self, outputs: Batch, batch: Batch) -> torch.Tensor:
        start = functional.cross_entropy(outputs["start"], batch["start"])
        return (start + functional.cross_entropy(outputs["end"], batch["end"])) / 2


class TokenHead(Head):
    """Dropout and a linear layer for every token (Devlin et al. 2019, section 5.3).

    Outputs ``"logits"`` (batch, tokens, labels). Target: ``"labels"`` (batch, tokens), -100 where there is none.
    """

    def __init__(self, width: int, *, labels: int, dropout: float = 0.1):
        super().__init__()
        self.dropout = torch.nn.Dropout(dropout)
        self.classifier = linear(width, labels)

    def forward(self, hidden: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        del batch
        return {"logits": self.classifier(self.dropout(hidden))}

    def loss(self, outputs: Batch, batch: Batch) -> torch.Tensor:
        return functional.cross_entropy(outputs["logits"].float().flatten(0, 1), batch["labels"].flatten())


_KINDS: dict[str, type[Head]] = {
    "sequence": SequenceHead,
    "tokens": TokenHead,
    "span": SpanHead,
    "biaffine": BiaffineHead,
}


def build_head(width: int, spec: Mapping[str, Any]) -> Head:
    """Build a head over hidden states of `width` features from its "kind" and sizes in `spec`."""
    sizes = dict(spec)
    kind = sizes.pop("kind", None)
    if kind not in _KINDS:
        raise OptionError(f"A head's kind is one of {', '.join(_KINDS)}: got {kind!r}. Correct the task's head().")
    return _KINDS[kind](width, **sizes)

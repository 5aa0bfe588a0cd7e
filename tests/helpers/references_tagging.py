"""Entities by brute force: every span of a sentence is checked by the definition of conlleval."""

from __future__ import annotations

from collections.abc import Sequence


def entities_by_definition(tags: Sequence[str]) -> list[tuple[int, int, str]]:
    """Spans [i, j) of one type that begin at i, go on at each word up to j, and end before j."""

    def kind(k: int) -> str | None:
        return tags[k][2:] if 0 <= k < len(tags) and tags[k] != "O" else None

    def goes_on(k: int) -> bool:
        """Whether word k continues the entity of word k - 1."""
        return kind(k) is not None and kind(k) == kind(k - 1) and tags[k][0] == "I"

    spans = [(i, j) for i in range(len(tags)) for j in range(i + 1, len(tags) + 1)]
    return [
        (i, j, tags[i][2:])
        for i, j in spans
        if kind(i) is not None and not goes_on(i) and all(goes_on(k) for k in range(i + 1, j)) and not goes_on(j)
    ]


def entity_f1_by_definition(gold: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> tuple[float, ...]:
    """Precision, recall and F1 as fractions; needs at least one common entity."""
    gold_entities = {(s, *span) for s, tags in enumerate(gold) for span in entities_by_definition(tags)}
    predicted_entities = {(s, *span) for s, tags in enumerate(predicted) for span in entities_by_definition(tags)}
    precision = len(gold_entities & predicted_entities) / len(predicted_entities)
    recall = len(gold_entities & predicted_entities) / len(gold_entities)
    return precision, recall, 2 / (1 / precision + 1 / recall)

"""The official formats of parsing and entities, and plain text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .sentence import Sentence

__all__ = ["conllu", "ner", "plain"]


def conllu(sentences: Sequence[Sentence], name: str) -> Iterator[str]:
    """Lines of CoNLL-U as English-EWT writes it: a possessive is one token of two words (``3-4  Anna's``)."""
    for number, sentence in enumerate(sentences, 1):
        yield f"# sent_id = {name}-{number:05d}"
        yield f"# text = {sentence.text}"
        for i, token in enumerate(sentence.tokens):
            following = sentence.tokens[i + 1].form if i + 1 < len(sentence.tokens) else ""
            if following == "'s":
                yield f"{i + 1}-{i + 2}\t{token.form}{following}" + "\t_" * 8
            glued = following != "'s" and following and not sentence.space_after(i)
            yield "\t".join(
                (
                    str(i + 1),
                    token.form,
                    token.lemma,
                    token.upos,
                    token.xpos,
                    token.feats,
                    str(token.head),
                    token.relation,
                    "_",
                    "SpaceAfter=No" if glued else "_",
                )
            )
        yield ""


def ner(sentences: Sequence[Sentence]) -> Iterator[str]:
    """Lines of CoNLL with two columns: the word, and B-, I- or O."""
    for sentence in sentences:
        tags = ["O"] * len(sentence.tokens)
        for start, end, kind in sentence.entities:
            tags[start:end] = [f"B-{kind}"] + [f"I-{kind}"] * (end - start - 1)
        yield from (f"{token.form}\t{tag}" for token, tag in zip(sentence.tokens, tags, strict=True))
        yield ""


def plain(sentences: Sequence[Sentence]) -> Iterator[str]:
    """One sentence a line."""
    return (sentence.text for sentence in sentences)

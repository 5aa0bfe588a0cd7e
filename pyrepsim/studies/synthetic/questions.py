"""Short paragraphs with extractive questions: each answer is a span of its paragraph."""

from __future__ import annotations

from dataclasses import dataclass

from .lexicon import Domain, Noun, Verb, domain_named
from .random_choices import RandomChoices, distinct
from .syntax import (
    Part,
    Phrase,
    first_auxiliary,
    flatten,
    name_phrase,
    noun_phrase,
    prepositional,
    pronoun,
    sentence_of,
    verb_phrase,
    word,
)

__all__ = ["Paragraph", "Question", "generate_paragraphs"]

_GROUPS = ("make", "change", "move", "perceive")
_LENGTHS = (4, 5, 6, 7)


@dataclass(frozen=True, slots=True)
class Question:
    """A question and its answer, which is at character `start` of the paragraph."""

    text: str
    answer: str
    start: int


@dataclass(frozen=True, slots=True)
class Paragraph:
    """A text of a domain with questions about it."""

    domain: str
    text: str
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class _Event:
    """A person did something to an object; place and time are optional."""

    name: str
    woman: bool
    verb: Verb
    obj: Noun
    adjective: str | None
    place: str | None
    time: str | None


def generate_paragraphs(n: int, *, seed: int = 0, domain: str = "village") -> list[Paragraph]:
    """Generate paragraphs of 4 to 7 sentences, with one or two questions (who, what, where, when) about each sentence.

    Verbs, names, objects, places and times recur within a paragraph, and some sentences have a pronoun instead of a
    name. Each question has exactly one answer.

    Parameters
    ----------
    n : int
        Number of paragraphs, at least 1. With the same seed, a smaller `n` gives a prefix.
    seed : int
        The same seed gives the same paragraphs on every Python version.
    domain : {"village", "laboratory"}
        The domain of the words.

    Returns
    -------
    list of Paragraph

    Raises
    ------
    OptionError
        If `n` is smaller than 1 or there is no such domain.

    Examples
    --------
    >>> from pyrepsim.studies.synthetic import generate_paragraphs
    >>> paragraph = generate_paragraphs(1)[0]
    >>> paragraph.text
    'On Sunday, Martha pushed a rusty hammer. Peter burned a cart in the meadow on Saturday. Peter repaired ...'
    >>> paragraph.questions[0]
    Question(text='When did Martha push the hammer?', answer='Sunday', start=3)
    """
    writer = _Writer(domain_named(domain), RandomChoices("questions", domain, seed))
    return distinct(n, writer.paragraph, "paragraphs")


class _Writer:
    """Writes random paragraphs of a domain."""

    def __init__(self, domain: Domain, rng: RandomChoices) -> None:
        self.domain, self.rng = domain, rng

    def paragraph(self) -> Paragraph:
        rng = self.rng
        events = self._events()
        text, questions = "", []
        for i, event in enumerate(events):
            repeated = i > 0 and event.name == events[i - 1].name and rng.chance(0.7)
            sentence, answers = self._sentence(event, repeated)
            start = len(text) + 1 if text else 0
            text = f"{text} {sentence}" if text else sentence
            for kind in rng.sample(tuple(answers), min(2, len(answers))):
                first, last = answers[kind]
                questions.append(
                    Question(self._question(event, kind), text[start + first : start + last], start + first)
                )
        return Paragraph(self.domain.name, text, tuple(questions))

    def _events(self) -> list[_Event]:
        """Return events of a few people. No two share verb and object, and no two share verb and person.

        Words that are a hypernym of another word are left out: who painted the lamp also painted the object.
        """
        rng, names, hypernyms = self.rng, self.domain.other_words, self.domain.hypernyms
        women, men = rng.sample(names["women"], 2), rng.sample(names["men"], 2)
        verbs = [verb for verb in self.domain.verbs if verb.group in _GROUPS and "person" in verb.subjects]
        verbs = [verb for verb in verbs if verb.lemma not in hypernyms]
        verbs = rng.sample(verbs, 5)
        specific = {
            kind: [noun for noun in nouns if noun.lemma not in hypernyms] for kind, nouns in self.domain.nouns.items()
        }
        objects = {kind: rng.sample(nouns, 3) for kind, nouns in specific.items()}
        places = [noun.lemma for noun in rng.sample(self.domain.nouns["place"], 4)]
        times = rng.sample(names["dates"], 4)
        events: list[_Event] = []
        length = rng.pick(_LENGTHS)
        while len(events) < length:
            verb = rng.pick(verbs)
            kind = rng.pick([kind for kind in verb.objects if kind != "person"])
            obj = rng.pick(objects[kind])
            same = bool(events) and rng.chance(0.35)
            name = events[-1].name if same else rng.pick(women + men)
            if any(event.verb is verb and (event.obj is obj or event.name == name) for event in events):
                continue
            adjective = rng.pick(self.domain.adjectives_by_kind[kind]).form if rng.chance(0.3) else None
            place = rng.pick(places) if rng.chance(0.7) else None
            time = rng.pick(times) if rng.chance(0.6) else None
            events.append(_Event(name, name in women, verb, obj, adjective, place, time))
        return events

    def _sentence(self, event: _Event, repeated: bool) -> tuple[str, dict[str, tuple[int, int]]]:
        """Return the sentence, and the span of characters of each possible answer."""
        rng = self.rng
        name = name_phrase(event.name)
        adjectives = () if event.adjective is None else (event.adjective,)
        obj = noun_phrase(event.obj, [("det", word(rng.pick(("the", "a"))))], adjectives=adjectives)
        answers = {"what": obj} if repeated else {"who": name, "what": obj}
        adjuncts: list[Part] = []
        if event.place is not None:
            answers["where"] = noun_phrase(self.domain.noun_by_lemma[event.place], [("det", word("the"))])
            adjuncts.append(("obl", prepositional("in", answers["where"])))
        if event.time is not None:
            answers["when"] = name_phrase(event.time)
            adjuncts.append(("obl", prepositional(_date_preposition(event.time), answers["when"])))
        passive = not repeated and rng.chance(self.domain.style.passive)
        fronted = [adjuncts.pop()] if adjuncts and rng.chance(0.25) else []
        if passive:
            vp = verb_phrase(event.verb, [("obl:agent", prepositional("by", name)), *adjuncts], passive=True)
            clause = sentence_of(obj, vp, relation="nsubj:pass")
        else:
            vp = verb_phrase(event.verb, [("obj", obj), *adjuncts])
            who = pronoun("she" if event.woman else "he") if repeated else name
            clause = sentence_of(who, vp)
        if fronted:
            clause.parts[:0] = [*fronted, ("punct", word(","))]
        clause.parts.append(("punct", word(".")))
        flat = flatten(clause)
        offsets = flat.offsets
        return flat.text, {
            kind: (offsets[flat.spans[node][0]][0], offsets[flat.spans[node][1] - 1][1])
            for kind, node in answers.items()
        }

    def _question(self, event: _Event, kind: str) -> str:
        obj = noun_phrase(event.obj, [("det", word("the"))])
        name = name_phrase(event.name)
        if kind == "who":
            vp = verb_phrase(event.verb, [("obj", obj)])
            return _interrogative([("nsubj", Phrase("WHNP", [("", word("who"))])), ("", vp)])
        relation, label = ("obj", "WHNP") if kind == "what" else ("advmod", "WHADVP")
        wh: Part = (relation, Phrase(label, [("", word(kind))]))
        rest: list[Part] = [] if kind == "what" else [("obj", obj)]
        vp = verb_phrase(event.verb, rest, auxiliary_outside=True)
        return _interrogative([wh, first_auxiliary("past", plural=False), ("nsubj", name), ("", vp)])


def _interrogative(parts: list[Part]) -> str:
    return flatten(Phrase("SBARQ", [*parts, ("punct", word("?"))])).text


def _date_preposition(date: str) -> str:
    return "on" if date.endswith("day") else "in"

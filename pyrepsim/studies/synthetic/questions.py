"""Short paragraphs with questions whose answers stand in them."""

from __future__ import annotations

from dataclasses import dataclass

from ...core.errors import OptionError
from .dice import Dice
from .domains import domain_named
from .lexicon import Domain, Noun, Verb
from .phrases import (
    Part,
    first_auxiliary,
    name_phrase,
    noun_phrase,
    prepositional,
    pronoun,
    sentence_of,
    verb_phrase,
    word,
)
from .tree import Phrase, lay_out

__all__ = ["Paragraph", "Question", "generate_paragraphs"]

_GROUPS = ("make", "change", "move", "perceive")
_LENGTHS = (4, 5, 6, 7)


@dataclass(frozen=True, slots=True)
class Question:
    """A question and its answer: the text of the paragraph from character `start` on."""

    text: str
    answer: str
    start: int


@dataclass(frozen=True, slots=True)
class Paragraph:
    domain: str
    text: str
    questions: tuple[Question, ...]


@dataclass(frozen=True, slots=True)
class _Event:
    """Somebody did something to a thing, somewhere, at some time."""

    name: str
    woman: bool
    verb: Verb
    thing: Noun
    adjective: str | None
    place: str | None
    time: str | None


def generate_paragraphs(n: int, *, seed: int = 0, domain: str = "village") -> list[Paragraph]:
    """Return `n` paragraphs of 4 to 7 sentences, each with a question or two a sentence: who, what, where, when.

    Verbs, names, things, places and times recur within a paragraph, so that a question is answered by the one
    sentence that fits all it says; some sentences have a pronoun for the name before. Each question has one answer.
    The same ones for the same seed; fewer are a prefix. OptionError for another domain, or for fewer than 1.
    """
    if n < 1:
        raise OptionError(f"The number of paragraphs must be at least 1: got {n}.")
    writer = _Writer(domain_named(domain), Dice("questions", domain, seed))
    found: dict[str, Paragraph] = {}
    while len(found) < n:
        paragraph = writer.paragraph()
        found.setdefault(paragraph.text, paragraph)
    return list(found.values())


class _Writer:
    def __init__(self, domain: Domain, dice: Dice) -> None:
        self.domain, self.dice = domain, dice

    def paragraph(self) -> Paragraph:
        dice = self.dice
        events = self._events()
        text, questions = "", []
        for i, event in enumerate(events):
            repeated = i > 0 and event.name == events[i - 1].name and dice.chance(0.7)
            sentence, answers = self._told(event, repeated)
            start = len(text) + 1 if text else 0
            text = f"{text} {sentence}" if text else sentence
            for kind in dice.sample(tuple(answers), min(2, len(answers))):
                first, last = answers[kind]
                questions.append(Question(self._asked(event, kind), text[start + first : start + last], start + first))
        return Paragraph(self.domain.name, text, tuple(questions))

    def _events(self) -> list[_Event]:
        """Events of a few people, no two with the same verb and thing, nor the same name and verb.

        Without hypernyms: who painted the lamp would also have painted the object.
        """
        dice, others, general = self.dice, self.domain.others, self.domain.general
        women, men = dice.sample(others["women"], 2), dice.sample(others["men"], 2)
        verbs = [verb for verb in self.domain.verbs if verb.group in _GROUPS and "person" in verb.subjects]
        verbs = [verb for verb in verbs if verb.lemma not in general]
        verbs = dice.sample(verbs, 5)
        narrow = {
            kind: [noun for noun in nouns if noun.lemma not in general] for kind, nouns in self.domain.nouns.items()
        }
        things = {kind: dice.sample(nouns, 3) for kind, nouns in narrow.items()}
        places = [noun.lemma for noun in dice.sample(self.domain.nouns["place"], 4)]
        times = dice.sample(others["dates"], 4)
        events: list[_Event] = []
        length = dice.pick(_LENGTHS)
        while len(events) < length:
            verb = dice.pick(verbs)
            kind = dice.pick([kind for kind in verb.objects if kind != "person"])
            thing = dice.pick(things[kind])
            same = bool(events) and dice.chance(0.35)
            name = events[-1].name if same else dice.pick(women + men)
            if any(event.verb is verb and (event.thing is thing or event.name == name) for event in events):
                continue
            adjective = dice.pick(self.domain.describing[kind]).form if dice.chance(0.3) else None
            place = dice.pick(places) if dice.chance(0.7) else None
            time = dice.pick(times) if dice.chance(0.6) else None
            events.append(_Event(name, name in women, verb, thing, adjective, place, time))
        return events

    def _told(self, event: _Event, repeated: bool) -> tuple[str, dict[str, tuple[int, int]]]:
        """The sentence, and the characters of what can be asked for."""
        dice = self.dice
        name = name_phrase(event.name)
        described = () if event.adjective is None else (event.adjective,)
        thing = noun_phrase(event.thing, [("det", word(dice.pick(("the", "a"))))], adjectives=described)
        answers = {"what": thing} if repeated else {"who": name, "what": thing}
        adjuncts: list[Part] = []
        if event.place is not None:
            answers["where"] = noun_phrase(self.domain.noun[event.place], [("det", word("the"))])
            adjuncts.append(("obl", prepositional("in", answers["where"])))
        if event.time is not None:
            answers["when"] = name_phrase(event.time)
            adjuncts.append(("obl", prepositional(_before_date(event.time), answers["when"])))
        passive = not repeated and dice.chance(self.domain.style.passive)
        early = [adjuncts.pop()] if adjuncts and dice.chance(0.25) else []
        if passive:
            vp = verb_phrase(event.verb, [("obl:agent", prepositional("by", name)), *adjuncts], passive=True)
            clause = sentence_of(thing, vp, relation="nsubj:pass")
        else:
            vp = verb_phrase(event.verb, [("obj", thing), *adjuncts])
            who = pronoun("she" if event.woman else "he") if repeated else name
            clause = sentence_of(who, vp)
        if early:
            clause.parts[:0] = [*early, ("punct", word(","))]
        clause.parts.append(("punct", word(".")))
        laid = lay_out(clause)
        offsets = laid.offsets
        return laid.text, {
            kind: (offsets[laid.spans[node][0]][0], offsets[laid.spans[node][1] - 1][1])
            for kind, node in answers.items()
        }

    def _asked(self, event: _Event, kind: str) -> str:
        thing = noun_phrase(event.thing, [("det", word("the"))])
        name = name_phrase(event.name)
        if kind == "who":
            vp = verb_phrase(event.verb, [("obj", thing)])
            return _question([("nsubj", Phrase("WHNP", [("", word("who"))])), ("", vp)])
        asked = word(kind)
        wh: Part = (
            ("obj", Phrase("WHNP", [("", asked)])) if kind == "what" else ("advmod", Phrase("WHADVP", [("", asked)]))
        )
        objects: list[Part] = [] if kind == "what" else [("obj", thing)]
        vp = verb_phrase(event.verb, objects, auxiliary_outside=True)
        return _question([wh, first_auxiliary("past", plural=False, passive=False), ("nsubj", name), ("", vp)])


def _question(parts: list[Part]) -> str:
    return lay_out(Phrase("SBARQ", [*parts, ("punct", word("?"))])).text


def _before_date(date: str) -> str:
    return "on" if date.endswith("day") else "in"

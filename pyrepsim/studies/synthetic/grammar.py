"""The grammar: random sentences with everything that is known of them."""

from __future__ import annotations

from ...core.errors import OptionError
from .dice import Dice
from .domains import domain_named
from .events import Events
from .lexicon import Domain
from .nominals import Nominals, Referent
from .phrases import Part, first_auxiliary, sentence_of, verb_phrase, word
from .sentence import Draft, Sentence
from .tree import Leaf, Phrase

__all__ = ["Grammar", "generate"]

_SHAPES = {"plain": 50, "joined": 12, "subordinate": 18, "fronted": 8, "question": 6, "there": 6}
_SUBORDINATORS = {"because": "ARGM-CAU", "before": "ARGM-TMP", "after": "ARGM-TMP", "while": "ARGM-TMP"}


class Grammar:
    """Sentences of a domain, one after the other from one source of choices."""

    def __init__(self, domain: Domain, dice: Dice) -> None:
        self.domain, self.dice = domain, dice
        self.nominals = Nominals(domain, dice)
        self.events = Events(self.nominals)

    def sentence(self) -> Sentence:
        self.nominals.draft = Draft(self.domain.name)
        shape = self.dice.weighted(_SHAPES)
        root = {
            "plain": self._plain,
            "joined": self._joined,
            "subordinate": self._subordinate,
            "fronted": self._fronted,
            "question": self._question,
            "there": self._there,
        }[shape]()
        root.parts.append(("punct", word("?" if shape == "question" else ".")))
        return self._draft.finish(root)

    @property
    def _draft(self) -> Draft:
        return self.nominals.draft

    def _plain(self) -> Phrase:
        return self._clause(self._subject())

    def _joined(self) -> Phrase:
        first = self._subject()
        left = self._clause(first)
        right = self._clause(self._later(first))
        parts: list[Part] = [("punct", word(",")), ("cc", word(self.dice.pick(("and", "but")))), ("", right)]
        return Phrase("S", [("", left), ("conj", Phrase("", parts))])

    def _subordinate(self) -> Phrase:
        first = self._subject()
        main = self._clause(first)
        clause, role = self._adverbial(self._later(first))
        self._main_frame(main, role, clause)
        return Phrase("S", [*main.parts, ("advcl", clause)])

    def _fronted(self) -> Phrase:
        first = self._subject()
        clause, role = self._adverbial(first)
        main = self._clause(self._later(first), fronting=False)
        self._main_frame(main, role, clause)
        return Phrase("S", [("advcl", clause), ("punct", word(",")), *main.parts])

    def _adverbial(self, subject: Referent) -> tuple[Phrase, str]:
        subordinator = self.dice.pick(tuple(_SUBORDINATORS))
        clause = self._clause(subject, fronting=False)
        return Phrase("SBAR", [("mark", word(subordinator)), ("", clause)]), _SUBORDINATORS[subordinator]

    def _main_frame(self, main: Phrase, role: str, clause: Phrase) -> None:
        for verb, arguments in self._draft.frames:
            if verb is main.head:
                arguments.append((role, clause))

    def _question(self) -> Phrase:
        """``Did the goat see Anna?``"""
        subject = self._subject()
        verb = self.dice.pick(self.domain.verbs_by_subject[subject.kind])
        tense = "present" if self.dice.chance(self.domain.style.present) else "past"
        relation, auxiliary = first_auxiliary(tense, plural=subject.plural, passive=False)
        complements, roles = self.events.complements(verb, subject, 0)
        vp = verb_phrase(verb, complements, tense=tense, plural=subject.plural, auxiliary_outside=True)
        self.events.frame(vp.head, verb, subject, roles)
        return Phrase("SQ", [(relation, auxiliary), ("nsubj", subject.node), ("", vp)])

    def _there(self) -> Phrase:
        kinds = [kind for kind in self.domain.nouns if kind not in ("place", "part")]
        who = self.nominals.anyone(self.dice.pick(kinds), 1, named=False)
        form = "were" if who.plural else "was"
        be = Leaf(form, "be", "VERB", "VBD", "Mood=Ind|Tense=Past|VerbForm=Fin")
        vp = Phrase("VP", [("", be), ("nsubj", who.node), ("obl", self.nominals.place())])
        return Phrase("S", [("expl", Phrase("NP", [("", word("there"))])), ("", vp)])

    def _subject(self) -> Referent:
        return self.nominals.anyone(self.dice.weighted({"person": 70, "animal": 14, self.domain.thing: 16}))

    def _later(self, first: Referent) -> Referent:
        """The subject of a further clause: mostly the same one, as a pronoun."""
        if first.pronoun and self.dice.chance(0.6):
            return Referent(self.nominals.again(first, "subject"), first.kind, first.plural, "", first.chain)
        return self._subject()

    def _clause(self, subject: Referent, *, fronting: bool = True) -> Phrase:
        dice = self.dice
        if dice.chance(0.15):
            return self._copular(subject)
        vp, passive = self.events.predicate(subject, 0)
        clause = sentence_of(subject.node, vp, relation="nsubj:pass" if passive else "nsubj")
        if fronting and dice.chance(self.domain.style.fronted):
            if dice.chance(0.5):
                early, role = self.nominals.time(), "ARGM-TMP"
            else:
                early, role = self.nominals.place(), "ARGM-LOC"
            self._main_frame(clause, role, early)
            clause.parts[:0] = [("obl", early), ("punct", word(","))]
        return clause

    def _copular(self, subject: Referent) -> Phrase:
        dice = self.dice
        words = self.domain.describing[subject.kind]
        if dice.chance(0.3):
            said = self.nominals.place()
        else:
            form = dice.pick(words).form
            said = Phrase("ADJP", [("", Leaf(form, form, "ADJ", "JJ", "Degree=Pos"))])
        tense, negated = self.events.tense(), dice.chance(self.domain.style.negated)
        vp = verb_phrase(None, tense=tense, plural=subject.plural, negated=negated, predicate=said)
        return sentence_of(subject.node, vp)


def generate(n: int, *, seed: int = 0, domain: str = "village") -> list[Sentence]:
    """Return `n` different sentences of 3 to about 40 words, the same ones for the same seed; fewer are a prefix.

    `domain` is ``"village"`` or ``"laboratory"``: one grammar, other content words, names and frequencies of
    constructions. OptionError for another domain, or for fewer than 1.
    """
    if n < 1:
        raise OptionError(f"The number of sentences must be at least 1: got {n}.")
    grammar = Grammar(domain_named(domain), Dice("sentences", domain, seed))
    found: dict[str, Sentence] = {}
    while len(found) < n:
        sentence = grammar.sentence()
        found.setdefault(sentence.text, sentence)
    return list(found.values())

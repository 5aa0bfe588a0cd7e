"""Random sentences with all their annotations: predicates with their arguments and adjuncts, clauses, sentences."""

from __future__ import annotations

from dataclasses import dataclass

from .annotations import Sentence, SentenceBuilder, proto_role_properties
from .lexicon import Domain, Verb, domain_named
from .noun_phrases import NounPhrases, Referent
from .random_choices import RandomChoices, distinct
from .syntax import (
    Leaf,
    Part,
    Phrase,
    adjective,
    adverb_phrase,
    first_auxiliary,
    prepositional,
    sentence_of,
    verb_phrase,
    word,
)

__all__ = ["generate_sentences"]

_TENSES = {"perfect": 3, "would": 1, "could": 1, "may": 1, "must": 1}


@dataclass(slots=True)
class Argument:
    """An argument of a verb: its PropBank role and its node in the tree."""

    role: str
    node: Leaf | Phrase
    participant: str = ""
    """ "agent", "theme", "recipient" or "instrument"; empty if it has no proto-role properties."""
    kind: str = ""
    """Kind of its noun."""


class Predicates:
    """Makes verb phrases for a subject, and writes frames, proto-roles and relations into the builder."""

    def __init__(self, noun_phrases: NounPhrases) -> None:
        self.noun_phrases, self.domain, self.rng = noun_phrases, noun_phrases.domain, noun_phrases.rng
        noun_phrases.relative_clause = self._relative_clause

    def predicate(self, subject: Referent, depth: int, relative: Leaf | None = None) -> tuple[Phrase, bool]:
        """Return a verb phrase for the subject, and whether it is passive."""
        rng, style = self.rng, self.domain.style
        tense, negated = self.tense(), rng.chance(style.negated)
        passive = bool(self.domain.verbs_by_object[subject.kind]) and (
            rng.chance(style.passive) or not self.domain.verbs_by_subject[subject.kind]
        )
        if passive:
            verb = rng.pick(self.domain.verbs_by_object[subject.kind])
            complements, arguments = self._agent_phrase(verb, subject, depth)
        else:
            verb = rng.pick(self.domain.verbs_by_subject[subject.kind])
            complements, arguments = self.complements(verb, subject, depth)
        if verb.group not in ("say", "try"):
            agent, theme = (None, subject.head) if passive else (subject.head, None)
            self._adjuncts(verb, complements, arguments, agent, theme)
        vp = verb_phrase(verb, complements, tense=tense, plural=subject.plural, negated=negated, passive=passive)
        for relation, part in vp.parts:
            if isinstance(part, Leaf) and part.xpos == "MD":
                arguments.append(Argument("ARGM-MOD", part))
            elif isinstance(part, Leaf) and relation == "advmod":
                arguments.append(Argument("ARGM-NEG", part))
        self.frame(vp.head, verb, subject, arguments, passive=passive, relative=relative)
        return vp, passive

    def tense(self) -> str:
        if self.rng.chance(0.2):
            return self.rng.weighted(_TENSES)
        return "present" if self.rng.chance(self.domain.style.present) else "past"

    def complements(self, verb: Verb, subject: Referent, depth: int) -> tuple[list[Part], list[Argument]]:
        """Return the objects or the clause after an active verb, and the arguments among them."""
        if verb.group == "say":
            return self._content_clause(subject, depth)
        if verb.group == "try":
            return self._infinitive_clause(subject)
        if not verb.objects:
            return [], []
        theme = self._theme(verb, depth)
        arguments = [Argument("ARG1", theme.node, "theme", theme.kind)]
        if verb.group != "transfer":
            if verb.group == "make":
                self.noun_phrases.builder.relations.append((theme.head, subject.head, "Product-Producer"))
            return [("obj", theme.node)], arguments
        recipient = self.noun_phrases.draw("person", depth + 2)
        arguments.append(Argument("ARG2", recipient.node, "recipient", "person"))
        if self.rng.chance(0.5):
            return [("iobj", recipient.node), ("obj", theme.node)], arguments
        return [("obj", theme.node), ("obl", prepositional("to", recipient.node))], arguments

    def frame(
        self,
        core: Leaf,
        verb: Verb,
        subject: Referent,
        arguments: list[Argument],
        *,
        passive: bool = False,
        relative: Leaf | None = None,
    ) -> None:
        """Record the frame and the proto-roles of a verb, with the subject first."""
        role = "ARG1" if passive or verb.group == "happen" else "ARG0"
        every = [Argument(role, subject.node, "theme" if passive else "agent", subject.kind)]
        if relative:
            every.append(Argument(f"R-{role}", relative))
        every += arguments
        builder = self.noun_phrases.builder
        builder.frames.append((core, [(argument.role, argument.node) for argument in every]))
        for argument in every:
            if argument.participant:
                properties = proto_role_properties(verb, argument.participant, argument.kind)
                builder.proto_roles.append((core, _head(argument.node), properties))

    def _theme(self, verb: Verb, depth: int) -> Referent:
        return self.noun_phrases.draw(self.rng.pick(verb.objects), depth + 1)

    def _agent_phrase(self, verb: Verb, subject: Referent, depth: int) -> tuple[list[Part], list[Argument]]:
        if not self.rng.chance(0.6):
            return [], []
        agent = self.noun_phrases.draw(self.rng.pick(verb.subjects), depth + 1)
        if verb.group == "make":
            self.noun_phrases.builder.relations.append((subject.head, agent.head, "Product-Producer"))
        by = prepositional("by", agent.node)
        return [("obl:agent", by)], [Argument("ARG0", by, "agent", agent.kind)]

    def _adjuncts(
        self, verb: Verb, complements: list[Part], arguments: list[Argument], agent: Leaf | None, theme: Leaf | None
    ) -> None:
        """Append a random choice of destination, instrument, manner, place and time phrases."""
        rng, noun_phrases = self.rng, self.noun_phrases
        theme = theme or _head_of(arguments, "ARG1")
        if verb.group == "move" and rng.chance(0.5):
            goal = noun_phrases.location()
            if theme:
                noun_phrases.builder.relations.append((theme, goal.head, "Entity-Destination"))
            phrase = prepositional("to", goal)
            complements.append(("obl", phrase))
            arguments.append(Argument("ARG4", phrase))
        if verb.group in ("change", "make") and rng.chance(0.35):
            phrase = noun_phrases.instrument_phrase()
            complements.append(("obl", phrase))
            arguments.append(Argument("ARG2", phrase, "instrument", "tool"))
            if agent := agent or _head_of(arguments, "ARG0"):
                noun_phrases.builder.relations.append((phrase.head, agent, "Instrument-Agency"))
        if rng.chance(0.12):
            manner = adverb_phrase(rng.pick(self.domain.other_words["manner"]))
            complements.append(("advmod", manner))
            arguments.append(Argument("ARGM-MNR", manner))
        if rng.chance(0.22):
            place = noun_phrases.location_phrase()
            complements.append(("obl", place))
            arguments.append(Argument("ARGM-LOC", place))
        if rng.chance(0.16):
            time = noun_phrases.time_phrase()
            complements.append(("obl", time))
            arguments.append(Argument("ARGM-TMP", time))

    def _content_clause(self, subject: Referent, depth: int) -> tuple[list[Part], list[Argument]]:
        """Return ``that she had slept``; its subject is the speaker or another person."""
        if subject.pronoun and self.rng.chance(0.6):
            inner_subject = self.noun_phrases.pronoun_for(subject)
        else:
            inner_subject = self.noun_phrases.draw("person", depth + 2)
        verbs = [verb for verb in self.domain.verbs_by_subject["person"] if verb.group not in ("say", "try")]
        verb = self.rng.pick(verbs)
        inner, arguments = self.complements(verb, inner_subject, depth + 1)
        vp = verb_phrase(verb, inner, tense=self.tense(), plural=inner_subject.plural)
        self.frame(vp.head, verb, inner_subject, arguments)
        clause = Phrase("SBAR", [("mark", word("that")), ("", sentence_of(inner_subject.node, vp))])
        return [("ccomp", clause)], [Argument("ARG1", clause)]

    def _infinitive_clause(self, subject: Referent) -> tuple[list[Part], list[Argument]]:
        """Return ``to carry the goat``, with the subject of the main verb."""
        verbs = [verb for verb in self.domain.verbs_by_subject["person"] if verb.group not in ("say", "try", "happen")]
        verb = self.rng.pick(verbs)
        inner, arguments = self.complements(verb, subject, 1)
        vp = verb_phrase(verb, inner, infinitive=True)
        self.frame(vp.head, verb, subject, arguments)
        clause = Phrase("S", [("", vp)])
        return [("xcomp", clause)], [Argument("ARG1", clause)]

    def _relative_clause(self, who: Referent) -> Phrase:
        """Return ``who fed the goat``; the antecedent has the role ARG0, the relative pronoun R-ARG0."""
        relative = word("who" if who.kind == "person" else "which")
        vp, passive = self.predicate(who, 1, relative)
        subject = Phrase("WHNP", [("", relative)])
        return Phrase("SBAR", [("nsubj:pass" if passive else "nsubj", subject), ("", Phrase("S", [("", vp)]))])


def _head_of(arguments: list[Argument], role: str) -> Leaf | None:
    return next((_head(argument.node) for argument in arguments if argument.role == role), None)


def _head(node: Leaf | Phrase) -> Leaf:
    return node if isinstance(node, Leaf) else node.head


_SHAPES = {"plain": 50, "joined": 12, "subordinate": 18, "fronted": 8, "question": 6, "there": 6}
_SUBORDINATORS = {"because": "ARGM-CAU", "before": "ARGM-TMP", "after": "ARGM-TMP", "while": "ARGM-TMP"}


class Grammar:
    """Random sentences of a domain."""

    def __init__(self, domain: Domain, rng: RandomChoices) -> None:
        self.domain, self.rng = domain, rng
        self.noun_phrases = NounPhrases(domain, rng)
        self.predicates = Predicates(self.noun_phrases)

    def sentence(self) -> Sentence:
        self.noun_phrases.builder = SentenceBuilder(self.domain.name)
        shape = self.rng.weighted(_SHAPES)
        root = {
            "plain": self._plain,
            "joined": self._joined,
            "subordinate": self._subordinate,
            "fronted": self._fronted,
            "question": self._question,
            "there": self._there,
        }[shape]()
        root.parts.append(("punct", word("?" if shape == "question" else ".")))
        return self._builder.build(root)

    @property
    def _builder(self) -> SentenceBuilder:
        return self.noun_phrases.builder

    def _plain(self) -> Phrase:
        return self._clause(self._subject())

    def _joined(self) -> Phrase:
        first = self._subject()
        left = self._clause(first)
        right = self._clause(self._later(first))
        parts: list[Part] = [("punct", word(",")), ("cc", word(self.rng.pick(("and", "but")))), ("", right)]
        return Phrase("S", [("", left), ("conj", Phrase("", parts))])

    def _subordinate(self) -> Phrase:
        first = self._subject()
        main = self._clause(first)
        clause, role = self._adverbial(self._later(first))
        self._add_to_frame(main, role, clause)
        return Phrase("S", [*main.parts, ("advcl", clause)])

    def _fronted(self) -> Phrase:
        first = self._subject()
        clause, role = self._adverbial(first)
        main = self._clause(self._later(first), fronting=False)
        self._add_to_frame(main, role, clause)
        return Phrase("S", [("advcl", clause), ("punct", word(",")), *main.parts])

    def _adverbial(self, subject: Referent) -> tuple[Phrase, str]:
        subordinator = self.rng.pick(tuple(_SUBORDINATORS))
        clause = self._clause(subject, fronting=False)
        return Phrase("SBAR", [("mark", word(subordinator)), ("", clause)]), _SUBORDINATORS[subordinator]

    def _add_to_frame(self, main: Phrase, role: str, clause: Phrase) -> None:
        """Add an adjunct to the frame of the main verb."""
        for verb, arguments in self._builder.frames:
            if verb is main.head:
                arguments.append((role, clause))

    def _question(self) -> Phrase:
        """Return a question such as ``Did the goat see Anna?``"""
        subject = self._subject()
        verb = self.rng.pick(self.domain.verbs_by_subject[subject.kind])
        tense = "present" if self.rng.chance(self.domain.style.present) else "past"
        relation, auxiliary = first_auxiliary(tense, plural=subject.plural)
        complements, arguments = self.predicates.complements(verb, subject, 0)
        vp = verb_phrase(verb, complements, tense=tense, plural=subject.plural, auxiliary_outside=True)
        self.predicates.frame(vp.head, verb, subject, arguments)
        return Phrase("SQ", [(relation, auxiliary), ("nsubj", subject.node), ("", vp)])

    def _there(self) -> Phrase:
        kinds = [kind for kind in self.domain.nouns if kind not in ("place", "part")]
        who = self.noun_phrases.draw(self.rng.pick(kinds), 1, named=False)
        form = "were" if who.plural else "was"
        be = Leaf(form, "be", "VERB", "VBD", "Mood=Ind|Tense=Past|VerbForm=Fin")
        vp = Phrase("VP", [("", be), ("nsubj", who.node), ("obl", self.noun_phrases.location_phrase())])
        return Phrase("S", [("expl", Phrase("NP", [("", word("there"))])), ("", vp)])

    def _subject(self) -> Referent:
        return self.noun_phrases.draw(self.rng.weighted({"person": 70, "animal": 14, self.domain.object_kind: 16}))

    def _later(self, first: Referent) -> Referent:
        """Return the subject of a second clause: often a pronoun for the first subject."""
        if first.pronoun and self.rng.chance(0.6):
            return self.noun_phrases.pronoun_for(first)
        return self._subject()

    def _clause(self, subject: Referent, *, fronting: bool = True) -> Phrase:
        rng = self.rng
        if rng.chance(0.15):
            return self._copular(subject)
        vp, passive = self.predicates.predicate(subject, 0)
        clause = sentence_of(subject.node, vp, relation="nsubj:pass" if passive else "nsubj")
        if fronting and rng.chance(self.domain.style.fronted):
            if rng.chance(0.5):
                adjunct, role = self.noun_phrases.time_phrase(), "ARGM-TMP"
            else:
                adjunct, role = self.noun_phrases.location_phrase(), "ARGM-LOC"
            self._add_to_frame(clause, role, adjunct)
            clause.parts[:0] = [("obl", adjunct), ("punct", word(","))]
        return clause

    def _copular(self, subject: Referent) -> Phrase:
        rng = self.rng
        words = self.domain.adjectives_by_kind[subject.kind]
        if rng.chance(0.3):
            predicate = self.noun_phrases.location_phrase()
        else:
            predicate = Phrase("ADJP", [("", adjective(rng.pick(words).form))])
        tense, negated = self.predicates.tense(), rng.chance(self.domain.style.negated)
        vp = verb_phrase(None, tense=tense, plural=subject.plural, negated=negated, predicate=predicate)
        return sentence_of(subject.node, vp)


def generate_sentences(n: int, *, seed: int = 0, domain: str = "village") -> list[Sentence]:
    """Generate different sentences of 3 to about 40 words with gold annotations.

    Parameters
    ----------
    n : int
        Number of sentences, at least 1. With the same seed, a smaller `n` gives a prefix.
    seed : int
        The same seed gives the same sentences on every Python version.
    domain : {"village", "laboratory"}
        The domains share the grammar and differ in content words, names and frequencies of constructions.

    Returns
    -------
    list of Sentence

    Raises
    ------
    OptionError
        If `n` is smaller than 1 or there is no such domain.

    Examples
    --------
    >>> from pyrepsim.studies.synthetic import generate_sentences
    >>> sentence = generate_sentences(11)[-1]
    >>> sentence.text
    'Jakob Brook has danced.'
    >>> [(token.head, token.relation) for token in sentence.tokens]
    [(4, 'nsubj'), (1, 'flat'), (4, 'aux'), (0, 'root'), (4, 'punct')]
    >>> sentence.frames
    (Frame(predicate=(3, 4), sense='dance.01', arguments=(('ARG0', (0, 2)),)),)
    """
    grammar = Grammar(domain_named(domain), RandomChoices("sentences", domain, seed))
    return distinct(n, grammar.sentence, "sentences")

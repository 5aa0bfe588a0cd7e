"""Random predicates: a verb, its arguments and adjuncts, active or passive, with roles and proto-roles."""

from __future__ import annotations

from dataclasses import dataclass

from .lexicon import Verb
from .nominals import Nominals, Referent
from .phrases import Part, adverb_phrase, prepositional, sentence_of, verb_phrase, word
from .proto_roles import properties
from .tree import Leaf, Phrase

__all__ = ["Events", "Role"]

_TENSES = {"perfect": 3, "would": 1, "could": 1, "may": 1, "must": 1}


@dataclass(slots=True)
class Role:
    """An argument: its PropBank name; where it has proto-role properties, its part in the event and its kind."""

    name: str
    node: Leaf | Phrase
    part: str = ""
    kind: str = ""


class Events:
    """Makes verb phrases for a subject, and writes frames, proto-roles and relations into the draft."""

    def __init__(self, nominals: Nominals) -> None:
        self.nominals, self.domain, self.dice = nominals, nominals.domain, nominals.dice
        nominals.relative_clause = self._relative_clause

    def predicate(self, subject: Referent, depth: int, relative: Leaf | None = None) -> tuple[Phrase, bool]:
        """What is said of the subject, and whether it is said in the passive."""
        dice, style = self.dice, self.domain.style
        tense, negated = self.tense(), dice.chance(style.negated)
        passive = bool(self.domain.verbs_by_object[subject.kind]) and (
            dice.chance(style.passive) or not self.domain.verbs_by_subject[subject.kind]
        )
        if passive:
            verb = dice.pick(self.domain.verbs_by_object[subject.kind])
            complements, roles = self._by_agent(verb, subject, depth)
        else:
            verb = dice.pick(self.domain.verbs_by_subject[subject.kind])
            complements, roles = self.complements(verb, subject, depth)
        if verb.group not in ("say", "try"):
            ends = (None, subject.head) if passive else (subject.head, None)
            self._adjuncts(verb, complements, roles, *ends)
        vp = verb_phrase(verb, complements, tense=tense, plural=subject.plural, negated=negated, passive=passive)
        for relation, part in vp.parts:
            if isinstance(part, Leaf) and part.xpos == "MD":
                roles.append(Role("ARGM-MOD", part))
            elif isinstance(part, Leaf) and relation == "advmod":
                roles.append(Role("ARGM-NEG", part))
        self.frame(vp.head, verb, subject, roles, passive=passive, relative=relative)
        return vp, passive

    def tense(self) -> str:
        if self.dice.chance(0.2):
            return self.dice.weighted(_TENSES)
        return "present" if self.dice.chance(self.domain.style.present) else "past"

    def complements(self, verb: Verb, subject: Referent, depth: int) -> tuple[list[Part], list[Role]]:
        """What follows an active verb: objects, or a clause."""
        if verb.group == "say":
            return self._said(subject, depth)
        if verb.group == "try":
            return self._tried(subject)
        if not verb.objects:
            return [], []
        theme = self._theme(verb, depth)
        roles = [Role("ARG1", theme.node, "theme", theme.kind)]
        if verb.group != "transfer":
            if verb.group == "make":
                self.nominals.draft.relations.append((theme.head, subject.head, "Product-Producer"))
            return [("obj", theme.node)], roles
        recipient = self.nominals.anyone("person", depth + 2)
        roles.append(Role("ARG2", recipient.node, "recipient", "person"))
        if self.dice.chance(0.5):
            return [("iobj", recipient.node), ("obj", theme.node)], roles
        return [("obj", theme.node), ("obl", prepositional("to", recipient.node))], roles

    def frame(
        self,
        core: Leaf,
        verb: Verb,
        subject: Referent,
        roles: list[Role],
        *,
        passive: bool = False,
        relative: Leaf | None = None,
    ) -> None:
        """Write the frame of a verb, the subject's role first."""
        agent = not passive and verb.group != "happen"
        name = "ARG0" if agent else "ARG1"
        part = "theme" if passive else "agent"
        first = [Role(name, subject.node, part, subject.kind)]
        if relative:
            first.append(Role(f"R-{name}", relative))
        draft = self.nominals.draft
        draft.frames.append((core, [(role.name, role.node) for role in first + roles]))
        for role in first + roles:
            if role.part:
                draft.proto_roles.append((core, _head(role.node), properties(verb, role.part, role.kind)))

    def _theme(self, verb: Verb, depth: int) -> Referent:
        return self.nominals.anyone(self.dice.pick(verb.objects), depth + 1)

    def _by_agent(self, verb: Verb, subject: Referent, depth: int) -> tuple[list[Part], list[Role]]:
        if not self.dice.chance(0.6):
            return [], []
        agent = self.nominals.anyone(self.dice.pick(verb.subjects), depth + 1)
        if verb.group == "make":
            self.nominals.draft.relations.append((subject.head, agent.head, "Product-Producer"))
        by = prepositional("by", agent.node)
        return [("obl:agent", by)], [Role("ARG0", by, "agent", agent.kind)]

    def _adjuncts(
        self, verb: Verb, complements: list[Part], roles: list[Role], agent: Leaf | None, theme: Leaf | None
    ) -> None:
        """Destination, instrument, place, time and manner, each now and then; `agent` or `theme` is the subject."""
        dice, nominals = self.dice, self.nominals
        theme = theme or _head_of(roles, "ARG1")
        if verb.group == "move" and dice.chance(0.5):
            goal = nominals.building()
            if theme:
                nominals.draft.relations.append((theme, goal.head, "Entity-Destination"))
            phrase = prepositional("to", goal)
            complements.append(("obl", phrase))
            roles.append(Role("ARG4", phrase))
        if verb.group in ("change", "make") and dice.chance(0.35):
            phrase = nominals.instrument()
            complements.append(("obl", phrase))
            roles.append(Role("ARG2", phrase, "instrument", "tool"))
            if agent := agent or _head_of(roles, "ARG0"):
                nominals.draft.relations.append((phrase.head, agent, "Instrument-Agency"))
        if dice.chance(0.12):
            manner = adverb_phrase(dice.pick(self.domain.others["manner"]))
            complements.append(("advmod", manner))
            roles.append(Role("ARGM-MNR", manner))
        if dice.chance(0.22):
            place = nominals.place()
            complements.append(("obl", place))
            roles.append(Role("ARGM-LOC", place))
        if dice.chance(0.16):
            time = nominals.time()
            complements.append(("obl", time))
            roles.append(Role("ARGM-TMP", time))

    def _said(self, subject: Referent, depth: int) -> tuple[list[Part], list[Role]]:
        """``that she had slept``: about the speaker, or about somebody else."""
        if subject.pronoun and self.dice.chance(0.6):
            node = self.nominals.again(subject, "subject")
            about = Referent(node, subject.kind, subject.plural, "", subject.chain)
        else:
            about = self.nominals.anyone("person", depth + 2)
        verbs = [verb for verb in self.domain.verbs_by_subject["person"] if verb.group not in ("say", "try")]
        verb = self.dice.pick(verbs)
        inner, roles = self.complements(verb, about, depth + 1)
        vp = verb_phrase(verb, inner, tense=self.tense(), plural=about.plural)
        self.frame(vp.head, verb, about, roles)
        clause = Phrase("SBAR", [("mark", word("that")), ("", sentence_of(about.node, vp))])
        return [("ccomp", clause)], [Role("ARG1", clause)]

    def _tried(self, subject: Referent) -> tuple[list[Part], list[Role]]:
        """``to carry the goat``: the subject is also that of the infinitive."""
        verbs = [verb for verb in self.domain.verbs_by_subject["person"] if verb.group not in ("say", "try", "happen")]
        verb = self.dice.pick(verbs)
        inner, roles = self.complements(verb, subject, 1)
        vp = verb_phrase(verb, inner, infinitive=True)
        self.frame(vp.head, verb, subject, roles)
        clause = Phrase("S", [("", vp)])
        return [("xcomp", clause)], [Role("ARG1", clause)]

    def _relative_clause(self, who: Referent) -> Phrase:
        """``who fed the goat``: the antecedent has the role, the relative pronoun its echo (R-ARG0)."""
        relative = word("who" if who.kind == "person" else "which")
        vp, passive = self.predicate(who, 1, relative)
        subject = Phrase("WHNP", [("", relative)])
        return Phrase("SBAR", [("nsubj:pass" if passive else "nsubj", subject), ("", Phrase("S", [("", vp)]))])


def _head_of(roles: list[Role], name: str) -> Leaf | None:
    for role in roles:
        if role.name == name:
            return _head(role.node)
    return None


def _head(node: Leaf | Phrase) -> Leaf:
    return node if isinstance(node, Leaf) else node.head

"""The words of the two domains: nouns and verbs with hypernyms and inflections, adjectives with antonyms, names.

Both domains share one grammar. They differ in content words, names and frequencies of constructions.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from ...core.errors import OptionError

__all__ = ["DOMAINS", "Adjective", "Domain", "Noun", "Style", "Verb", "domain_named"]


@dataclass(frozen=True)
class Noun:
    lemma: str
    plural: str
    kind: str
    hypernym: str | None
    gender: str
    """"f" or "m" if the noun implies it, else ""."""


@dataclass(frozen=True)
class Verb:
    lemma: str
    past: str
    participle: str
    group: str
    """The kind of event: make, change, move, perceive, social, transfer, act, happen, say or try."""
    subjects: tuple[str, ...]
    objects: tuple[str, ...]
    """Kinds of nouns that it takes as objects; empty for an intransitive verb."""
    hypernym: str | None

    @property
    def third(self) -> str:
        return _with_s(self.lemma)


@dataclass(frozen=True)
class Adjective:
    form: str
    kinds: tuple[str, ...]
    antonym: str | None


@dataclass(frozen=True)
class Style:
    """Probabilities of the constructions in a domain."""

    passive: float
    relative: float
    plural: float
    negated: float
    named: float
    adjective: float
    fronted: float
    present: float


@dataclass(frozen=True)
class Domain:
    """The words of a domain, parsed from tables, and its `Style`."""

    name: str
    tables: Mapping[str, str]
    style: Style

    @cached_property
    def nouns(self) -> dict[str, tuple[Noun, ...]]:
        return {kind: tuple(_noun(word, kind) for word in words) for (kind,), words in _lines(self.tables["nouns"])}

    @cached_property
    def verbs(self) -> tuple[Verb, ...]:
        return tuple(_verb(word, *head) for head, words in _lines(self.tables["verbs"]) for word in words)

    @cached_property
    def adjectives(self) -> tuple[Adjective, ...]:
        adjectives = []
        for (kinds,), words in _lines(self.tables["adjectives"]):
            for word in words:
                form, _, antonym = word.partition("~")
                adjectives.append(Adjective(form, tuple(kinds.split("|")), antonym or None))
                if antonym:
                    adjectives.append(Adjective(antonym, tuple(kinds.split("|")), form))
        return tuple(adjectives)

    @cached_property
    def other_words(self) -> dict[str, tuple[str, ...]]:
        """Words without inflection by category: women, men, surnames, towns, institutions, dates, hours, manner."""
        return {name: tuple(words) for (name,), words in _lines(self.tables["others"])}

    @cached_property
    def noun_by_lemma(self) -> dict[str, Noun]:
        return {noun.lemma: noun for nouns in self.nouns.values() for noun in nouns}

    @cached_property
    def verb_by_lemma(self) -> dict[str, Verb]:
        return {verb.lemma: verb for verb in self.verbs}

    @cached_property
    def object_kind(self) -> str:
        """The kind of nouns that are made, are changed and have parts."""
        return next(verb.objects[0] for verb in self.verbs if verb.group == "change")

    @cached_property
    def adjectives_by_kind(self) -> dict[str, tuple[Adjective, ...]]:
        """Adjectives by the kind of noun that they describe."""
        return {kind: tuple(word for word in self.adjectives if kind in word.kinds) for kind in self.nouns}

    @cached_property
    def hypernyms(self) -> frozenset[str]:
        """Lemmas that are the hypernym of another word."""
        words = (*self.noun_by_lemma.values(), *self.verbs)
        return frozenset(word.hypernym for word in words if word.hypernym is not None)

    @cached_property
    def verbs_by_subject(self) -> dict[str, tuple[Verb, ...]]:
        return {kind: tuple(verb for verb in self.verbs if kind in verb.subjects) for kind in self.nouns}

    @cached_property
    def verbs_by_object(self) -> dict[str, tuple[Verb, ...]]:
        passive = [verb for verb in self.verbs if verb.group not in ("transfer", "say", "try")]
        return {kind: tuple(verb for verb in passive if kind in verb.objects) for kind in self.nouns}


def _lines(table: str) -> list[tuple[tuple[str, ...], list[str]]]:
    """Parse lines of `head words: entry entry ...`; an indented line continues the line before."""
    joined = re.sub(r"\n {4,}(?=\S)", " ", table.strip())
    split = (line.partition(":") for line in joined.splitlines())
    return [(tuple(head.split()), entries.split()) for head, _, entries in split]


def _noun(entry: str, kind: str) -> Noun:
    rest, _, gender = entry.partition("+")
    rest, _, hypernym = rest.partition("<")
    lemma, _, plural = rest.partition("/")
    return Noun(lemma, plural or _with_s(lemma), kind, hypernym or None, gender)


def _verb(entry: str, group: str, subjects: str, objects: str = "") -> Verb:
    forms, _, hypernym = entry.partition("<")
    lemma, past, participle = [*forms.split("/"), "", ""][:3]
    past = past or _with_ed(lemma)
    kinds = tuple(objects.split("|")) if objects else ()
    return Verb(lemma, past, participle or past, group, tuple(subjects.split("|")), kinds, hypernym or None)


def _with_s(word: str) -> str:
    if re.search(r"(s|x|z|ch|sh)$", word):
        return word + "es"
    return word[:-1] + "ies" if re.search(r"[^aeiou]y$", word) else word + "s"


def _with_ed(word: str) -> str:
    if word.endswith("e"):
        return word + "d"
    return word[:-1] + "ied" if re.search(r"[^aeiou]y$", word) else word + "ed"


# Entries of nouns: lemma/plural<hypernym+gender; of verbs: lemma/past/participle<hypernym; of adjectives: word~antonym.
_VILLAGE = {
    "nouns": """
person: person/people worker<person baker<worker farmer<worker miller<worker smith<worker shepherd<worker
    fisherman/fishermen<worker+m weaver<worker relative<person grandmother<relative+f uncle<relative+m
    aunt<relative+f cousin<relative neighbour<person child/children<person
animal: animal dog<animal goat<animal horse<animal cow<animal bird<animal hen<bird goose/geese<bird duck<bird
artefact: object vehicle<object cart<vehicle wagon<vehicle boat<vehicle gate<object lamp<object
    ladder<object fence<object chair<object drum<object
food: fruit apple<fruit pear<fruit plum<fruit cake<dessert pie<dessert dessert loaf/loaves cheese pancake<dessert
place: mill barn market church orchard kitchen stable meadow
container: basket barrel sack bucket
part: wheel handle edge hinge
tool: tool hammer<tool axe<tool spade<tool knife/knives<tool
""",
    "verbs": """
make person food: prepare bake<prepare cook<prepare roast<prepare
make person artefact: craft carve<craft forge<craft build/built<craft
change person artefact|tool|part: improve repair<improve paint<improve polish<improve damage break/broke/broken<damage
    crack<damage burn<damage
move person artefact|food|animal|tool: move carry<move drag/dragged<move push<move
perceive person|animal artefact|food|animal|person|tool: see/saw/seen spot/spotted<see glimpse<see
social person person: meet/met visit<meet greet<meet thank help tease
transfer person artefact|food|animal|tool: give/gave/given sell/sold lend/lent
act person|animal: sleep/slept rest wander swim/swam/swum
act person: sing/sang/sung laugh dance
happen artefact|tool|food: fall/fell/fallen vanish rot/rotted
say person: say/said shout whisper
try person: try promise refuse
""",
    "adjectives": """
person: young~elderly cheerful~gloomy brave~timid hungry
animal: tame~wild brown hungry fat~thin
artefact|tool|part|container: rusty heavy~light clean~dirty wooden
food: sweet~sour fresh~stale warm~cold
place: quiet~noisy stone
""",
    "others": """
women: Anna Clara Elsie Greta Hanna Martha Nora Rosa
men: Ben Carl Emil Frank Hugo Jakob Otto Peter
surnames: Brook Marsh Wood Field Thorn
towns: Ashford Milton Dunbar Elmwood Oakham
institutions: School Bakery Choir
dates: Monday Tuesday Wednesday Thursday Friday Saturday Sunday
hours: dawn dusk midnight
manner: slowly quietly gladly proudly
""",
}
_LABORATORY = {
    "nouns": """
person: person/people scientist<person chemist<scientist physicist<scientist biologist<scientist
    geologist<scientist astronomer<scientist employee<person technician<employee engineer<employee guard<employee
    secretary<employee student<person professor<person
animal: animal rodent<animal mouse/mice<rodent rat<rodent hamster<rodent insect<animal beetle<insect
    moth<insect frog<animal
device: object instrument<object microscope<instrument telescope<instrument thermometer<instrument
    machine<object printer<machine centrifuge<machine robot<machine laser<object computer<object
substance: chemical acid<chemical solvent<chemical pigment<chemical enzyme<protein antibody<protein protein
    crystal alloy
place: basement corridor greenhouse observatory warehouse auditorium library cleanroom
container: flask beaker cabinet crate
part: lens sensor battery valve
tool: probe pipette<probe needle<probe wrench screwdriver
""",
    "verbs": """
make person substance: produce synthesize<produce extract<produce distil/distilled<produce
make person device: construct assemble<construct design weld<construct
change person device|tool|part: adjust calibrate<adjust align<adjust tune<adjust ruin overheat<ruin scratch<ruin
    contaminate<ruin
move person device|substance|animal|tool: transport ship/shipped<transport haul<transport fetch<transport
perceive person device|substance|animal|tool|person: examine inspect<examine scan/scanned<examine
    photograph<examine
perceive animal device|animal|person: detect sense<detect
social person person: instruct train<instruct coach<instruct assist interview supervise
transfer person device|substance|animal|tool: send/sent show/showed/shown mail
act person|animal: pause react tremble hesitate
act person: argue travel/travelled calculate
happen device|tool|substance: explode melt leak fail
say person: report announce explain
try person: attempt decide manage
""",
    "adjectives": """
person: famous~obscure careful~careless senior~junior curious
animal: sick~healthy nocturnal active~passive male~female
device|tool|part|container: fragile~sturdy expensive~cheap portable reliable~unreliable
substance: pure~impure toxic~harmless transparent~opaque synthetic
place: underground secure~insecure
""",
    "others": """
women: Priya Mei Fatima Ingrid Yuki Leila Sofia Amara
men: Rajesh Wei Omar Sven Kenji Amir Pablo Tunde
surnames: Chen Patel Okafor Larsen Tanaka Rossi
towns: Geneva Boston Kyoto Nairobi Zurich Toronto
institutions: Institute University Foundation
dates: January March April June August October November
hours: noon night daybreak
manner: precisely remotely quickly routinely
""",
}
DOMAINS = {
    "village": Domain("village", _VILLAGE, Style(0.15, 0.10, 0.25, 0.10, 0.50, 0.35, 0.15, 0.10)),
    "laboratory": Domain("laboratory", _LABORATORY, Style(0.40, 0.16, 0.35, 0.14, 0.30, 0.45, 0.08, 0.25)),
}


def domain_named(name: str) -> Domain:
    """Return the domain of this name. OptionError if there is none."""
    if name not in DOMAINS:
        raise OptionError(f"A domain is one of {', '.join(DOMAINS)}: got {name!r}.")
    return DOMAINS[name]

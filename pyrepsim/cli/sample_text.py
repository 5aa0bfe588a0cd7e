"""English sentences from a small grammar: text for a demo or a test where no corpus is at hand."""

from __future__ import annotations

import random
import re

from ..core.errors import OptionError

__all__ = ["sample_sentences"]

# One expansion a line, the plainest first: it is taken where nesting has gone deep enough.
# Repeated lines are likelier.
_RULES = """
text:
    {clause}.
    {clause}.
    {clause}.
    {clause}, {conjunction} {clause}.
    {adverbial}, {clause}.
    {subordinator} {clause}, {clause}.
    {question}
    {speech}
    {clause}; {connective}, {clause}.
    {short}
    {clause} {subordinator} {clause}.
    {clause} {subordinator} {clause}, {long_tail}.
    {adverbial}, {clause}, {conjunction} {clause}.
long_tail:
    {conjunction} {clause} {adverbial}
    {conjunction} {clause} {subordinator} {clause}; {connective}, {clause}
short:
    {interjection}.
    {proper} {past_intransitive}.
    Nobody {past_intransitive}.
    {np_any}?
    Why not {place}?
    {number} of them {past_intransitive}.
speech:
    "{clause}," said {proper}.
    "{question}" asked {np_any}.
    {proper} said that {clause}.
    {proper} and {proper} doubted that {clause}.
question:
    Who {past_transitive} {np_any}?
    Did {np_any} {base_transitive} {np_any}?
    Where was {np_sg} {time}?
    Why were {np_pl} so {adjective}?
    How many {noun_pl} did {proper} {base_transitive}?
clause:
    {np_any} {past_transitive} {np_any}
    {np_any} {past_intransitive} {adverbial}
    {np_sg} was {adjective}
    {np_pl} were {adjective}
    {np_sg} is {degree} {adjective} than {np_any}
    {np_pl} are rarely {adjective}
    {np_sg} was {participle} by {np_any}
    {np_pl} were {participle} {adverbial}
    there were {number} {noun_pl} {place}
    {proper} gave {np_any} {np_any}
    {proper} {past_transitive} {np_any} and {past_transitive} {np_any}
    {np_any} tried to {base_transitive} {np_any} {adverbial}
    it {modal} {base_intransitive} {time}
    {np_any} {modal} {base_transitive} {np_any} without {gerund} {np_any}
    neither {np_sg} nor {np_sg} {past_intransitive}
np_any:
    {np_sg}
    {np_pl}
    {proper}
np_sg:
    the {noun_sg}
    a {noun_sg}
    the {adjective} {noun_sg}
    {proper}'s {noun_sg}
    the {noun_sg} {pp}
    the {noun_sg} that {past_transitive} {np_any}
    a {adjective}, {adjective} {noun_sg}
    the {noun_sg} of {place_name}
np_pl:
    the {noun_pl}
    {number} {noun_pl}
    most {adjective} {noun_pl}
    the {noun_pl} {pp}
    the {noun_pl} who {past_intransitive}
    {proper} and {proper}
    her {adjective} {noun_pl}
    {noun_pl}, {noun_pl} and {noun_pl}
pp:
    {preposition} the {noun_sg}
    {preposition} {np_any}
    from {place_name}
adverbial:
    {time}
    {place}
    {adverb}
    {preposition} {np_any}
    {adverb} and {adverb}
place:
    {preposition} the {noun_sg}
    in {place_name}
    near {place_name}
time:
    yesterday
    in {year}
    on {day} morning
    last {season}
    after {number} days
    before noon
"""

# A tilde is a space inside an entry.
_WORDS = """
noun_sg: key cabinet river doctor theory engine garden letter committee violin bridge market teacher
    signal forest window battery museum captain recipe planet mirror lawyer harbour orchestra notebook
    candle glacier merchant algorithm village telescope referee blanket island senator puzzle kettle
    painter border locksmith harvest microscope sentence orange hour elephant umbrella archive engineer
noun_pl: keys rivers doctors theories engines gardens letters bridges markets teachers signals forests
    windows museums captains recipes planets mirrors lawyers harbours notebooks candles glaciers
    merchants algorithms villages telescopes referees islands senators puzzles painters borders harvests
    sentences oranges elephants archives engineers children mice geese wolves shelves
adjective: old quiet narrow brilliant frozen hungry expensive ancient polite bitter careless electric
    faithful golden hollow invisible jealous loud modest nervous ordinary patient rough silver tired
    uneven vivid wooden young absurd blue cheap dusty
past_transitive: opened followed painted repaired questioned admired carried sold measured forgot
    ignored translated praised borrowed crossed damaged discovered invited photographed rejected taught
    wrote broke caught drew found hid lost met saw understood
past_intransitive: slept vanished laughed arrived waited sang failed hesitated returned fell disappeared
    collapsed smiled travelled disagreed swam rested wept
base_transitive: open follow paint repair question admire carry sell measure forget ignore translate
    praise borrow cross damage discover invite photograph reject teach write
base_intransitive: rain snow matter happen work fail change end help hurt
participle: opened followed painted repaired admired carried sold measured forgotten ignored translated
    praised borrowed damaged discovered invited rejected written broken found hidden lost seen taken
gerund: opening following painting asking disturbing paying measuring reading seeing telling waking
    naming
proper: Ada Boris Chen Dalia Emeka Farida Goran Hana Ibrahim Jun Keiko Luis Mariam Nils Olga Priya
    Quentin Rosa Samuel Tomas Uma Viktor Wanjiru Ximena Yusuf Zofia
place_name: Lisbon Nairobi Osaka Quito Helsinki Cairo Lagos Lima Hanoi Oslo Tbilisi Montreal Perth
    Prague
preposition: near under behind beyond inside beside above against with without around across
adverb: slowly quietly twice again together carefully suddenly seldom everywhere upstairs abroad instead
conjunction: and but so yet or
subordinator: because although while when before if since unless after
connective: however therefore meanwhile nevertheless besides otherwise
modal: may might must should could would will
degree: more less far~more hardly~less
number: two three four seven eleven twelve twenty forty 15 36 480 1,200 several few many
year: 1066 1492 1789 1848 1905 1919 1968 1989 2004 2020
day: Monday Tuesday Wednesday Thursday Friday Saturday Sunday
season: spring summer autumn winter week month year
interjection: Yes No Perhaps Certainly Never Indeed Of~course Not~yet Thank~you
"""
_DEEP = 7


def _parse(rules: str, words: str) -> dict[str, list[str]]:
    choices = {}
    for name, lines in _blocks(rules):
        choices[name] = [line.strip() for line in lines.strip().splitlines()]
    for name, entries in _blocks(words):
        choices[name] = [entry.replace("~", "\N{NO-BREAK SPACE}") for entry in entries.split()]
    return choices


def _blocks(text: str) -> list[tuple[str, str]]:
    """Split `name: body` blocks, whose bodies are indented."""
    found = (block.partition(":") for block in re.split(r"\n(?=\w)", text.strip()))
    return [(name, body) for name, _, body in found]


_CHOICES = _parse(_RULES, _WORDS)


def sample_sentences(n: int, *, seed: int = 0) -> list[str]:
    """Return `n` different English sentences of 1 to about 60 words; the same ones for the same seed.

    They are grammatical, not meaningful: statements, questions, speech, agreement across attached phrases,
    passives, relative clauses. Enough variety to exercise an encoder, no substitute for a corpus in a study.
    """
    if n < 1:
        raise OptionError(f"The number of sentences must be at least 1: got {n}.")
    rng = random.Random(seed)
    found: dict[str, None] = {}
    while len(found) < n:
        found.setdefault(_finish(_expand("text", rng, 0)))
    return list(found)


def _expand(symbol: str, rng: random.Random, depth: int) -> str:
    choices = _CHOICES[symbol]
    plainest = depth > _DEEP and "{" in choices[0]
    template = choices[0] if plainest else rng.choice(choices)
    return re.sub(r"\{(\w+)\}", lambda match: _expand(match[1], rng, depth + 1), template)


def _finish(text: str) -> str:
    """Write a as an before vowels, and a capital at the start (also of speech)."""
    text = re.sub(r"\b([Aa]) (?=[aeiou]|hour\b)", r"\1n ", text.replace("\N{NO-BREAK SPACE}", " "))
    start = 1 if text[0] == '"' else 0
    return text[:start] + text[start].upper() + text[start + 1 :]

"""The two domains: other content words, other names, another mix of constructions; the grammar is one."""

from __future__ import annotations

from ...core.errors import OptionError
from .lexicon import Domain, Style

__all__ = ["DOMAINS", "domain_named"]

# Nouns: lemma/plural<hypernym+gender. Verbs: lemma/past/participle<hypernym. Adjectives: word~antonym.
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
    """The domain of that name. OptionError where there is none."""
    if name not in DOMAINS:
        raise OptionError(f"A domain is one of {', '.join(DOMAINS)}: got {name!r}.")
    return DOMAINS[name]

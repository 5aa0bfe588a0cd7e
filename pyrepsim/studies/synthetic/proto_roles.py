"""Which proto-role properties the arguments of a verb have, by the kind of event (Dowty 1991; names as in UDS)."""

from __future__ import annotations

from .lexicon import Verb

__all__ = ["properties"]

_LASTING = ("existed_before", "existed_during", "existed_after")
_AGENT = ("instigation", "volition")
_AGENTS = {
    "make": _AGENT,
    "change": _AGENT,
    "move": (*_AGENT, "change_of_location"),
    "perceive": (),
    "social": _AGENT,
    "transfer": (*_AGENT, "change_of_possession"),
    "act": _AGENT,
    "happen": ("change_of_state",),
    "say": _AGENT,
    "try": ("volition",),
}
_THEMES = {
    "make": ("change_of_state", "existed_after"),
    "change": ("change_of_state", *_LASTING),
    "move": ("change_of_location", *_LASTING),
    "perceive": _LASTING,
    "social": ("was_for_benefit", *_LASTING),
    "transfer": ("change_of_possession", "change_of_location", *_LASTING),
}
_MIND = {"person": ("awareness", "sentient"), "animal": ("sentient",)}


def properties(verb: Verb, role: str, kind: str) -> tuple[str, ...]:
    """Properties of the ``"agent"``, ``"theme"``, ``"recipient"`` or ``"instrument"`` of a verb.

    `kind` is that of the noun: persons are aware of what happens to them, animals only feel it.
    """
    mind = _MIND.get(kind, ())
    if role == "agent":
        return (*_AGENTS[verb.group], *_LASTING, *mind)
    if role == "theme":
        return (*_THEMES[verb.group], *mind)
    if role == "recipient":
        return ("change_of_possession", "was_for_benefit", *_LASTING, *mind)
    return ("was_used", *_LASTING)

"""Reading options that are written as Python calls, such as ``SVCCA(variance=0.99)``. No code is executed."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from .errors import OptionError

__all__ = ["build_called"]

Dataclass = TypeVar("Dataclass")


def build_called(text: Any, known: Mapping[str, type[Dataclass]], what: str, example: str) -> Dataclass:
    """Return an instance of the dataclass that a text like ``Name(option=value, ...)`` names.

    Parameters
    ----------
    text : str
        A name, or a call with keyword arguments that are literals.
    known : mapping of str to type
        The dataclasses, by name.
    what : str
        What they are, for messages ("measure").
    example : str
        A text that is accepted, for messages.

    Raises
    ------
    OptionError
        If the text is not of that form, or the name or an option is unknown.
    """
    rule = f"a {what} is written like {example}"
    if not isinstance(text, str) or len(text) > 500:
        raise OptionError(f"{rule}: got {text!r:.60}.")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        call = tree if isinstance(tree, ast.Call) else ast.Call(func=tree, args=[], keywords=[])
        if not isinstance(call.func, ast.Name) or call.args:
            raise ValueError(f"a {what} is written name or name(option=value, ...)")
        name, options = call.func.id, {str(k.arg): ast.literal_eval(k.value) for k in call.keywords}
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise OptionError(f"{rule}, with plain numbers, strings, True or False: got {text!r}.") from error
    if name not in known:
        near = [k for k in known if name.lower() in k.lower()] or difflib.get_close_matches(name, known, n=1)
        hint = f" Did you mean {' or '.join(near[:3])}?" if near else ""
        raise OptionError(f"a {what} is one of {', '.join(known)}: got {name!r}.{hint}")
    try:
        return known[name](**options)
    except TypeError as error:
        listed = ", ".join(f.name for f in fields(known[name]))  # type: ignore[arg-type] - all are dataclasses
        raise OptionError(f"{name} takes the options {listed or '(none)'}: got {text!r}.") from error

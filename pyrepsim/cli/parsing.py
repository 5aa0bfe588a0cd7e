"""From dataclasses to a command line: jsonargparse reads their fields, types, defaults and docstrings."""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from inspect import cleandoc, getdoc, getsource
from itertools import pairwise
from textwrap import dedent
from typing import Any

from .. import __version__
from ..core.errors import OptionError

__all__ = ["Commands", "Group", "parse"]


class Group(dict[str, type]):
    """Commands under one word; `about` is what they do together, for the overview."""

    def __init__(self, about: str, **commands: type) -> None:
        super().__init__(commands)
        self.about = about


Commands = Mapping[str, type] | Mapping[str, type | Group]


def parse(commands: Commands, words: Sequence[str], program: str = "pyrepsim") -> tuple[Any, str]:
    """Return the command that the words ask for, filled in, and its configuration as YAML.

    Exits, as argparse does, once it has printed help, the version, a configuration or a complaint.
    """
    name, rest = (words[0], words[1:]) if words else ("--help", [])
    if name in ("-h", "--help"):
        print(_overview(commands, program))
        raise SystemExit(0)
    if name == "--version":
        print(f"pyrepsim {__version__}")
        raise SystemExit(0)
    if name not in commands:
        near = difflib.get_close_matches(name, commands, n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise OptionError(f"A command is one of {', '.join(commands)}: got {name!r}.{hint}")
    found = commands[name]
    if isinstance(found, Group):
        return parse(found, rest, f"{program} {name}")
    return _fill(found, rest, f"{program} {name}")


def _fill(command: Any, words: Sequence[str], program: str) -> tuple[Any, str]:
    # Here, not above: the overview answers without it.
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(prog=program, description=getdoc(command))
    parser.add_argument("--config", action="config", help="YAML file with any of the arguments below.")
    parser.add_class_arguments(command, as_positional=True)
    if fields(command):
        parser._action_groups[-1].title = "arguments"
    docs = _field_docs(command)
    for action in parser._actions:
        action.help = docs.get(action.dest, action.help)
    shown = parser.format_help
    parser.format_help = lambda formatter=None: _dashed(shown(formatter))
    shipped = command.shipped_config(words) if hasattr(command, "shipped_config") else []
    parsed = parser.parse_args([*shipped, *_spelled_out(command, words)])
    values = {field.name: parsed[field.name] for field in fields(command)}
    return command(**values), parser.dump(parsed)


def _field_docs(command: type) -> dict[str, str]:
    """Return the docstring under each field, inherited ones too, read from the source: Python itself forgets them."""
    docs = {}
    for kind in filter(is_dataclass, reversed(command.__mro__)):
        source: Any = ast.parse(dedent(getsource(kind)))
        for field, below in pairwise(source.body[0].body):
            if isinstance(field, ast.AnnAssign) and isinstance(below, ast.Expr):
                docs[ast.unparse(field.target)] = cleandoc(ast.literal_eval(below.value))
    return docs


def _spelled_out(command: Any, words: Sequence[str]) -> list[str]:
    """Write `--dry-run` as `--dry_run=true`: options may have dashes, and switches no value."""
    switches = {f"--{field.name}" for field in fields(command) if isinstance(field.default, bool)}
    spelled = []
    for place, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option.startswith("--"):
            option = "--" + option[2:].replace("-", "_")
            bare = not equals and [*words, ""][place + 1].lower() not in ("true", "false")
            word = f"{option}=true" if option in switches and bare else option + equals + value
        spelled.append(word)
    return spelled


def _dashed(shown: str) -> str:
    """Show `--dry_run {true,false}` as one writes it, and as the README does: `--dry-run`."""
    return re.sub(r"--\w+( \{true,false\})?", lambda found: found[0].partition(" ")[0].replace("_", "-"), shown)


def _overview(commands: Commands, program: str) -> str:
    width = max(map(len, commands))
    lines = [f"usage: {program} COMMAND ...", ""]
    for name, command in commands.items():
        if isinstance(command, Group):
            what = f"{', '.join(command)}: {command.about}"
        else:
            what = (getdoc(command) or "").partition("\n")[0]
        lines.append(f"  {name:<{width}}  {what}")
    return "\n".join([*lines, "", f"{program} COMMAND --help says more."])

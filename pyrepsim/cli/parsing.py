"""Command lines from frozen dataclasses: jsonargparse reads their fields, types, defaults and docstrings.

Only the parser of the chosen command is built, and only its module is imported.
"""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from inspect import getdoc
from typing import Any

from ..core.errors import OptionError
from ..version import __version__

__all__ = ["Commands", "Group", "command_class", "parse"]


@dataclass(frozen=True)
class Group:
    """Commands under one word, such as `pyrepsim probe edge`."""

    summary: str
    """What they do together, for the list of commands."""
    commands: Mapping[str, str]


Commands = Mapping[str, str | Group]
"""Each command's word, and the class that runs it as ``"module:Class"`` within `pyrepsim.cli`; or a group of them."""


def parse(commands: Commands, words: Sequence[str], program: str = "pyrepsim") -> tuple[Any, str]:
    """Return the command that the words ask for, with its options set, and these options as YAML.

    Exits like argparse after printing help, the version, a configuration or an error.
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
    target = commands[name]
    if isinstance(target, Group):
        return parse(target.commands, rest, f"{program} {name}")
    return _build(command_class(target), rest, f"{program} {name}")


def command_class(target: str) -> Any:
    """Import the class named ``"module:Class"``."""
    module, _, name = target.partition(":")
    return getattr(importlib.import_module(f".{module}", __package__), name)


_OWN_HELP = {"help": "Show this help, and exit.", "print_config": "Print these options as YAML, and exit."}


def _build(command: Any, words: Sequence[str], program: str) -> tuple[Any, str]:
    from jsonargparse import ArgumentParser, DefaultHelpFormatter, set_parsing_settings

    class Help(DefaultHelpFormatter):
        """The help of an option, and its default; jsonargparse adds types, a name with "+", and defaults of null."""

        def _get_help_string(self, action: Any) -> str:
            if action.dest in _OWN_HELP:
                return _OWN_HELP[action.dest]
            shown = action.option_strings and action.default not in (None, False, "==SUPPRESS==")
            return (action.help or "") + (" (default: %(default)s)" if shown else "")

        def _format_action_invocation(self, action: Any) -> str:
            several = action.option_strings
            action.option_strings = [option for option in several if not option.endswith("+")]
            try:
                return super()._format_action_invocation(action).removesuffix("[=flags]").rstrip()
            finally:
                action.option_strings = several

    class Parser(ArgumentParser):
        def format_help(self) -> str:
            # Options are shown with dashes, and switches without the value that the parser itself needs.
            return re.sub(
                r"--\w+( \{true,false\})?",
                lambda option: option[0].partition(" ")[0].replace("_", "-"),
                super().format_help().replace(",null}", "}"),
            )

    set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = Parser(prog=program, description=getdoc(command), formatter_class=Help)
    parser.add_argument("--config", action="config", help="YAML file with any of the arguments below.")
    parser.add_class_arguments(command, as_group=False, as_positional=True)
    defaults = command.default_config(words) if hasattr(command, "default_config") else []
    parsed = parser.parse_args([*defaults, *_normalized(command, words)])
    values = {field.name: parsed[field.name] for field in fields(command)}
    return command(**values), parser.dump(parsed)


def _normalized(command: Any, words: Sequence[str]) -> list[str]:
    """Write `--dry-run` as `--dry_run=true`, and `--tokens -3:` as `--tokens=-3:`.

    Options may have dashes, switches need no value, and slices may begin with a dash. Words after the last positional
    argument are those of the option that the attribute `several` of a command names.
    """
    switches = {f"--{field.name}" for field in fields(command) if isinstance(field.default, bool)}
    n_positional = sum(field.default is MISSING and field.default_factory is MISSING for field in fields(command))
    several, more = getattr(command, "several", None), []
    result: list[str] = []
    for index, word in enumerate(words):
        if result and _SLICE.fullmatch(word) and result[-1].startswith("--") and "=" not in result[-1]:
            result[-1] += f"={word}"
            continue
        option, equals, value = word.partition("=")
        if option.startswith("--"):
            option = "--" + option[2:].replace("-", "_")
            bare = not equals and [*words, ""][index + 1].lower() not in ("true", "false")
            word = f"{option}=true" if option in switches and bare else option + equals + value
        elif not word.startswith("-") and not (result and _OPTION.fullmatch(result[-1])):
            n_positional -= 1
            if several and n_positional < 0:
                more.append(word)
                continue
        result.append(word)
    return [*result, f"--{several}={','.join(more)}"] if more else result


_SLICE = re.compile(r"-\d+:[-\d:]*")
_OPTION = re.compile(r"--[^=]+")  # a word that its value follows


def _overview(commands: Commands, program: str) -> str:
    width = max(map(len, commands))
    lines = [f"usage: {program} COMMAND ...", ""]
    for name, target in commands.items():
        if isinstance(target, Group):
            summary = f"{', '.join(target.commands)}: {target.summary}"
        else:
            summary = (getdoc(command_class(target)) or "").partition("\n")[0]
        lines.append(f"  {name:<{width}}  {summary}")
    return "\n".join([*lines, "", f"{program} COMMAND --help lists the options of a command."])

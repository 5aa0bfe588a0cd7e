"""Help, configuration files and errors before a command runs."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import fields
from pathlib import Path

import pytest

import pyrepsim
from pyrepsim.cli.main import COMMANDS
from pyrepsim.cli.parsing import Group, command_class

VERBS = {name: command_class(target) for name, target in COMMANDS.items() if isinstance(target, str)}
VERBS |= {
    f"{word} {name}": command_class(target)
    for word, group in COMMANDS.items()
    if isinstance(group, Group)
    for name, target in group.commands.items()
}


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"]])
def test_the_overview_names_each_verb(run, words: list[str]):
    ran = run(*words)
    assert ran.status == 0
    for name in COMMANDS:
        assert f"  {name} " in ran.out


@pytest.mark.parametrize("verb", VERBS)
def test_each_option_of_each_verb_is_explained(run, verb: str):
    ran = run(*verb.split(), "--help")
    assert ran.status == 0
    assert f"usage: pyrepsim {verb}" in ran.out
    shown = " ".join(ran.out.split())
    for field in fields(VERBS[verb]):
        option = shown.partition("options:")[0] + shown
        assert field.name in option.replace("-", "_"), f"{verb} has no help for {field.name}"
    assert VERBS[verb].__doc__.split(".")[0].partition("\n")[0] in shown


def test_help_has_neither_types_nor_names_of_the_parser(run):
    for verb in ("compare", "extract", "finetune", "probe edge", "study merchant2020"):
        shown = " ".join(run(*verb.split(), "--help").out.split())
        assert not [word for word in ("type:", "null", "Literal", "=flags", "+ ", "(default: )") if word in shown], verb
    assert "(default: 4096)" in " ".join(run("extract", "--help").out.split())


def test_the_docstring_under_a_field_is_its_help(run):
    assert "This conversion is the only lossy step." in " ".join(run("extract", "--help").out.split())
    for verb in ("extract", "compare", "demo"):  # inherited fields too
        shown = " ".join(run(verb, "--help").out.split())
        assert "--split SPLIT Split of a data set of the hub" in shown


def test_version(run):
    assert run("--version").out == f"pyrepsim {pyrepsim.__version__}\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["exrtact"], "got 'exrtact'. Did you mean extract?"),
        (["cache", "list"], "A command is one of ls, info, verify, export: got 'list'."),
        (["compare", "one"], "the following arguments are required: y"),
        (["compare", "a", "b", "--n_threads", "many"], "n_threads"),
        (["compare", "a", "b", "--precision", "fp8"], "precision"),
        (["compare", "a", "b", "--colour", "red"], "unrecognized arguments: --colour red"),
        (["compare", "--config", "absent.yaml"], "absent.yaml"),
    ],
)
def test_invalid_commands_end_with_status_2(run, words: list[str], complaint: str):
    ran = run(*words)
    assert ran.status == 2
    assert complaint in ran.err
    assert ran.out == ""


def test_a_printed_configuration_can_be_run_again(run, stores: tuple[Path, Path], tmp_path: Path):
    words = ["compare", *stores, "--measures", "CCA, SVCCA(components=3)", "--layers", "all"]
    printed = run(*words, "--print_config")
    assert printed.status == 0
    assert "layers: all" in printed.out
    (tmp_path / "compare.yaml").write_text(printed.out, encoding="utf-8")
    again = run("compare", "--config", "compare.yaml")
    assert again.status == 0
    assert again.out == run(*words).out
    overridden = run("compare", "--config", "compare.yaml", "--layers", "same")
    assert len(overridden.out.splitlines()) == 6


@pytest.mark.parametrize("switch", ["--dry-run", "--dry_run", "--dry-run=true", "--dry_run true"])
def test_switches_need_no_value_and_may_have_dashes(run, switch: str):
    assert "dry_run: true" in run("extract", "m", "t", *switch.split(), "--print_config").out


def test_an_option_with_dashes_keeps_its_value(run):
    out = run("extract", "m", "t", "--same-plan-as", "my-store", "--max-length=12", "--print_config").out
    assert "same_plan_as: my-store" in out
    assert "max_length: 12" in out


def best_seconds(code: str, enough: float) -> tuple[float, str]:
    """The shortest time of up to eight runs, because other work can only make a run slower; and its stderr."""
    seconds, stderr = [], ""
    while len(seconds) < 8 and (not seconds or seconds[-1] >= enough):
        start = time.perf_counter()
        stderr = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stderr
        seconds.append(time.perf_counter() - start)
    return min(seconds), stderr


@pytest.mark.parametrize("words", [["--help"], ["extract", "--help"]], ids=" ".join)
def test_help_is_quick_and_imports_nothing_heavy(words):
    code = f"import sys; from pyrepsim.cli import main; main({words}); print(*sys.modules, file=sys.stderr)"
    seconds, modules = best_seconds(code, 0.3)
    assert {"numpy", "torch", "transformers", "matplotlib", "pandas"} & set(modules.split()) == set()
    # 0.3 s, or on a slow machine three times the time of importing the parser's library alone
    assert seconds < 0.3 or seconds < 3 * best_seconds("import jsonargparse", 0.0)[0]


def test_help_shows_options_with_dashes(run):
    shown = run("extract", "--help").out
    assert "  --dry-run\n" in shown
    assert "[--same-plan-as SAME_PLAN_AS]" in shown
    assert "{true,false}" not in shown
    assert "Remove any store at --out first" in " ".join(shown.split())

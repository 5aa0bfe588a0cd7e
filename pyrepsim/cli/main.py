"""The command `pyrepsim`. Exit status: 0 done, 1 a check failed, 2 an error, 130 interrupted."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from importlib.util import find_spec

from ..core.errors import PyrepsimError
from .interrupts import Interrupts
from .parsing import Commands, Group, parse
from .transcript import Transcript

__all__ = ["COMMANDS", "main", "run"]

# Studies are an optional part of the package: without them the commands `study` and `report` are not there.
_STUDIES: Commands = {
    "study": Group(
        "run a whole study, cell by cell.",
        {"merchant2020": "study:Merchant2020", "trajectories": "study:Trajectories", "status": "study:Status"},
    ),
    "report": "study:Report",
}

COMMANDS: Commands = {
    "finetune": "finetuning:Finetune",
    "ablate": "finetuning:Ablate",
    "extract": "commands:Extract",
    "compare": "commands:Compare",
    "compare-revisions": "commands:CompareRevisions",
    "probe": Group(
        "measure what each layer encodes.",
        {"edge": "probing:Edge", "structural": "probing:Structural", "mdl": "probing:Mdl", "table": "probing:Table"},
    ),
    "profile": "commands:Profile",
    **(_STUDIES if find_spec("pyrepsim.studies") is not None else {}),
    "cache": Group(
        "manage activation stores.",
        {"ls": "stores:Ls", "info": "stores:Info", "verify": "stores:Verify", "export": "stores:Export"},
    ),
    "info": "commands:Info",
    "demo": "demo:Demo",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    Errors that pyrepsim raises are printed as one message on stderr; PYREPSIM_DEBUG=1 shows the traceback.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    with Interrupts() as interrupts:
        try:
            return _run(words, interrupts)
        except BaseException as error:
            if not (interrupts.came or isinstance(error, KeyboardInterrupt)):
                raise
    again = shlex.join(["pyrepsim", *words])
    print(f"\nInterrupted. Finished steps are kept. To resume, run\n  {again}", file=sys.stderr)
    return 130


def _run(words: Sequence[str], interrupts: Interrupts) -> int:
    try:
        command, config = parse(COMMANDS, words)
        return command.run(Transcript(config))
    except SystemExit as stop:  # the parser has printed its help or its error
        return stop.code if isinstance(stop.code, int) else 2
    except BrokenPipeError:  # the program that reads our output has ended, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (PyrepsimError, OSError) as error:
        if interrupts.came or os.environ.get("PYREPSIM_DEBUG", "0") != "0":
            raise
        print(f"pyrepsim: {error}", file=sys.stderr)
        return 2


def run() -> None:
    """Run the command of this process and end it. After Ctrl-C the process ends at once, without waiting for torch."""
    status = main()
    if status == 130:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)

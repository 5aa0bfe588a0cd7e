"""Words in, exit status out: 0 done, 1 a check found something, 2 error with remedy, 130 interrupted."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence

from ..core.errors import PyrepsimError
from . import cache, commands, finetuning, probing, reporting, study
from .demo import Demo
from .parsing import Commands, Group, parse
from .transcript import Transcript

__all__ = ["main"]

COMMANDS: Commands = {
    "finetune": finetuning.Finetune,
    "ablate": finetuning.Ablate,
    "extract": commands.Extract,
    "compare": commands.Compare,
    "probe": Group(
        "what can be read off each layer.",
        edge=probing.Edge,
        structural=probing.Structural,
        mdl=probing.Mdl,
        table=probing.Table,
    ),
    "profile": commands.Profile,
    "study": Group(
        "a whole study, cell by cell.",
        merchant2020=study.Merchant2020,
        trajectories=study.Trajectories,
        status=study.Status,
    ),
    "report": reporting.Report,
    "cache": Group("look after stores.", ls=cache.Ls, info=cache.Info, verify=cache.Verify, export=cache.Export),
    "info": commands.Info,
    "demo": Demo,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status.

    An error raised on purpose is one message on stderr; set PYREPSIM_DEBUG=1 to see where it came from.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        command, config = parse(COMMANDS, words)
        return command.run(Transcript(config))
    except SystemExit as stop:  # the parser has printed its help or its complaint
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt:
        again = shlex.join(["pyrepsim", *words])
        print(
            f"\ninterrupted. Finished shards and checkpoints are kept; to go on:\n  {again}",
            file=sys.stderr,
        )
        return 130
    except BrokenPipeError:  # the reader of our output has gone, as head does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (PyrepsimError, OSError) as error:
        if os.environ.get("PYREPSIM_DEBUG", "0") != "0":
            raise
        print(f"pyrepsim: {error}", file=sys.stderr)
        return 2

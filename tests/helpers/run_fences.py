"""Run the Python code blocks of a Markdown page in order, in one namespace; print the output of each as JSON."""

from __future__ import annotations

import contextlib
import io
import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

_FENCE = re.compile(r"^```(\w*) *(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Fence:
    """A code block of a page: language, words after it, text, and the output in a ```text block right below."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int
    shown: str | None = None


def fences(page: str) -> list[Fence]:
    matches = list(_FENCE.finditer(page))
    result = []
    for i, match in enumerate(matches):
        following = matches[i + 1] if i + 1 < len(matches) else None
        shown = None
        if following is not None and following[1] == "text" and not page[match.end() : following.start()].strip():
            shown = following[3]
        line = page.count("\n", 0, match.start()) + 1
        result.append(Fence(match[1], tuple(match[2].split()), match[3], line, shown))
    return result


def main(path: Path) -> None:
    page = sys.modules["__main__"] = ModuleType("__main__")  # patches look for names in modules
    outputs = []
    for fence in fences(path.read_text(encoding="utf-8")):
        if fence.language == "python":
            with contextlib.redirect_stdout(io.StringIO()) as written:
                lines = "\n" * fence.line + fence.text  # so that a traceback has the page's line numbers
                exec(compile(lines, str(path), "exec"), vars(page))
            outputs.append(written.getvalue())
    print(json.dumps(outputs))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

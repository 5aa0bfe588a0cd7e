"""The name of a function, by which a record tells whether it is the same one again."""

from __future__ import annotations

from collections.abc import Iterator
from types import CodeType
from typing import Any

import xxhash

__all__ = ["function_name"]

_PLAIN = (bool, int, float, str, bytes, slice, type(None))


def function_name(function: Any) -> str:
    """Name of a function, with a digest of its code: two that are written in one place have one name."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", type(function).__name__)
    name = f"{module}.{name}" if module else name
    code = getattr(function, "__code__", None)
    if not isinstance(code, CodeType):
        return name
    held = [cell.cell_contents for cell in function.__closure__ or ()]
    used = [repr(value) for value in (*(function.__defaults__ or ()), *held) if isinstance(value, _PLAIN)]
    return f"{name} {xxhash.xxh3_64_hexdigest(repr((*_code(code), *used)).encode())}"


def _code(code: CodeType) -> Iterator[Any]:
    """What a function does, without the place where it is written."""
    yield from (code.co_code.hex(), code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code(constant)
        else:  # the order of a set is by chance
            yield sorted(map(repr, constant)) if isinstance(constant, frozenset) else repr(constant)

"""Which tokens are changed, and to what."""

from __future__ import annotations

from tests.mutations.changes import changed, changes_of

SOURCE = '''"""A text with 1 + 1."""
from a import b

LIMIT = 0.5


def f(x: int = 1, *rest):
    """max"""
    if x is not None and x < 2:
        raise ValueError("1")
    return -max(x, *rest) ** 2 - g(low=x, high=zip(x, strict=True))
'''


def test_numbers_comparisons_and_names_are_changed_and_texts_are_not():
    found = [str(change) for change in changes_of(SOURCE)]
    assert found == [
        "line 4: 0.5 -> 1.0",
        "line 9: not -> (nothing)",
        "line 9: and -> or",
        "line 9: < -> <=",
        "line 9: 2 -> 3",
        "line 11: - -> +",
        "line 11: max -> min",
        "line 11: ** -> *",
        "line 11: 2 -> 3",
        "line 11: - -> +",
    ]


def test_a_change_replaces_one_token():
    for change in changes_of(SOURCE):
        before, after = SOURCE.splitlines(), changed(SOURCE, change).splitlines()
        assert [line for line, (a, b) in enumerate(zip(before, after, strict=True), 1) if a != b] == [change.line]

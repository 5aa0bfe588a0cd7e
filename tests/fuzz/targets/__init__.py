"""One module for each target. `examples()` returns valid inputs; `read(data, folder)` reads one input.

An input may end in a `PyrepsimError` only, and must not take longer than 2 s.
"""

"""Planted studies: rows of made-up studies whose truth is known, and how often the rules of the claims err on them."""

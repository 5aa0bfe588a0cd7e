"""Mutations: whether the tests notice changes of single tokens of the code."""

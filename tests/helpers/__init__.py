"""Shared by all tests: reference implementations, data generators, assertions."""

"""Fuzzing of everything that reads files of unknown origin: `python -m tests.fuzz --minutes 10`, or `make fuzz`."""

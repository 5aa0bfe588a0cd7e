"""Experiments as readable scripts, one file each."""

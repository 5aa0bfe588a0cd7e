"""Texts and tasks: what models read, and what they are tuned and probed on."""

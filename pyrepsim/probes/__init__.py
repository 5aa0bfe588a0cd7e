"""Probes: small models that say what can be read out of a representation, layer by layer."""

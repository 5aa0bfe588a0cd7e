"""Probes: what can be read off the activations in a store, layer by layer."""

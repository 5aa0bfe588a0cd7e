"""Analyses of single models: geometry of one representation, attention, weight distances."""

"""Analyses of models other than measures: geometry of one representation, attention, weight distances."""

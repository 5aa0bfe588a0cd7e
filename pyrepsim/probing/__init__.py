"""Probes: small models that show what can be read from the layers of a frozen model.

`pyrepsim.probe_edge`, `pyrepsim.probe_mdl` and `pyrepsim.probe_structural` start from a model and annotated files.
They are built on functions that start from activation stores: `pyrepsim.probing.edge.fit_edge_probes`,
`pyrepsim.probing.mdl.fit_online_codes` and `pyrepsim.probing.structural.fit_structural_probes`.
"""

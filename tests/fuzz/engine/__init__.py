"""Fuzz targets of the C++ engine, built by build.py and run by `python -m tests.fuzz`."""

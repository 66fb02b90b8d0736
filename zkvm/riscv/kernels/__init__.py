"""Compiled loops of the executor and of filling rows; ``source`` is what numba compiles."""

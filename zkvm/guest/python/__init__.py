"""Guests in Python: a subset of Python and numpy, translated to C for the machine."""

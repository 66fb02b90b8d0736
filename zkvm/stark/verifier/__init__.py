"""Checks a proof of a statement about a machine, with numpy alone."""

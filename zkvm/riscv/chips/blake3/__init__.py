"""Chips of the BLAKE3 call: one compression without instructions."""

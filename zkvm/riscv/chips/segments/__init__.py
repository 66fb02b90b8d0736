"""Chips of runs in segments: what ties a segment to those before and after it, and where memory begins and ends."""

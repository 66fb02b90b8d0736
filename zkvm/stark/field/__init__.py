"""The Goldilocks field and its cubic extension: numpy and Python integers only (the verifier's arithmetic)."""

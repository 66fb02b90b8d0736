"""The command line. Nothing imports it; what it can do, :mod:`zkvm.api` can do."""

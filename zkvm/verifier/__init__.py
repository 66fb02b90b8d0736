"""The verifier: numpy only, checks shape before arithmetic, raises :class:`zkvm.errors.VerificationError` and nothing else."""

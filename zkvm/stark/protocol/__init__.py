"""What prover and verifier share: parameters, the statement, the proof and its bytes, the order of the transcript, proven bits."""

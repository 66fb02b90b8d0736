"""The digests of the machines, written by ``tools/digests.py``; tests compare them with what the chips give.

They are what every proof is bound to and what an image ID follows from. Written down, a change of any constraint is seen here, and a
verifier derives the tables that a proof has, not all that there are.
"""

DIGESTS = {
    "rv32im": "f64b5763a455cb32c4707bddce65c9d9bbc6b32998b09005509cec9c0bf87265",
    "rv32im segment": "f87ac66f0d063b2296e69d79004e4cacc761bfc511f93cefc8f9bf1ac3aa1b3c",
    "rv32im memory": "c1ee38881650601ff731e4c36496bf2e0d4646f443b39e024def722c02289236",
}
"""32 bytes in hexadecimal digits, by the name of the machine."""

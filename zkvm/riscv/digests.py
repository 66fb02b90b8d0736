"""The digests of the machines, written by ``tools/digests.py``; tests compare them with what the chips give.

They are what every proof is bound to and what an image ID follows from. Written down, a change of any constraint is seen here, and a
verifier derives the tables that a proof has, not all that there are.
"""

DIGESTS = {
    "rv32im": "d6fdcf4d2256dc2180123a7d2e459281ae52f9e19bae80f8252dbd9734c293fd",
    "rv32im segment": "5aafbd22a12d1a1a1943ab9b4519f156c43edbd2f397e99ed9d51666f4a9383e",
    "rv32im memory": "c1ee38881650601ff731e4c36496bf2e0d4646f443b39e024def722c02289236",
}
"""32 bytes in hexadecimal digits, by the name of the machine."""

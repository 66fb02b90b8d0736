"""The digests of the machines, written by ``tools/digests.py``; tests compare them with what the chips give.

They are what every proof is bound to and what an image ID follows from. Written down, a change of any constraint is seen here, and a
verifier derives the tables that a proof has, not all that there are.
"""

DIGESTS = {
    "rv32im": "a0e616701a9925feea2c563011202169470b7e728a96e55960ff145aa37dc829",
    "rv32im segment": "9dbaa22dc0fc9f6c974e4456458fd9ecc36fca5859c562738f55e4cd45836d0d",
    "rv32im memory": "c1ee38881650601ff731e4c36496bf2e0d4646f443b39e024def722c02289236",
}
"""32 bytes in hexadecimal digits, by the name of the machine."""

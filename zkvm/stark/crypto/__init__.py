"""Hashing (BLAKE3), Merkle trees and the Fiat-Shamir transcript: numpy only, the verifier imports it."""

"""Hashing, peppers and entropy: what turns a secret into something that may be stored."""

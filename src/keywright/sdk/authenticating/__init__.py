"""Answers from a cache that a lease keeps true: `Authenticator` and its parts."""

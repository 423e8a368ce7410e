"""How a call reaches a server: where it is, with which key, and what is tried again."""

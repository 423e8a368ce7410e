"""Several processes behind one port: each a server of its own, and one that looks after them."""

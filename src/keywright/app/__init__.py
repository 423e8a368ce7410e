"""The composition root: configuration, and the commands that run on the server's side."""

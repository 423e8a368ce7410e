"""What the programs beside the server share: how they listen, read their settings, and end."""

"""The options that carry the messages' rules."""

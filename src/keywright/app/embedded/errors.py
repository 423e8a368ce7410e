"""What can go wrong with the embedded PostgreSQL."""


class EmbeddedPostgresError(Exception):
    """The embedded server cannot be used; the message says what is wrong and what to do."""

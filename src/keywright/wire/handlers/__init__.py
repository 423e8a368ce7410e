"""One module a service; a handler converts, calls, converts back and returns."""

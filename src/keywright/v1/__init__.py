"""Messages and stubs of `keywright.v1`, generated from protos/ by `make proto`."""

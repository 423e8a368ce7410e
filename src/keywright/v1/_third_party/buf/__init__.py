"""Generated from protos/third_party/buf; see the README there."""

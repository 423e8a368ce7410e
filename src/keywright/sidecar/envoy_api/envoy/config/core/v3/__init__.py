"""Generated from protos/third_party/envoy; see the README there."""

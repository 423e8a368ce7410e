"""The use cases. Knows storage and security; knows no gRPC, no clock and no random generator."""

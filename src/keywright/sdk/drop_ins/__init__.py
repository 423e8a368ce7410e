"""What puts the authenticator in front of an application: gRPC and ASGI."""

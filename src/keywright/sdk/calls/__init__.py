"""What a client's attributes do: a module for each service or resource."""

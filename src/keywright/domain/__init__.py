"""What keys, users, roles, authority and denials are. Pure: time and entropy are parameters."""

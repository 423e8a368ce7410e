"""What callers pass and get: arguments, results, and how messages become them."""

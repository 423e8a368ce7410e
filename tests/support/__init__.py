"""What tests of several kinds share: real databases, real servers, and ways to speak to them."""

"""How a byte stream travels from a command on one host to a command on another."""

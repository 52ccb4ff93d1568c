"""What things are: frozen dataclasses, no I/O."""

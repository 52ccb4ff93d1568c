"""The disk image of the lab's machines: what it is made of, how it is built, and its warm start."""

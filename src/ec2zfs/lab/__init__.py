"""The local EC2: machines in QEMU that follow what an EC2-compatible API says. Only `cli` and tests may import it."""

"""The demonstration: a whole backup day in the local EC2, and the proofs with which it ends."""

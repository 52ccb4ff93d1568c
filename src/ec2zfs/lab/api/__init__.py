"""The API of the local EC2: moto's server, corrected where it differs from EC2. Heavy: for the daemon and tests."""

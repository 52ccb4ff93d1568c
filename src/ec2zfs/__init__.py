"""Off-site backup of ZFS file servers to an encrypted ZFS pool on EC2."""

__version__ = "0.1.0"

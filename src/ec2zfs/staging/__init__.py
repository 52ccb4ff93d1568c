"""A staged folder: a source's snapshots, each file encrypted to public keys. Knows directories, and nothing of ZFS."""

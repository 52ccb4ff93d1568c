"""One file a program (zfs, zpool, cryptsetup, ...): builds its argv, runs it on a `Host`, parses what it prints."""

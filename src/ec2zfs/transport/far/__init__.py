"""The accelerated stream, as it runs at both of its ends.

This folder is sent to a host as source text, so it needs Python 3.9, its standard library and `cryptography` 38, and
nothing else of ours. One process is one end of one stream: it runs one command and dies with it.
"""

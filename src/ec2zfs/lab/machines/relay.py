"""Carries one connection of a guest to the metadata server of the lab, on 127.0.0.1 at the port in argv.

QEMU's user network starts it for each connection to 169.254.169.254:80, with the connection as standard input and
output. It runs as a script, by itself; it starts in some 15 ms because it imports next to nothing.
"""

import os
import select
import socket
import sys


def main() -> None:
    """Copy both ways until the server is done; a server that is not there closes the connection."""
    try:
        server = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=10)
    except OSError:
        return
    server.settimeout(None)
    guest = sys.stdin.fileno()
    ways = {guest: server.fileno(), server.fileno(): sys.stdout.fileno()}
    while server.fileno() in ways:
        for readable in select.select(list(ways), [], [])[0]:
            data = os.read(readable, 65536)
            if not data:
                del ways[readable]
                if readable == guest:
                    server.shutdown(socket.SHUT_WR)
            while data:
                data = data[os.write(ways[readable], data) :]


if __name__ == "__main__":
    main()

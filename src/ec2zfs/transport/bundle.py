"""The program of both ends as it is sent to a host: source text for standard input, and a constant for the words.

Neither program text nor secrets ever stand in the words of a process.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files

PACKAGE = "ec2zfs.transport.far"

BOOTSTRAP = (
    "import json,sys;i=sys.stdin.buffer;s=json.loads(i.read(int(i.readline())));"
    f"n=dict(__name__='loader');exec(s['{PACKAGE}.loader'],n);n['load'](s,i)"
)
"""What python3 runs: reads the modules, as long as the first line says, and leaves the rest of the input to them."""

_JOIN = (
    "import collections as c,os,socket,sys,threading as t;"
    's=socket.create_connection(("127.0.0.1",int(sys.argv[1])));o=open(1,"wb");'
    'u=lambda:(c.deque(map(s.sendall,iter(lambda:os.read(0,1<<18),b"")),0),s.shutdown(1));'
    "t.Thread(target=u,daemon=True).start();"
    'c.deque(map(lambda d:(o.write(d),o.flush()),iter(lambda:s.recv(1<<18),b"")),0)'
)
"""What python3 runs to join its standard input and output to a port of loopback: one end of a stripe."""


def joining_argv(python: str, port: int) -> tuple[str, ...]:
    """The words that join standard input and output to a port of loopback; they hold no secret."""
    return (python, "-I", "-S", "-c", _JOIN, str(port))


def end_argv(python: str) -> tuple[str, ...]:
    """The words that run an end with this interpreter, isolated from its environment and the working directory."""
    return (python, "-I", "-c", BOOTSTRAP)


@cache
def program() -> bytes:
    """What comes first on the standard input of `end_argv`: the length and the modules. Orders follow."""
    folder = files(PACKAGE)
    names = [entry.name for entry in folder.iterdir() if entry.name.endswith(".py")]
    sources = {f"{PACKAGE}.{name.removesuffix('.py')}": folder.joinpath(name).read_text() for name in sorted(names)}
    text = json.dumps(sources).encode()
    return b"%d\n%s" % (len(text), text)

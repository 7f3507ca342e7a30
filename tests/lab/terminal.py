"""terminal.py SOCKET: this terminal, connected to a console; Ctrl-] ends it."""
import os
import select
import socket
import sys
import termios
import tty

ESCAPE = b"\x1d"

line = socket.socket(socket.AF_UNIX)
line.connect(sys.argv[1])
before = termios.tcgetattr(sys.stdin)
tty.setraw(sys.stdin)
try:
    line.sendall(b"\n")
    while True:
        ready = select.select([sys.stdin, line], [], [])[0]
        if line in ready:
            data = line.recv(65536)
            if not data:
                break
            os.write(1, data)
        if sys.stdin in ready:
            data = os.read(0, 4096)
            if not data or ESCAPE in data:
                break
            line.sendall(data)
finally:
    termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)

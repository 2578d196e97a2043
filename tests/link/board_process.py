"""The scripted board as a process behind a pseudo-terminal or a TCP port; prints its name.

``python board_process.py pty|tcp [MODE]``. Modes: ``board``; ``dies`` ends in the middle of a run;
``mute`` says nothing; ``sketch`` prints text; ``echo`` sends back what it gets.
"""

from __future__ import annotations

import os
import select
import socket
import sys
import tty

from scripted_board import Board, VectorEngine


def main() -> None:
    kind, mode = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "board"
    if kind == "pty":
        master, slave = os.openpty()
        tty.setraw(slave)
        print(os.ttyname(slave), flush=True)
        fd = master
    else:
        server = socket.create_server(("127.0.0.1", 0))
        print(f"socket://127.0.0.1:{server.getsockname()[1]}", flush=True)
        client, _ = server.accept()
        fd = client.fileno()
    engine = VectorEngine()
    board = Board(engine, largest_frame=512, window=2048, reply_store=1500, model=b"a model")
    out = b""
    while True:
        dying = mode == "dies" and len(engine.invoked) > 100
        if dying and not out:  # or the text would lie in the middle of a frame
            os.write(fd, b"Guru Meditation Error: Core 0 panic'ed")  # no zero behind it
            # What was never read makes TCP drop what was sent and not read either.
            while select.select([fd], [], [], 0.2)[0] and os.read(fd, 4096):
                pass
            os._exit(0)
        readable, writable, _ = select.select([fd], [fd] if out else [], [], 0.2)
        if readable and not dying:
            data = os.read(fd, 4096)
            if not data:
                return
            if mode == "echo":
                out += data
            elif mode in ("board", "dies"):
                board.receive(data)
                board.poll()
                out += board.transmit()
        if mode == "sketch":
            out += b"temperature 21.5 C\r\n"
        if writable and out:
            out = out[os.write(fd, out[:512]) :]


main()

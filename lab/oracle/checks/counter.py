"""Accepts connections on port 80 of every address, and prints `SECONDS CLIENT ADDRESS` for
each, by the monotonic clock."""

import socket
import time

listener = socket.create_server(("", 80), backlog=4096)
print("everything listens", flush=True)
while True:
    peer, (client, _) = listener.accept()
    print("%.3f %s %s" % (time.monotonic(), client, peer.getsockname()[0]), flush=True)
    peer.close()

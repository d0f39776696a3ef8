"""Real servers that behave in ways that checks are to notice; a port for each.

    servers.py CERTIFICATE KEY

Prints `SECONDS CLIENT PORT` for each connection, by the monotonic clock.
"""

import socket
import ssl
import sys
import threading
import time

lock = threading.Lock()
counts = {}


def arrived(client, port):
    with lock:
        print("%.3f %s %d" % (time.monotonic(), client, port), flush=True)
        counts[client, port] = counts.get((client, port), 0) + 1
        return counts[client, port]


def request(peer):
    got = b""
    while b"\r\n\r\n" not in got:
        part = peer.recv(4096)
        if not part:
            raise OSError
        got += part


def page(peer, status="200 OK", body=b"hello"):
    request(peer)
    head = "HTTP/1.0 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    peer.sendall(head.encode() + body)


def hung(peer, _):
    time.sleep(600)


def well(peer, _):
    page(peer)


def unavailable(peer, _):
    page(peer, "503 Service Unavailable")


def flapping(peer, count):
    page(peer, "200 OK" if count <= 2 or count >= 7 else "500 Internal Server Error")


def slow(peer, _):
    time.sleep(1)
    page(peer)


def mail(peer, _):
    peer.sendall(b"220 ready\r\n")
    peer.recv(4096)
    peer.sendall(b"250 hello\r\n")
    peer.recv(4096)
    peer.sendall(b"221 bye\r\n")


def busy_mail(peer, _):
    peer.sendall(b"421 later\r\n")
    peer.recv(4096)


def nothing(peer, _):
    pass


def serve(port, behave, context=None):
    listener = socket.create_server(("", port))

    def meet(peer, count):
        try:
            if context:
                peer = context.wrap_socket(peer, server_side=True)
            behave(peer, count)
            peer.shutdown(socket.SHUT_WR)
            peer.recv(1)
        except (OSError, ssl.SSLError):
            pass
        peer.close()

    def accept():
        while True:
            peer, (client, _) = listener.accept()
            count = arrived(client, port)
            threading.Thread(target=meet, args=(peer, count), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
serve(9001, nothing)
serve(9004, hung)
serve(9005, unavailable)
serve(9006, well)
serve(9007, well, context)
serve(9008, flapping)
serve(9009, slow)
serve(9010, well)
serve(9011, mail)
serve(9012, busy_mail)
serve(9014, nothing)
print("everything listens", flush=True)
threading.Event().wait()

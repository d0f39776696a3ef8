"""Servers that mean no good, for checks to be tried on: those that the arguments name, each on
a port of its own from 1001 on.

Prints a line when everything listens.
"""

import socket
import struct
import sys
import threading
import time


def read_request(peer):
    request = b""
    while b"\r\n\r\n" not in request:
        part = peer.recv(4096)
        if not part:
            return
        request += part


def reset(peer):
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def byte_by_byte(peer):
    read_request(peer)
    for octet in b"HTTP/1.0 200 OK\r\nX: " + b"y" * 100000:
        peer.sendall(bytes([octet]))
        time.sleep(0.1)


def endless_headers(peer):
    read_request(peer)
    peer.sendall(b"HTTP/1.0 200 OK\r\n")
    while True:
        peer.sendall(b"X-More: and more\r\n" * 100)


def giant_body(peer):
    read_request(peer)
    peer.sendall(b"HTTP/1.0 200 OK\r\n\r\n")
    while True:
        peer.sendall(b"x" * 65536)


def garbage(peer):
    peer.recv(4096)
    peer.sendall(bytes(range(256)) * 16)


def half_handshake(peer):
    peer.recv(4096)
    # The head of a TLS record of 16 KiB, and nothing more.
    peer.sendall(b"\x16\x03\x03\x40\x00")
    time.sleep(3600)


def reset_at_once(peer):
    reset(peer)


def reset_after_request(peer):
    read_request(peer)
    reset(peer)


def reset_in_headers(peer):
    read_request(peer)
    peer.sendall(b"HTTP/1.0 200 OK\r\nX: ")
    time.sleep(0.1)
    reset(peer)


def reset_in_body(peer):
    read_request(peer)
    peer.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\nhell")
    time.sleep(0.1)
    reset(peer)


def end_in_body(peer):
    read_request(peer)
    peer.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 10\r\n\r\nhello")
    peer.close()


def endless_greeting(peer):
    while True:
        peer.sendall(b"220-and so on " * 100)


def endless_lines(peer):
    while True:
        peer.sendall(b"220-and so on\r\n" * 100)


def silence(peer):
    time.sleep(3600)


def body_byte_by_byte(peer):
    read_request(peer)
    peer.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        peer.sendall(b"x")
        time.sleep(0.1)


def reset_in_handshake(peer):
    peer.recv(4096)
    peer.sendall(b"\x16\x03\x03\x40\x00\x02")
    time.sleep(0.1)
    reset(peer)


def greeting_byte_by_byte(peer):
    for octet in b"220 " + b"y" * 1000:
        peer.sendall(bytes([octet]))
        time.sleep(0.1)


def reset_in_greeting(peer):
    peer.sendall(b"22")
    time.sleep(0.1)
    reset(peer)


def reset_after_helo(peer):
    peer.sendall(b"220 welcome\r\n")
    peer.recv(4096)
    reset(peer)


def silence_after_quit(peer):
    peer.sendall(b"220 welcome\r\n")
    peer.recv(4096)
    peer.sendall(b"250 pleased\r\n")
    peer.recv(4096)
    time.sleep(3600)


def serve(port, behave):
    listener = socket.create_server(("", port))

    def meet(peer):
        try:
            behave(peer)
        except OSError:
            pass

    def accept():
        while True:
            peer, _ = listener.accept()
            threading.Thread(target=meet, args=(peer,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def answer(port, answers):
    here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    here.bind(("", port))

    def serve():
        while True:
            query, peer = here.recvfrom(4096)
            for octets in answers(query):
                here.sendto(octets, peer)

    threading.Thread(target=serve, daemon=True).start()


def lying_names(query):
    right = query[:2] + b"\x81\x80" + query[4:]
    other_id = bytes([query[0] ^ 1]) + right[1:]
    other_question = right[:12] + b"\x05wrong\x00" + right[-4:]
    return (b"", other_id, query, right[:11], other_question, right[:3])


def failing_names(query):
    return (query[:2] + b"\x81\x82" + query[4:],)


def wrong_datagrams(query):
    return (b"\xff" * 60000,)


DATAGRAMS = (lying_names, failing_names, wrong_datagrams)
for port, name in enumerate(sys.argv[1:], 1001):
    behave = globals()[name]
    if behave in DATAGRAMS:
        answer(port, behave)
    else:
        serve(port, behave)
print("everything listens", flush=True)
threading.Event().wait()

"""What the checks are tried on: one real server with a service of each kind.

    real_servers.py CERTIFICATE KEY

Speaks HTTP on 80 and 8080 (the page /slow never ends), HTTPS on 443, SMTP on 25, DNS on
UDP 53, and sends datagrams to UDP 7 back. Prints a line when everything listens.
"""

import http.server
import socket
import socketserver
import ssl
import sys
import threading
import time


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/slow":
            self.wfile.write(b"HTTP/1.0 200 OK\r\n\r\n")
            while True:
                self.wfile.write(b".")
                time.sleep(0.05)
        self.send_response(200 if self.path == "/" else 503)
        self.end_headers()
        self.wfile.write(b"hello")

    def log_message(self, *_):
        pass


class Mail(socketserver.StreamRequestHandler):
    def handle(self):
        self.wfile.write(b"220-mail\r\n220 ready\r\n")
        for line in self.rfile:
            word = line.split()[0].upper() if line.split() else b""
            if word == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            self.wfile.write(b"250 mail\r\n" if word == b"HELO" else b"500 what\r\n")


class Names(socketserver.BaseRequestHandler):
    def handle(self):
        query, here = self.request
        here.sendto(query[:2] + b"\x81\x80" + query[4:], self.client_address)


class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        octets, here = self.request
        here.sendto(octets, self.client_address)


class Streams(socketserver.ThreadingTCPServer):
    daemon_threads = True
    allow_reuse_address = True

    def handle_error(self, request, client_address):
        pass


certificate, key = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
secure = Streams(("", 443), Pages)
secure.socket = context.wrap_socket(secure.socket, server_side=True)
servers = [
    secure,
    Streams(("", 80), Pages),
    Streams(("", 25), Mail),
    socketserver.UDPServer(("", 53), Names),
    socketserver.UDPServer(("", 7), Echo),
]
for server in servers:
    threading.Thread(target=server.serve_forever, daemon=True).start()
print("everything listens", flush=True)
threading.Event().wait()

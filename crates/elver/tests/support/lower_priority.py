"""Sends one VRRP advertisement of version 2: virtual router 3 with 10.9.1.3, priority 50."""

import socket
import struct

address = socket.inet_aton("10.9.1.3")
authentication = bytes(8)


def message(checksum):
    # RFC 3768 section 5.1: version and type, VRID, priority, count, authentication type,
    # advertisement interval, checksum.
    head = struct.pack("!6BH", 0x21, 3, 50, 1, 0, 1, checksum)
    return head + address + authentication


words = sum(struct.unpack("!10H", message(0)))
while words >> 16:
    words = (words & 0xFFFF) + (words >> 16)

sender = socket.socket(socket.AF_INET, socket.SOCK_RAW, 112)
sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 255)
sender.setsockopt(
    socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("10.9.0.2")
)
sender.sendto(message(words ^ 0xFFFF), ("224.0.0.18", 0))

"""Bytes that are changed by chance, and the page with many visitors at once."""

from __future__ import annotations

import http.client
import socket
import threading
import time
from collections import Counter
from urllib.parse import urlsplit

import numpy as np


def mutated(content: bytes, random: np.random.Generator) -> bytes:
    """The bytes with some changed, cut, doubled, or a number in the description replaced by
    another.
    """
    made, kind = bytearray(content), int(random.integers(5))
    if kind == 0:
        for at in random.integers(0, len(made), random.integers(1, 8)):
            made[at] = int(random.integers(256))
    elif kind == 1:
        del made[int(random.integers(len(made))) :]
    elif kind == 2:
        start, stop = sorted(int(i) for i in random.integers(0, len(made), 2))
        made[start:stop] = made[start:stop][::-1] if random.random() < 0.5 else b""
    elif kind == 3:
        digits = [i for i, c in enumerate(made[:4000]) if chr(c).isdigit()]
        for at in random.choice(digits, min(3, len(digits))):
            made[at] = ord("0") + int(random.integers(10))
    else:
        made[:8] = int(random.integers(0, 2**62)).to_bytes(8, "little")
    return bytes(made)


def visit(url: str, clients: int, seconds: float) -> Counter[str]:
    """So many visitors at once for so long: of each three, one asks properly, one sends a byte a
    second, one vanishes.
    """
    parts = urlsplit(url)
    host, port = str(parts.hostname), int(parts.port or 80)
    for _ in range(100):  # the address is known a moment before somebody listens
        try:
            connection = http.client.HTTPConnection(host, port, timeout=30)
            connection.request("GET", f"/?{parts.query}")
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    cookie = str(connection.getresponse().getheader("set-cookie")).split(";")[0]
    connection.close()
    found, lock, until = Counter[str](), threading.Lock(), time.monotonic() + seconds

    def count(what: str) -> None:
        with lock:
            found[what] += 1

    def proper() -> None:
        while time.monotonic() < until:
            try:
                asked = http.client.HTTPConnection(host, port, timeout=60)
                asked.request("GET", "/one-example?target=3&output=2.2", headers={"Cookie": cookie})
                reply = asked.getresponse()
                body = reply.read()
                count(
                    "right" if reply.status == 200 and b"0.32" in body else f"status {reply.status}"
                )
                asked.close()
            except OSError as problem:
                count(f"a proper visitor got {type(problem).__name__}")

    def slow() -> None:
        with socket.create_connection((host, port)) as line:
            line.settimeout(0.2)
            began = time.monotonic()
            for byte in (f"GET / HTTP/1.1\r\nHost: {host}:{port}\r\nX: " + "x" * 10_000).encode():
                try:
                    line.send(bytes([byte]))
                    if line.recv(1000) == b"":
                        raise ConnectionResetError
                except TimeoutError:
                    pass
                except OSError:
                    count("cut off")
                    return
                if time.monotonic() - began > seconds:
                    count("still there")
                    return
                time.sleep(0.8)

    def vanishing() -> None:
        while time.monotonic() < until:
            with socket.create_connection((host, port)) as line:
                line.send(
                    f"GET /one-example HTTP/1.1\r\nHost: {host}:{port}\r\nCookie: "
                    f"{cookie}\r\n\r\n".encode()
                )
            count("vanished")
            time.sleep(2.0)

    threads = [threading.Thread(target=(proper, slow, vanishing)[i % 3]) for i in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found

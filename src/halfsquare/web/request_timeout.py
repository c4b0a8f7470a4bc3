"""How long the server waits for a visitor to say what is wanted; Uvicorn has no setting for it."""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

SECONDS = 20.0  # for the head of a request; a browser on this machine sends it at once
CONNECTIONS = 200  # at once; further ones are asked to come back (503)


class RequestTimeout(H11Protocol):
    """Uvicorn's protocol, which cuts off whoever has not sent the head of a request in SECONDS.

    Without it, a connection on which a byte arrives now and then stays for ever.
    """

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait with the connection."""
        super().connection_made(transport)
        self._waiting = self.loop.call_later(SECONDS, self._cut_off)

    def data_received(self, data: bytes) -> None:
        """Wait no longer once the head is whole, and anew for the head of the next request."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_waiting()
        elif self._waiting is None:
            self._waiting = self.loop.call_later(SECONDS, self._cut_off)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is waited for any more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _cut_off(self) -> None:
        self._waiting = None
        if self.conn.their_state is h11.IDLE and not self.transport.is_closing():
            self.transport.close()

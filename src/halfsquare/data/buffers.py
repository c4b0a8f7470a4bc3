"""Memory for arrays that are made again and again, such as chunks: taken once, then used anew.

Memory that is given back to the system and asked for again comes page by page, each page cleared
first: of a pass over millions of rows that was more than half of the time.
"""

from __future__ import annotations

import weakref
from collections import deque
from typing import final

import numpy as np

from halfsquare.loss import Floats

_MOST_WAITING = 6
_SMALL, _STEP = 1 << 16, 1 << 19  # numbers; 4 MB, which the system may give in large pages


@final
class Buffers:
    """Arrays whose memory is used for another one as soon as nobody holds them, or a view of them.

    Any thread may ask. Memory that is too small for what is wanted is let go, so that after some
    requests all that waits fits the largest; and so is what comes back when enough waits.

    Examples
    --------
    >>> buffers = Buffers()
    >>> first = buffers.empty(2, 3)
    >>> first.shape, first.flags.c_contiguous
    ((2, 3), True)
    >>> at, view = first.ctypes.data, first[1:]
    >>> del first
    >>> buffers.empty(2, 3).ctypes.data == at  # somebody still has a view
    False
    >>> del view
    >>> at in (buffers.empty(6).ctypes.data, buffers.empty(6).ctypes.data)
    True
    """

    def __init__(self) -> None:
        # The oldest falls out at the other end.
        self._waiting: deque[Floats] = deque(maxlen=_MOST_WAITING)

    def empty(self, *shape: int) -> Floats:
        """An array (shape), float64, C-contiguous, with anything in it."""
        size = int(np.prod(shape, dtype=np.int64))
        memory = self._large_enough(size)
        # Of a memoryview, not of the array: all views of it then have this one as their base, and
        # it lives as long as the last of them.
        lease: Floats = np.frombuffer(memoryview(memory), dtype=np.float64, count=size)  # type: ignore[arg-type]
        weakref.finalize(lease, self._waiting.append, memory).atexit = False
        return lease.reshape(shape)

    def _large_enough(self, size: int) -> Floats:
        while self._waiting:
            try:
                memory = self._waiting.pop()
            except IndexError:  # another thread was quicker
                break
            if memory.size >= size:
                return memory
        # Rounded up, so that arrays of nearly one size share their memory.
        return np.empty(max(size, 1) if size < _SMALL else -(-size // _STEP) * _STEP)

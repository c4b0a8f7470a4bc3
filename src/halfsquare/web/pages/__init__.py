"""The rooms of the page, in the order of the navigation.

A new room is a module and one line here.
"""

from __future__ import annotations

from halfsquare.web.pages import many_examples, one_example, predict, train
from halfsquare.web.templates import Room

ROOMS: tuple[Room, ...] = (one_example.ROOM, many_examples.ROOM, train.ROOM, predict.ROOM)

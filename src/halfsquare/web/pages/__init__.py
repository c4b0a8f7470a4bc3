"""The pages, in the order of the navigation.

A new one is a module and one line here.
"""

from __future__ import annotations

from halfsquare.web.pages import many_examples, one_example, predict, train
from halfsquare.web.templates import Page

PAGES: tuple[Page, ...] = (one_example.PAGE, many_examples.PAGE, train.PAGE, predict.PAGE)

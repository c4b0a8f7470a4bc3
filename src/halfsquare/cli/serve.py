"""``halfsquare serve``: the page, on this machine alone."""

from __future__ import annotations

from typing import Annotated

import typer


def serve(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODEL]", help="A model file for the page Predict.", show_default=False
        ),
    ] = None,
    data: Annotated[
        str | None,
        typer.Option(
            "--data", metavar="FILE", help="A data file for the page Train.", show_default=False
        ),
    ] = None,
    port: Annotated[
        int,
        typer.Option("--port", min=0, max=65535, help="Where to listen; 0 takes any free port."),
    ] = 0,
    folder: Annotated[
        str | None,
        typer.Option(
            "--folder",
            metavar="FOLDER",
            help="Keep finished runs here, and find them again at the next start.",
            show_default=False,
        ),
    ] = None,
    open_browser: Annotated[bool, typer.Option("--open", help="Open it in the browser.")] = False,
) -> None:
    """Serve the page: see the squared error, train and watch, predict. Needs the extra
    halfsquare\\[page].

    It listens on 127.0.0.1 alone; the address that is printed holds a random token, without which
    nothing is shown.

    [dim]halfsquare serve houses.hsq --open[/dim]
    """
    from halfsquare.web.serve import serve as serve_page

    serve_page(model, port=port, open_browser=open_browser, data=data, folder=folder)

"""The page's server: Uvicorn on loopback, on a port of its own."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path
from urllib.request import HTTPCookieProcessor, ProxyHandler, build_opener

from halfsquare.errors import HalfsquareError, OptionError
from halfsquare.files.private import private_folder

_MISSING = "the page needs the extra 'page': pip install 'halfsquare[page]' ({} is not installed)"


class PageServer:
    """A server that is bound but not yet running, so that its address is known before it starts.

    Parameters
    ----------
    model, data : path, optional
        A model file and a data file that the pages may use.
    port : int
        0 takes any free port.
    folder : path, optional
        Where finished runs are kept.

    Raises
    ------
    OptionError
        If the port is taken or not allowed, a path does not exist, or the extra is not installed.
    ModelFileError
        If the model cannot be read.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] | None = None,
        data: str | os.PathLike[str] | None = None,
        *,
        port: int = 0,
        folder: str | os.PathLike[str] | None = None,
    ) -> None:
        try:
            import uvicorn

            from halfsquare.web.access import Keys
            from halfsquare.web.app import Workspace, create_app
            from halfsquare.web.request_timeout import CONNECTIONS, RequestTimeout
        except ModuleNotFoundError as problem:
            raise OptionError(_MISSING.format(problem.name)) from None
        self._workspace = Workspace(
            _existing("model", model), _existing("data", data), _folder(folder)
        )
        self._socket = _listen(port)
        keys = Keys(self._socket.getsockname()[1])
        self.url = keys.url
        # No access log: it would write the token down.
        self.when_ready: Callable[[], None] | None = None

        ready = self._listening

        class Server(uvicorn.Server):
            """Tells when it listens."""

            async def startup(self, sockets: list[socket.socket] | None = None) -> None:
                await super().startup(sockets)
                ready()

        config = uvicorn.Config(
            create_app(keys, self._workspace, lambda: self._server.should_exit),
            log_level="warning",
            access_log=False,
            server_header=False,
            lifespan="off",
            http=RequestTimeout,
            limit_concurrency=CONNECTIONS,
            timeout_graceful_shutdown=2,
        )
        self._server = Server(config)

    def run(self) -> None:
        """Serve until interrupted, or until :meth:`stop` is called from another thread."""
        # Uvicorn shuts down in order at Ctrl+C and then raises it again; it has been dealt with.
        with self._socket, closing(self._workspace), _orderly(), suppress(KeyboardInterrupt):
            self._server.run(sockets=[self._socket])

    def _listening(self) -> None:
        threading.Thread(target=self._prepare, name="figures", daemon=True).start()

    def _prepare(self) -> None:
        """Answer the first page once before the address is told, so that no visitor waits for
        imports and the page's figure; the others' figures are made while they read.
        """
        with suppress(OSError):
            build_opener(ProxyHandler({}), HTTPCookieProcessor()).open(self.url, timeout=60).close()
        with suppress(HalfsquareError):  # whoever asks for it is told
            from halfsquare.figures.save import vega_bundle

            vega_bundle()
        try:
            if self.when_ready is not None:
                self.when_ready()
        except OSError:  # whoever would have read the address is gone
            self.stop()
            return
        _compile_figures()

    def stop(self) -> None:
        """End :meth:`run` soon."""
        self._server.should_exit = True


def serve(
    model: str | os.PathLike[str] | None = None,
    port: int = 0,
    open_browser: bool = False,
    data: str | os.PathLike[str] | None = None,
    folder: str | os.PathLike[str] | None = None,
) -> None:
    """Serve the page on 127.0.0.1 until interrupted; print its address when its first page is
    ready.

    Parameters
    ----------
    model : path, optional
        A model file for the page *Predict*.
    port : int
        0 takes any free port.
    open_browser : bool
        Whether to open the address in the browser.
    data : path, optional
        A data file for the page *Train*.
    folder : path, optional
        Where finished runs are kept, and found again at the next start.

    Raises
    ------
    OptionError
        As :class:`PageServer`.
    """
    server = PageServer(model, data, port=port, folder=folder)
    with ExitStack() as stack:

        def ready() -> None:
            print(f"halfsquare is at {server.url}\nCtrl+C stops it.", flush=True)
            if open_browser:
                webbrowser.open(stack.enter_context(_leading_to(server.url)).as_uri())

        server.when_ready = ready
        server.run()


@contextmanager
def _leading_to(url: str) -> Iterator[Path]:
    """A page that leads to the address, in a folder that nobody else may open: what is on the
    browser's command line, every user of the machine can read.
    """
    with private_folder() as folder:
        page = folder / "open.html"
        page.write_text(
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>halfsquare</title>'
            f'<meta http-equiv="refresh" content="0; url={url}"></html>',
            encoding="utf-8",
        )
        yield page


def _compile_figures() -> None:
    from halfsquare.figures.live import Compiled

    with suppress(HalfsquareError):  # whoever asks for the figure is told
        for compiled in Compiled.every:
            compiled()
            time.sleep(0.02)  # a visitor who waits for the engine goes first


@contextmanager
def _orderly() -> Iterator[None]:
    """Being asked to end (SIGTERM, or SIGHUP unless that is ignored) is as Ctrl+C: what was begun
    is closed, and no file is left behind.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    asked = (signal.SIGTERM, signal.SIGHUP)
    before = {n: signal.getsignal(n) for n in asked}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _existing(name: str, path: str | os.PathLike[str] | None) -> Path | None:
    if path is None:
        return None
    found = Path(path)
    if not found.is_file():
        raise OptionError(f"{name} is {str(path)!r}: there is no such file")
    return found


def _folder(path: str | os.PathLike[str] | None) -> Path | None:
    if path is None:
        return None
    found = Path(path)
    try:
        found.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise OptionError(f"folder is {str(path)!r}: {problem.strerror}") from None
    return found


def _listen(port: int) -> socket.socket:
    if not 0 <= port <= 65535:
        raise OptionError(f"port is {port}; expected 0 (any free one) to 65535")
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
    except OSError as problem:
        listening.close()
        raise OptionError(
            f"port {port} cannot be used: {problem.strerror}; leave it out to take a free one"
        ) from None
    return listening

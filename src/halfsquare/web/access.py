"""Who may speak to the page: this machine's browser, with the address that was printed.

The server listens on loopback alone, but other pages in the same browser can reach loopback too.
So every request is checked: its ``Host`` (against DNS rebinding), its ``Origin`` and
``Sec-Fetch-Site`` (against requests made by other pages), and a random token, which the printed
address carries once and a cookie afterwards (HttpOnly, SameSite=Strict).
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from html import escape
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Vega draws with its expression interpreter, so nothing is ever compiled from text: no unsafe-eval.
# Scripts and styles are files of this server: no unsafe-inline, in either.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with "no-referrer" a form would send "Origin: null"
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}
# The look of the page, so that a refusal has it too; nothing of anybody's is in it.
PUBLIC = frozenset(f"/static/{name}.css" for name in ("theme", "base", "figure", "page"))
SAFE_METHODS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class Keys:
    """The secrets of one run of the server.

    Attributes
    ----------
    port : int
        Where it listens; part of the cookie's name, since cookies do not tell ports apart.
    token : str
        In the printed address.
    session : str
        In the cookie; another secret, so that neither gives the other away.
    """

    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    session: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    @property
    def hosts(self) -> tuple[str, ...]:
        """The values of ``Host`` that mean this server."""
        names = ("127.0.0.1", "localhost")
        return tuple(f"{name}:{self.port}" for name in names) + (names if self.port == 80 else ())

    @property
    def cookie(self) -> str:
        """The cookie's name."""
        return f"halfsquare-{self.port}"

    @property
    def url(self) -> str:
        """The address to open."""
        return f"http://127.0.0.1:{self.port}/?token={self.token}"


_LEADING_ON = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>halfsquare</title>'
    '<meta http-equiv="refresh" content="0; url={0}"><a href="{0}">Go on</a></html>'
)
Refusal = Callable[[Scope, int, str, str], Response]


class AccessControl:
    """ASGI middleware that lets through what the module's text allows, and adds HEADERS to every
    answer.
    """

    def __init__(self, app: ASGIApp, keys: Keys, refuse: Refusal) -> None:
        self.app, self.keys, self.refuse = app, keys, refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check, then pass on or refuse."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return  # no WebSockets here
        answer = self._answer(scope)
        await (answer or self.app)(scope, receive, _with_headers(send))

    def _answer(self, scope: Scope) -> Response | None:
        """The answer to a request that is not let through; None lets it through."""
        headers, keys = Headers(scope=scope), self.keys
        host = headers.get("host", "")
        if host not in keys.hosts:
            return self.refuse(
                scope, 421, "This is not the address of this page", f"Open {_bare(keys)} instead."
            )
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "same-origin")
        foreign = origin is not None and origin != f"http://{host}"
        if foreign or (scope["method"] not in SAFE_METHODS and site not in {"same-origin", "none"}):
            return self.refuse(
                scope,
                403,
                "Another page tried to use this one",
                "Only this page itself may do that.",
            )
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = dict(query).get("token")
        if given is not None:
            if not _same(given, keys.token):
                return self._unknown(scope)
            rest = urlencode([(name, value) for name, value in query if name != "token"])
            path = "/" + scope["path"].lstrip("/")  # "//elsewhere" would be another host
            address = path + ("?" + rest if rest else "")
            # A cookie of SameSite=Strict does not follow a redirect that another site began, such
            # as the private file of --open; a page that leads on is this site's own.
            answer: Response = (
                HTMLResponse(_LEADING_ON.format(escape(address)))
                if site == "cross-site"
                else RedirectResponse(address, status_code=303)
            )
            answer.set_cookie(keys.cookie, keys.session, httponly=True, samesite="strict", path="/")
            return answer
        if scope["path"] in PUBLIC or _same(_cookie(headers, keys.cookie), keys.session):
            return None
        return self._unknown(scope)

    def _unknown(self, scope: Scope) -> Response:
        what = (
            "Open the whole address that the terminal shows, with everything after "
            "?token=. It changes at every start."
        )
        return self.refuse(scope, 403, "This page does not know you yet", what)


def _bare(keys: Keys) -> str:
    return f"http://{keys.hosts[0]}/ with the token that the terminal shows"


def _same(given: str, secret: str) -> bool:
    return secrets.compare_digest(given.encode(), secret.encode())


def _cookie(headers: Headers, name: str) -> str:
    try:
        found = SimpleCookie(headers.get("cookie", "")).get(name)
    except CookieError:
        return ""
    return found.value if found else ""


def _with_headers(send: Send) -> Callable[[Message], Awaitable[None]]:
    async def add(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in HEADERS.items():
                headers[name] = value
        await send(message)

    return add

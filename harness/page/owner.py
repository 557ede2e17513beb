"""Only the owner's own browser gets in: by Host, Origin, and a key that the address holds, then a cookie.

Other sites that the same browser shows can send requests to a loopback port, and name it by a host of theirs (DNS
rebinding); other users of this machine can connect to it.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Callable
from urllib.parse import urlsplit

from starlette.datastructures import Headers, QueryParams
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HOSTS = ("127.0.0.1", "localhost")
KEY = "key"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Before the application: refuses whatever is not the owner's, and gives each answer its policy."""

    def __init__(self, app: ASGIApp, key: str, port: int, closed: Callable[[], str]) -> None:
        """`key` opens the page at /?key=…; `closed` is the page that others see."""
        self._app, self._key, self._closed = app, key, closed
        self._cookie, self._value = f"workbook-{port}", secrets.token_urlsafe(32)
        """Cookies are not separate by port: two pages at once need two names (RFC 6265, section 8.5)."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                kept = [(name, value) for name, value in message["headers"] if name.decode() not in HEADERS]
                message["headers"] = kept + [(name.encode(), value.encode()) for name, value in HEADERS.items()]
            await send(message)

        answer = self._refusal(scope)
        await (answer or self._app)(scope, receive, sent)

    def _refusal(self, scope: Scope) -> Response | None:
        """What is answered instead of the application; None where it may answer."""
        headers, request = Headers(scope=scope), Request(scope)
        host = urlsplit(f"//{headers.get('host', '')}")
        if host.hostname not in HOSTS:
            return PlainTextResponse("this host is not served", 421)
        origin = headers.get("origin")
        writes = scope["method"] not in ("GET", "HEAD")
        if (origin is not None and origin != f"http://{host.netloc}") or (writes and origin is None):
            return PlainTextResponse("another site may not ask this", 403)
        if (given := QueryParams(scope["query_string"]).get(KEY)) is not None and scope["path"] == "/" and not writes:
            if not _same(given, self._key):
                return HTMLResponse(self._closed(), 403)
            answer = RedirectResponse("/", 303)
            answer.set_cookie(self._cookie, self._value, httponly=True, samesite="strict", path="/")
            return answer
        if not _same(request.cookies.get(self._cookie, ""), self._value):
            return HTMLResponse(self._closed(), 403)
        return None


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(errors="replace"), wanted.encode())

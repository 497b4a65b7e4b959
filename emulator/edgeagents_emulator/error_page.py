"""What a client sees when the worker failed: that it did, and where to look. What failed is in the log."""

from __future__ import annotations

import html
from string import Template

from edgeagents.http import Request, Response
from edgeagents.redaction import redact

__all__ = ["error_page"]

_PAGE = Template(
    """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
  :root { color-scheme: light dark; }
  body { font: 16px/1.5 system-ui, sans-serif; margin: 15vh auto 0; max-width: 44rem; padding: 0 1.5rem; }
  h1 { font-size: 1.4rem; margin: 0 0 1rem; }
  pre { background: color-mix(in srgb, currentColor 8%, transparent); border-radius: 6px; overflow-x: auto;
        padding: 1rem; white-space: pre-wrap; }
  p { opacity: .8; }
</style>
</head>
<body>
<h1>$title</h1>
$text
<p>$hint</p>
</body>
</html>
"""
)


def error_page(request: Request, *, title: str = "Internal Server Error", text: str = "", hint: str = "") -> Response:
    """Return status 500: a page for a browser, a line of text for everybody else."""
    title, text = redact(title), redact(text)
    hint = hint or "The worker failed. The terminal that runs the emulator shows where."
    if "text/html" in request.headers.get("accept", ""):
        body = _PAGE.substitute(
            title=html.escape(title), text=f"<pre>{html.escape(text)}</pre>" if text else "", hint=html.escape(hint)
        )
        return Response(body, status=500, headers={"content-type": "text/html;charset=utf-8"})
    return Response("\n".join(part for part in (title, text) if part), status=500)

"""The published log over HTTP: files that never change, and the two things that do."""

from datetime import timedelta

from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.views.decorators.http import require_safe

from exchange.audit import keys, tiles
from exchange.audit.sequencer import log_folder

_FOR_EVER = f"public, max-age={int(timedelta(days=365).total_seconds())}, immutable"
_TEXT = "text/plain; charset=utf-8"


@require_safe
def checkpoint(request: HttpRequest) -> HttpResponse:
    """The newest published checkpoint; 404 before the first."""
    try:
        note = (log_folder() / "checkpoint").read_bytes()
    except FileNotFoundError:
        raise Http404 from None
    return HttpResponse(note, content_type=_TEXT, headers={"Cache-Control": "public, max-age=1"})


@require_safe
def tile(request: HttpRequest, path: str) -> HttpResponseBase:
    """A tile of hashes or entries. Only a path that names a tile is looked up on disk."""
    path = f"tile/{path}"
    if tiles.parse(path) is None:
        raise Http404
    try:
        file = (log_folder() / path).open("rb")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise Http404 from None
    return FileResponse(file, content_type="application/octet-stream", headers={"Cache-Control": _FOR_EVER})


@require_safe
def vkey(request: HttpRequest) -> HttpResponse:
    """The log's verifier key. Whoever checks us should have it from somewhere else, too."""
    return HttpResponse(keys.log_vkey() + "\n", content_type=_TEXT, headers={"Cache-Control": "max-age=300"})


@require_safe
def jwks(request: HttpRequest) -> JsonResponse:
    return JsonResponse(keys.jwks(), headers={"Cache-Control": "public, max-age=300"})

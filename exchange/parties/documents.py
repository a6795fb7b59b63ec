"""Documents: stored once under their SHA-256, limited in size and type, served by right only."""

import hashlib
import os
from pathlib import Path

from django.conf import settings
from django.core.files.uploadedfile import UploadedFile

from exchange.errors import Problem
from exchange.parties.models import Document, Party, User

MAGIC = {
    "application/pdf": b"%PDF-",
    "image/png": b"\x89PNG\r\n\x1a\n",
    "image/jpeg": b"\xff\xd8\xff",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": b"PK\x03\x04",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": b"PK\x03\x04",
}


def store(party: Party, upload: UploadedFile, by: User | None = None) -> Document:
    """Keep an upload for `party`. Raises Problem as `check` does."""
    media_type = check(upload)
    sha256, size = _write(upload)
    return Document.objects.create(
        party=party,
        name=Path(str(upload.name)).name[:200],
        media_type=media_type,
        size=size,
        sha256=sha256,
        added_by=by,
    )


def check(upload: UploadedFile) -> str:
    """The type of an upload that may be kept. Raises Problem body_too_large or media_type_unsupported.

    The type is judged by the file's first bytes, not by what the browser says.
    """
    limit = settings.SLUICE.document_bytes
    if (upload.size or 0) > limit:
        raise Problem("body_too_large", f"a document has at most {limit // 1_000_000} MB")
    first = upload.read(16)
    media_type = str(upload.content_type)
    if not first.startswith(MAGIC.get(media_type, b"\0")):
        raise Problem("media_type_unsupported", hint="PDF, PNG, JPEG, DOCX or XLSX")
    upload.seek(0)
    return media_type


def path_of(sha256: str) -> Path:
    """Where a document's bytes lie."""
    return Path(settings.MEDIA_ROOT) / sha256[:2] / sha256


def access_document(party: Party, document_id: object) -> Document:
    """The party's own document. Raises Problem not_found, also for another party's."""
    found = Document.objects.filter(pk=document_id, party=party).first()
    if found is None:
        raise Problem("not_found")
    return found


def _write(upload: UploadedFile) -> tuple[str, int]:
    folder = Path(settings.MEDIA_ROOT)
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".draft-{os.getpid()}-{id(upload)}"
    digest, size = hashlib.sha256(), 0
    with draft.open("wb") as file:
        for chunk in upload.chunks():
            digest.update(chunk)
            size += len(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())
    target = path_of(digest.hexdigest())
    target.parent.mkdir(exist_ok=True)
    draft.replace(target)
    return digest.hexdigest(), size

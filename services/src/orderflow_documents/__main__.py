"""The documents service's process: `python -m orderflow_documents`.

Environment: DOCUMENTS_STORE, where objects are: s3://bucket/path, with AWS_… beside it, or a folder;
DOCUMENTS_LANGUAGE, the text search configuration of Postgres (default simple: words as they are written);
DOCUMENTS_KEEP_DAYS, after how many days a document is removed (default 0: never);
DOCUMENTS_TOKEN, what who asks has to send as `Authorization: Bearer …` (default: nothing);
DOCUMENTS_SEARCH, an index of an OpenSearch, as https://host:9200/index, with DOCUMENTS_SEARCH_USER and _PASSWORD, and
in DOCUMENTS_SEARCH_CA the certificate that signs its own (default: Postgres searches).
"""

import uuid
from datetime import timedelta
from functools import partial

from orderflow_documents.api import build_app
from orderflow_documents.bucket import Bucket, open_bucket
from orderflow_documents.commands import Announce, Keep, Remove
from orderflow_documents.events import DocumentRemoved, DocumentStored
from orderflow_documents.handlers import ERASE, INDEX, LEAVE, Handlers
from orderflow_documents.languages import LANGUAGES
from orderflow_documents.search import ObjectEraser, SearchIndex, open_search
from orderflow_runtime import Call, MisconfiguredError, Service, Settings, main, whole_number

_MOST_DAYS = 36_500


def build(settings: Settings) -> Service:
    """Return the service with the store and the language that the environment names."""
    language = settings.env.get("DOCUMENTS_LANGUAGE") or "simple"
    if language not in LANGUAGES:
        raise MisconfiguredError(f"DOCUMENTS_LANGUAGE={language} is none of {', '.join(sorted(LANGUAGES))}")
    days = whole_number(settings.env, "DOCUMENTS_KEEP_DAYS", 0, _MOST_DAYS)
    token = settings.env.get("DOCUMENTS_TOKEN") or None
    bucket, kept_for = open_bucket(settings), timedelta(days=days) if days else None
    return documents_service(bucket, language, kept_for, token, open_search(settings, bucket, language))


def documents_service(
    bucket: Bucket,
    language: str,
    retention: timedelta | None,
    token: str | None = None,
    search: SearchIndex | None = None,
) -> Service:
    """Return the service that keeps documents in this bucket, and has them found by this index where there is one."""
    handlers = Handlers(language, retention, search is not None)
    indexing = {INDEX: Call(search, handlers.indexed)} if search else {}
    eraser = ObjectEraser(bucket, search) if search else bucket
    return Service(
        name="documents",
        publishes=frozenset((DocumentStored, DocumentRemoved)),
        timers={LEAVE: handlers.expire},
        calls={ERASE: Call(eraser, handlers.forget), **indexing},
        commands={Announce: handlers.announce, Keep: handlers.keep, Remove: handlers.remove},
        app=partial(
            build_app, bucket=bucket, language=language, token=token, draw=lambda: uuid.uuid4().hex, search=search
        ),
    )


if __name__ == "__main__":
    main(build)

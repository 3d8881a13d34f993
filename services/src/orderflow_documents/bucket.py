"""Where the bytes of documents are: a bucket of S3, or a folder on a laptop, by obstore."""

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from obstore.exceptions import BaseError
from obstore.store import LocalStore, S3Store

from orderflow_runtime import MisconfiguredError, OutcomeUnknownError, Settings, required

if TYPE_CHECKING:  # obstore has it for type checkers alone
    from obstore.store import RetryConfig

PLACE = "DOCUMENTS_STORE"
_S3 = "s3://"
_AWS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_ENDPOINT_URL",
)
_RETRIES: "RetryConfig" = {"max_retries": 2, "retry_timeout": timedelta(seconds=10)}


class BucketError(Exception):
    """The store does not do what it was asked; `str()` says why, in its own words."""


class MissingObjectError(BucketError):
    """There is no object of that name."""


class Bucket:
    """Objects by name; as the port of the runtime's call it removes them."""

    def __init__(self, store: LocalStore | S3Store) -> None:
        self._store = store

    async def put(self, name: str, body: bytes) -> None:
        """Write an object; raise `BucketError`."""
        try:
            await self._store.put_async(name, body)
        except (BaseError, OSError) as error:
            raise BucketError(_words(error)) from None

    async def get(self, name: str) -> bytes:
        """Return an object; raise `BucketError`."""
        try:
            found = await self._store.get_async(name)
            return bytes(await found.bytes_async())
        except FileNotFoundError:
            raise MissingObjectError(name) from None
        except (BaseError, OSError) as error:
            raise BucketError(_words(error)) from None

    async def perform(self, request: Mapping[str, Any], idempotency_key: str) -> dict[str, Any]:
        """Remove the request's object; one that is not there is removed. Raise `OutcomeUnknownError`."""
        try:
            await self._store.delete_async(request["object"])
        except FileNotFoundError:
            pass
        except (BaseError, OSError) as error:
            raise OutcomeUnknownError(_words(error)) from None
        return {}

    async def lookup(self, idempotency_key: str) -> dict[str, Any] | None:
        """Return None: to remove once more does no harm."""
        return None


def open_bucket(settings: Settings) -> Bucket:
    """Return the bucket that the environment names; raise `MisconfiguredError`."""
    place = required(settings.env, PLACE)
    try:
        return Bucket(_open(place, settings.env))
    except (BaseError, OSError, ValueError) as error:
        raise MisconfiguredError(f"{PLACE}={place}: {_words(error)}") from None


def _open(place: str, env: Mapping[str, str]) -> LocalStore | S3Store:
    if not place.startswith(_S3):
        if "://" in place:
            raise ValueError("is neither s3://bucket/path nor a folder")
        return LocalStore(place, mkdir=True)
    config: Any = {name.lower(): env[name] for name in _AWS if env.get(name)}
    plain = env.get("AWS_ENDPOINT_URL", "").startswith("http://")
    return S3Store.from_url(place, config=config, client_options={"allow_http": plain}, retry_config=_RETRIES)


def _words(error: BaseException) -> str:
    """Return the first line of what the store says: the rest is its own debugging."""
    return str(error).strip().partition("\n")[0][:300]

"""Objects of documents on an S3: written, read and removed as in a folder, and failures told as such."""

from collections.abc import Iterator

import pytest

from orderflow_documents.bucket import BucketError, MissingObjectError, open_bucket
from orderflow_runtime import OutcomeUnknownError, Settings
from support.analytics.s3 import KEYS, s3_with
from support.runtime.sample_service import sample_config


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """An S3 with a bucket; what it is reached by stands in the service's own environment alone."""
    with s3_with("shop") as endpoint:
        yield endpoint


async def test_objects_are_kept_on_s3_and_go_once_and_for_all(endpoint: str) -> None:
    """Read back byte for byte; removed twice without complaint; afterwards missing."""
    told = KEYS | {"DOCUMENTS_STORE": "s3://shop/orders", "AWS_ENDPOINT_URL": endpoint}
    bucket = open_bucket(Settings(sample_config(), told))
    await bucket.put("d1.x", b"\0bytes" * 100_000)
    assert await bucket.get("d1.x") == b"\0bytes" * 100_000
    for _ in range(2):
        assert await bucket.perform({"object": "d1.x"}, "k") == {}
    with pytest.raises(MissingObjectError):
        await bucket.get("d1.x")


async def test_a_bucket_that_is_not_there_is_told_in_one_line(endpoint: str) -> None:
    """As a failure that may pass: nothing is taken for done."""
    told = KEYS | {"DOCUMENTS_STORE": "s3://nowhere", "AWS_ENDPOINT_URL": endpoint}
    bucket = open_bucket(Settings(sample_config(), told))
    with pytest.raises(BucketError) as refused:
        await bucket.put("d1.x", b"bytes")
    assert "\n" not in str(refused.value)
    assert "secret" not in str(refused.value)
    gone = open_bucket(Settings(sample_config(), told | {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}))
    with pytest.raises(OutcomeUnknownError):
        await gone.perform({"object": "d1.x"}, "k")

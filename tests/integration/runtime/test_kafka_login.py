"""Why a service does not reach its Kafka, in the words that its log and its readiness tell."""

import asyncio
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest

from orderflow_cli.servers.ports import HOST, free_port
from orderflow_runtime.core.event_log import LogUnavailable, Partition
from orderflow_runtime.kafka.handover import Handover
from orderflow_runtime.kafka.kafka_log import KafkaLog, KafkaSettings
from support.tools.certificates import certificates
from support.tools.secure_kafka import ROOT, ROOT_PASSWORD, SecureKafka


@pytest.fixture
def right(secure_kafka: SecureKafka, tmp_path: Path) -> KafkaSettings:
    """How to reach it."""
    secure_kafka.make_root()
    (authority := tmp_path / "ca.pem").write_text(secure_kafka.ca)
    return KafkaSettings(
        secure_kafka.secure_bootstrap, "g", (), "SASL_SSL", "SCRAM-SHA-512", ROOT, ROOT_PASSWORD, str(authority)
    )


async def no_partitions(_: Collection[Partition]) -> None:
    """Give nothing back."""


async def told(settings: KafkaSettings) -> str:
    """Give what a service says that starts so; empty when it comes in."""
    log = KafkaLog(settings, Handover())
    try:
        await log.start(no_partitions)
    except LogUnavailable as unavailable:
        return str(unavailable)
    finally:
        await log.stop()
    return ""


async def test_with_the_right_settings_it_comes_in(right: KafkaSettings) -> None:
    """What the others lack is all there is to it."""
    assert await told(right) == ""


async def test_each_way_not_to_come_in_has_its_own_words(
    secure_kafka: SecureKafka, right: KafkaSettings, tmp_path: Path
) -> None:
    """Several at a time in one process: nobody is told another's reason."""
    (other := tmp_path / "other.pem").write_text(certificates()[0])
    (nonsense := tmp_path / "nonsense.pem").write_text("-----")
    plain = replace(right, bootstrap=secure_kafka.bootstrap)
    ways = {
        "authentication failed": replace(right, password="other"),  # noqa: S106 - of a broker that lives for this test
        "authentication failed: there is no such user": replace(right, username="nobody"),
        "does not offer this SASL mechanism": replace(right, sasl_mechanism="SCRAM-SHA-256"),
        "asks for no login": replace(plain, security_protocol="SASL_PLAINTEXT"),
        "not signed by the authority": replace(right, ca_file=str(other)),
        "no certificate in PEM": replace(right, ca_file=str(nonsense)),
        "missing.pem cannot be read: No such file": replace(right, ca_file=str(tmp_path / "missing.pem")),
        "speaks no TLS": plain,
        "may ask for TLS or for a login": replace(right, security_protocol="PLAINTEXT"),
        "the port may ask for TLS or for a login": replace(right, security_protocol="SSL"),
        "nobody listens on that port": replace(right, bootstrap=f"{HOST}:{free_port()}"),
        "the host's name is not known": replace(right, bootstrap="nowhere.invalid:9092"),
    }
    said = await asyncio.gather(*map(told, ways.values()))
    for (words, settings), sentence in zip(ways.items(), said, strict=True):
        assert words in sentence
        assert settings.bootstrap in sentence


async def test_a_certificate_for_another_name_is_told_apart(secure_kafka: SecureKafka, right: KafkaSettings) -> None:
    """The authority is right and the address is not the one that the certificate was made for."""
    async with secure_kafka.by_another_name() as address:
        assert "for another host name" in await told(replace(right, bootstrap=address))

"""Secrets that hold what a service proves itself with: its database role's URL, its Kafka password.

The URL has a key for each place of the database: pods of an older version that start anew meanwhile go on at theirs.
Built here, but applied by `credentials.py`: a password is drawn once and kept.
"""

import base64
from collections.abc import Mapping
from types import MappingProxyType

from orderflow_model.flow import OrderFlow
from orderflow_model.names import database_secret_name, kafka_secret_name, object_name, role_name, token_secret_name
from orderflow_model.postgres_uri import PostgresUri
from orderflow_operator.kubernetes.kinds import SECRET
from orderflow_operator.kubernetes.labels import Object, flow_labels, new_object, service_labels
from orderflow_operator.resources.build_context import Database

_URL_KEY = "url"
PASSWORD_KEY = "password"  # noqa: S105 - the key's name, not a password


def database_name(flow: OrderFlow, service: str) -> str:
    """Return the name of the Secret with the service's database role."""
    return database_secret_name(object_name(flow.metadata.name, service))


def names_of(owner: str) -> tuple[str, ...]:
    """Return the names of the Secrets that we may have made for a service, by the name of its objects."""
    return database_secret_name(owner), kafka_secret_name(owner, strimzi=False), token_secret_name(owner)


def url_key(place: Database) -> str:
    """Return the key of the role's URL at a place; without a place, as operators before there were several wrote it."""
    return f"{_URL_KEY}-{place.fingerprint}" if place.fingerprint else _URL_KEY


def urls_of(values: Mapping[str, str]) -> dict[str, str]:
    """Return the role's URLs that stand in a Secret, by their keys."""
    return {key: value for key, value in values.items() if key.startswith(_URL_KEY)}


def build_database(
    flow: OrderFlow, service: str, admin: PostgresUri, password: str, others: Mapping[str, str] = MappingProxyType({})
) -> Object:
    """Return the Secret with the role's URL and, for the migration job, its password; `others` are URLs to keep."""
    labels = service_labels(flow, service, "database")
    built = new_object(SECRET, database_name(flow, service), flow, labels)
    built["data"] = _encoded(database_values(flow, service, admin, password, others))
    return built


def database_values(
    flow: OrderFlow, service: str, admin: PostgresUri, password: str, others: Mapping[str, str] = MappingProxyType({})
) -> dict[str, str]:
    """Return what stands in that Secret, as text."""
    url = admin.for_role(role_name(flow.metadata.name, service), password)
    return {**others, url_key(Database.of(admin)): url.render(), PASSWORD_KEY: password}


def build_password(flow: OrderFlow, name: str, password: str) -> Object:
    """Return a Secret with one password: a Kafka user's where no Strimzi makes it, or the console's token."""
    built = new_object(SECRET, name, flow, flow_labels(flow, "identity"))
    built["data"] = _encoded({PASSWORD_KEY: password})
    return built


def _encoded(plain: Mapping[str, str]) -> dict[str, str]:
    return {key: base64.b64encode(value.encode()).decode() for key, value in plain.items()}

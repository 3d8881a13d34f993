"""The database's URI: where it stands, and the same place for a service's own role."""

import pytest

from orderflow_model.flow import OrderFlow
from orderflow_model.postgres_uri import PostgresUri
from orderflow_operator.resources import secret
from orderflow_operator.resources.build_context import Database


def database_at(uri: str) -> Database:
    """Give where a URI points."""
    return Database.of(PostgresUri.parse(uri))


@pytest.mark.parametrize(
    "admin",
    [
        "postgresql://adm1n:s3cret@db.example:5433/shop?sslmode=verify-full",
        "postgresql://db.example:5433/shop?sslmode=verify-full&user=adm1n&password=s3cret",
        "postgresql://db.example:5433/shop?%75ser=adm1n&sslmode=verify-full&p%61ssword=s%33cret&passfile=/s3cret",
        "postgresql://db.example:5433/shop?options=-c%20role%3Dadm1n&sslkey=/s3cret&sslmode=verify-full",
    ],
)
def test_a_services_secret_holds_its_own_role_and_nothing_of_the_admin(shop: OrderFlow, admin: str) -> None:
    """Host, port, database and the way of connecting stay; user and password are the role's, quoted."""
    built = secret.database_values(shop, "order", PostgresUri.parse(admin), "p@ss/1")
    assert built == {
        secret.url_key(
            database_at(admin)
        ): "postgresql://shop_order:p%40ss%2F1@db.example:5433/shop?sslmode=verify-full",
        "password": "p@ss/1",
    }


def test_pods_of_before_keep_the_place_of_before(shop: OrderFlow) -> None:
    """Each place has a key of its own; what is kept stands beside it as it was, older operators' too."""
    here, there = "postgresql://a:1@here/shop", "postgresql://a:1@there/shop"
    first = secret.database_values(shop, "order", PostgresUri.parse(here), "pw")
    kept = secret.urls_of(first | {"url": "postgresql://old"})
    both = secret.database_values(shop, "order", PostgresUri.parse(there), "pw", kept)
    assert first.items() < both.items()
    assert both["url"] == "postgresql://old"
    assert both[secret.url_key(database_at(there))] == "postgresql://shop_order:pw@there:5432/shop"


def test_another_admin_moves_nobody() -> None:
    """Pods start anew when the database moves, not when its administrator's name, password or rights change."""
    one = database_at("postgresql://a:1@db/shop")
    assert one == database_at("postgresql://db:5432/shop?user=b&password=2&options=-crole%3Dc")
    assert one != database_at("postgresql://a:1@elsewhere/shop")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "mysql://a@b/c",
        "postgresql:///shop",
        "postgresql://a@b:port/c",
        "no uri",
        "postgresql://a@%2Frun%2Fpostgresql/shop",
        "postgresql://a@db",
    ],
)
def test_what_no_pod_can_use_is_refused(uri: str) -> None:
    """A value that is no URI, or that leads to no database from a pod, is told of before any pod fails by it."""
    with pytest.raises(ValueError, match=r"postgresql|port of host 1|names a Unix socket"):
        database_at(uri)

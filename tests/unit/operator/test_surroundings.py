"""The database's URI: where it stands, and the same place for a service's own role."""

import pytest

from orderflow_operator.resources.secret import role_url
from orderflow_operator.surroundings import Database


def test_a_role_gets_its_url_at_the_same_place() -> None:
    """Host, port, database and options stay; user and password are the role's, quoted."""
    admin = "postgresql://admin:s3cret@db.example:5433/shop?sslmode=verify-full"
    assert role_url(admin, "shop_order", "p@ss/1") == (
        "postgresql://shop_order:p%40ss%2F1@db.example:5433/shop?sslmode=verify-full"
    )


def test_another_admin_password_moves_nobody() -> None:
    """Pods start anew when the database moves, not when its administrator's password does."""
    one, two = Database.of("postgresql://a:1@db/shop"), Database.of("postgresql://a:2@db:5432/shop")
    assert one == two
    assert one != Database.of("postgresql://a:1@elsewhere/shop")


@pytest.mark.parametrize("uri", ["", "mysql://a@b/c", "postgresql:///shop", "postgresql://a@b:port/c", "no uri"])
def test_what_is_no_uri_is_refused(uri: str) -> None:
    """A value that cannot be one is told of before any pod fails by it."""
    with pytest.raises(ValueError, match=r"postgresql|[Pp]ort"):
        Database.of(uri)

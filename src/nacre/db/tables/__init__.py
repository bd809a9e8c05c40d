"""Tables, one module per noun. ``ALL_TABLES`` knows every one of them."""

from nacre.db.tables import attempts, projects, usage, users
from nacre.db.tables.base import Row

ALL_TABLES = Row.metadata

__all__ = ["ALL_TABLES", "attempts", "projects", "usage", "users"]

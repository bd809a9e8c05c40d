"""Tables, one module per noun. ``ALL_TABLES`` knows every one of them."""

from nacre.db.tables import (
    artifacts,
    attempts,
    data,
    endpoints,
    environments,
    instances,
    jobs,
    logged_models,
    models,
    predictions,
    projects,
    quotas,
    runs,
    usage,
    users,
    views,
)
from nacre.db.tables.base import Row

ALL_TABLES = Row.metadata

__all__ = [
    "ALL_TABLES",
    "artifacts",
    "attempts",
    "data",
    "endpoints",
    "environments",
    "instances",
    "jobs",
    "logged_models",
    "models",
    "predictions",
    "projects",
    "quotas",
    "runs",
    "usage",
    "users",
    "views",
]

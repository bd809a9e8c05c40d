"""Stores of MLflow for tests of imports: its tables as MLflow 2 and 3 define them, and its folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sqlalchemy import Engine, text

TABLES_2 = """
CREATE TABLE experiments (experiment_id INTEGER NOT NULL PRIMARY KEY, name VARCHAR(256) NOT NULL UNIQUE,
  artifact_location VARCHAR(256), lifecycle_stage VARCHAR(32), creation_time BIGINT,
  last_update_time BIGINT);
CREATE TABLE experiment_tags ("key" VARCHAR(250) NOT NULL, value VARCHAR(5000),
  experiment_id INTEGER NOT NULL, PRIMARY KEY ("key", experiment_id));
CREATE TABLE runs (run_uuid VARCHAR(32) NOT NULL PRIMARY KEY, name VARCHAR(250), source_type VARCHAR(20),
  source_name VARCHAR(500), entry_point_name VARCHAR(50), user_id VARCHAR(256), status VARCHAR(9),
  start_time BIGINT, end_time BIGINT, source_version VARCHAR(50), lifecycle_stage VARCHAR(20),
  artifact_uri VARCHAR(200), experiment_id INTEGER, deleted_time BIGINT);
CREATE TABLE tags ("key" VARCHAR(250) NOT NULL, value VARCHAR(5000), run_uuid VARCHAR(32) NOT NULL,
  PRIMARY KEY ("key", run_uuid));
CREATE TABLE params ("key" VARCHAR(250) NOT NULL, value VARCHAR(8000) NOT NULL,
  run_uuid VARCHAR(32) NOT NULL, PRIMARY KEY ("key", run_uuid));
CREATE TABLE metrics ("key" VARCHAR(250) NOT NULL, value FLOAT NOT NULL, timestamp BIGINT NOT NULL,
  run_uuid VARCHAR(32) NOT NULL, step BIGINT DEFAULT '0' NOT NULL, is_nan BOOLEAN DEFAULT '0' NOT NULL,
  PRIMARY KEY ("key", timestamp, step, run_uuid, value, is_nan));
CREATE TABLE registered_models (name VARCHAR(256) NOT NULL PRIMARY KEY, creation_time BIGINT,
  last_updated_time BIGINT, description VARCHAR(5000));
CREATE TABLE model_versions (name VARCHAR(256) NOT NULL, version INTEGER NOT NULL, creation_time BIGINT,
  description VARCHAR(5000), current_stage VARCHAR(20), source VARCHAR(500), run_id VARCHAR(32),
  status VARCHAR(20), PRIMARY KEY (name, version));
CREATE TABLE registered_model_aliases (alias VARCHAR(256) NOT NULL, version INTEGER NOT NULL,
  name VARCHAR(256) NOT NULL, PRIMARY KEY (name, alias));
"""
"""Of MLflow 2.3: no data sets, no logged models, no tags of models."""

TABLES_3 = """
CREATE TABLE datasets (dataset_uuid VARCHAR(36) NOT NULL, experiment_id INTEGER NOT NULL,
  name VARCHAR(500) NOT NULL, digest VARCHAR(36) NOT NULL, dataset_source_type VARCHAR(36) NOT NULL,
  dataset_source TEXT NOT NULL, dataset_schema TEXT, dataset_profile TEXT);
CREATE TABLE inputs (input_uuid VARCHAR(36) NOT NULL, source_type VARCHAR(36) NOT NULL,
  source_id VARCHAR(36) NOT NULL, destination_type VARCHAR(36) NOT NULL,
  destination_id VARCHAR(36) NOT NULL, step BIGINT DEFAULT '0' NOT NULL);
CREATE TABLE input_tags (input_uuid VARCHAR(36) NOT NULL, name VARCHAR(255) NOT NULL,
  value VARCHAR(500) NOT NULL);
CREATE TABLE logged_models (model_id VARCHAR(36) NOT NULL PRIMARY KEY, experiment_id INTEGER NOT NULL,
  name VARCHAR(500) NOT NULL, artifact_location VARCHAR(1000) NOT NULL,
  creation_timestamp_ms BIGINT NOT NULL, last_updated_timestamp_ms BIGINT NOT NULL,
  status INTEGER NOT NULL, lifecycle_stage VARCHAR(32), model_type VARCHAR(500),
  source_run_id VARCHAR(32), status_message VARCHAR(1000));
CREATE TABLE logged_model_params (model_id VARCHAR(36) NOT NULL, experiment_id INTEGER NOT NULL,
  param_key VARCHAR(255) NOT NULL, param_value TEXT NOT NULL);
CREATE TABLE logged_model_tags (model_id VARCHAR(36) NOT NULL, experiment_id INTEGER NOT NULL,
  tag_key VARCHAR(255) NOT NULL, tag_value TEXT NOT NULL);
CREATE TABLE model_version_tags ("key" VARCHAR(250) NOT NULL, value TEXT, name VARCHAR(256) NOT NULL,
  version INTEGER NOT NULL);
"""
"""What MLflow 3 has besides."""

FIRST, SECOND, CHILD, GONE = ("1" * 32, "2" * 32, "3" * 32, "4" * 32)
START = 1_700_000_000_000
MODEL = "m-" + "a" * 32


def fill(engine: Engine, root: str, *, version: int) -> None:
    """Two runs and a child in the experiment ``digits``, of which the second is still running; a deleted
    run; a registered model of two versions. ``root``: where artifacts are (``mlflow-artifacts:``)."""
    places = {run: f"{root}/1/{run}/artifacts" for run in (FIRST, SECOND, CHILD, GONE)}
    rows = [
        f"INSERT INTO experiments VALUES (0, 'Default', '{root}/0', 'active', 1, 1)",
        f"INSERT INTO experiments VALUES (1, 'vision/digits', '{root}/1', 'active', 1, 1)",
        f"INSERT INTO experiments VALUES (2, 'old', '{root}/2', 'deleted', 1, 1)",
        "INSERT INTO experiment_tags VALUES ('team', 'ml', 1)",
        *_runs(places),
        f"INSERT INTO tags VALUES ('mlflow.parentRunId', '{FIRST}', '{CHILD}')",
        f"INSERT INTO tags VALUES ('mlflow.user', 'ann', '{FIRST}')",
        f"INSERT INTO tags VALUES ('note', 'it''s é', '{FIRST}')",
        f"INSERT INTO params VALUES ('lr', '0.1', '{FIRST}')",
        *_metrics(),
        "INSERT INTO registered_models VALUES ('Digits Net', 1, 1, 'of digits')",
        f"INSERT INTO model_versions VALUES ('Digits Net', 1, 1, 'first', 'None', "
        f"'{places[FIRST]}/model', '{FIRST}', 'READY')",
        f"INSERT INTO model_versions VALUES ('Digits Net', 2, 1, '', 'Production', "
        f"'{'models:/' + MODEL if version == 3 else places[FIRST] + '/model'}', '{FIRST}', 'READY')",
        "INSERT INTO registered_model_aliases VALUES ('champion', 1, 'Digits Net')",
    ]
    if version == 3:
        rows += [
            "INSERT INTO datasets VALUES ('d1', 1, 'mnist', 'abc', 'http', '{\"url\": \"u\"}', NULL, NULL)",
            f"INSERT INTO inputs VALUES ('i1', 'DATASET', 'd1', 'RUN', '{FIRST}', 0)",
            "INSERT INTO input_tags VALUES ('i1', 'mlflow.data.context', 'training')",
            f"INSERT INTO logged_models VALUES ('{MODEL}', 1, 'net', '{root}/1/models/{MODEL}/artifacts', "
            f"1, 1, 2, 'active', '', '{FIRST}', NULL)",
            f"INSERT INTO logged_model_params VALUES ('{MODEL}', 1, 'depth', '3')",
            "INSERT INTO model_version_tags VALUES ('checked', 'yes', 'Digits Net', 2)",
        ]
    with engine.begin() as session:
        for statement in (TABLES_2 + (TABLES_3 if version == 3 else "")).split(";"):
            if statement.strip():
                session.execute(text(statement))
        for row in rows:
            session.exec_driver_sql(row)


def _runs(places: dict[str, str]) -> Iterable[str]:
    for at, (run, status, stage) in enumerate(
        [
            (FIRST, "FINISHED", "active"),
            (CHILD, "FAILED", "active"),
            (SECOND, "RUNNING", "active"),
            (GONE, "FINISHED", "deleted"),
        ]
    ):
        end = START + 60_000 if status != "RUNNING" else "NULL"
        yield (
            f"INSERT INTO runs VALUES ('{run}', 'run {at}', 'LOCAL', '', '', 'ann', '{status}', "
            f"{START + at}, {end}, '', '{stage}', '{places[run]}', 1, NULL)"
        )


def _metrics() -> Iterable[str]:
    for step in range(1200):
        point = f"{1 / (step + 1)}, {START + step}, '{FIRST}', {step}"
        yield f"INSERT INTO metrics VALUES ('loss', {point}, '0')"
    yield f"INSERT INTO metrics VALUES ('odd', 0, {START}, '{FIRST}', 0, '1')"
    yield f"INSERT INTO metrics VALUES ('odd', 1.5, {START}, '{FIRST}', -3, '0')"
    yield f"INSERT INTO metrics VALUES ('odd', 2.5, {START}, '{FIRST}', -3, '0')"
    yield f"INSERT INTO metrics VALUES ('loss', 9, {START}, '{SECOND}', 0, '0')"


def artifacts(folder: Path, version: int) -> Path:
    """The folder that MLflow's server keeps: a text, a model in the run, and a logged model."""
    for path, content in {
        f"1/{FIRST}/artifacts/notes/a b.txt": "hello",
        f"1/{FIRST}/artifacts/model/MLmodel": "flavors: {}\n",
        f"1/{FIRST}/artifacts/empty": "",
        **({f"1/models/{MODEL}/artifacts/MLmodel": "flavors: {}\n"} if version == 3 else {}),
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    return folder

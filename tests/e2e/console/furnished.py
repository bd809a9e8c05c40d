"""A project in which every page of the console has something to show, made through the SDK and CLI."""

from __future__ import annotations

import csv
import math
import struct
import time
import zlib
from pathlib import Path

import numpy as np
from real_server import Server
from sklearn.datasets import load_digits

from nacre.schema.runs import TrackRecord

TRAIN = """
import os, random
import joblib, nacre, numpy
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix

data = numpy.load(os.environ["NACRE_INPUT_DIGITS"] + "/digits.npz")
x, y = data["x"], data["y"]
nacre.log_params({"C": 0.1, "solver": "lbfgs"})
for step in range(5):
    model = LogisticRegression(max_iter=100 * (step + 1), C=0.1).fit(x[:400], y[:400])
    nacre.log_metric("train/accuracy", model.score(x[:400], y[:400]), step=step)
    nacre.log_metric("val/accuracy", model.score(x[400:600], y[400:600]), step=step)
    print(f"\\033[32mround {step}\\033[0m", flush=True)
nacre.log_table({"round": [1, 2], "note": ["first", "second"]}, "rounds.json")
nacre.log_confusion_matrix(y[400:600].tolist(), model.predict(x[400:600]).tolist(), path="confusion.json")
nacre.log_text("hello\\n", "notes.txt")
joblib.dump(model, os.environ["NACRE_OUTPUT_DIR"] + "/model.joblib")
"""

PAGES = (
    ("home", "/"),
    ("welcome", "/welcome"),
    ("projects", "/projects"),
    ("account", "/account"),
    ("cost", "/cost"),
    ("admin", "/admin"),
    ("settings", "/p/default/settings"),
    ("instances", "/p/default/instances"),
    ("instance-new", "/p/default/instances/new"),
    ("instance", "/p/default/instances/bench"),
    ("environments", "/p/default/environments"),
    ("environment-new", "/p/default/environments/new"),
    ("environment", "/p/default/environments/sklearn"),
    ("data", "/p/default/data"),
    ("data-new", "/p/default/data/new"),
    ("dataset", "/p/default/data/digits"),
    ("dataset-images", "/p/default/data/pictures"),
    ("jobs", "/p/default/jobs"),
    ("job-new", "/p/default/jobs/new"),
    ("job", "/p/default/jobs/fit"),
    ("job-failed", "/p/default/jobs/broken"),
    ("runs", "/p/default/runs"),
    ("run", "/p/default/runs/fit"),
    ("models", "/p/default/models"),
    ("model", "/p/default/models/digits-lr"),
    ("endpoints", "/p/default/endpoints"),
    ("endpoint-new", "/p/default/endpoints/new?model=digits-lr"),
    ("endpoint", "/p/default/endpoints/digits"),
)
"""Every page, by a name for its pictures."""


def furnish(server: Server, folder: Path) -> None:
    """Fill the project ``default``: data, jobs, runs, a model, its evaluation, an endpoint, an instance."""
    digits = load_digits()
    for name, part in (("digits", slice(0, 1400)), ("digits-test", slice(1400, None))):
        (folder / name).mkdir()
        x = (digits.data[part] / 16).astype(np.float32)
        np.savez(folder / name / "digits.npz", x=x, y=digits.target[part])
        server.run("data", "push", folder / name, "--name", name)
    pictures(folder / "pictures")
    server.run("data", "push", folder / "pictures", "--name", "pictures")

    server.submit(
        {"main.py": TRAIN},
        name="fit",
        environment="sklearn",
        inputs={"digits": {"path": "digits"}},
        resources={"cpu": 1, "memory": "1GB", "shm_size": "16MB"},
    )
    server.submit({"main.py": "print('before'); raise SystemExit(3)"}, name="broken")
    assert server.wait("fit", timeout_s=400).state == "succeeded", server.log("fit").decode()
    server.wait("broken")
    waves(server)

    server.run("model", "register", "fit:model.joblib", "--name", "digits-lr", timeout_s=300)
    server.run("evaluate", "digits-lr", "--data", "digits-test", timeout_s=300)
    server.client().models.set_alias("digits-lr", "best", 1)
    server.run("deploy", "digits-lr", "--name", "digits", timeout_s=120)
    server.run("instance", "create", "bench", "--type", "cpu.small", "--env", "base", timeout_s=120)


def pictures(folder: Path) -> None:
    """Two classes of small images and a table."""
    draw = np.random.default_rng(1)
    for label, colour in (("cats", (200, 80, 40)), ("dogs", (40, 90, 200))):
        (folder / "train" / label).mkdir(parents=True)
        for number in range(12):
            noise = draw.integers(-30, 30, (48, 48, 3))
            pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
            (folder / "train" / label / f"{number}.png").write_bytes(png(pixels))
    with (folder / "labels.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["file", "label", "weight"])
        for number in range(40):
            rows.writerow([f"{number}.png", "cats" if number % 3 else "dogs", number / 7])
    (folder / "README.md").write_text("# Pictures\n")


def png(pixels: np.ndarray) -> bytes:
    """A PNG file of ``pixels``, uint8 of shape (height, width, 3)."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def waves(server: Server) -> None:
    """Three runs from a laptop, with longer curves."""
    client = server.client()
    now = int(time.time() * 1000)
    for number in range(3):
        run = client.runs.create(f"wave-{number}")
        records = [
            TrackRecord(type="p", key="lr", text=str(0.1 / (number + 1)), time_ms=now),
            TrackRecord(type="p", key="layers", text=str(2 + number), time_ms=now),
        ]
        for step in range(300):
            seen = now - (300 - step) * 1000
            value = loss(step, number)
            records.append(TrackRecord(type="m", key="train/loss", value=value, step=step, time_ms=seen))
            records.append(
                TrackRecord(type="m", key="val/loss", value=1.1 * value, step=step, time_ms=seen)
            )
        client.runs.log(run.id, records)
        client.runs.update(run.id, state="finished")


def loss(step: int, number: int) -> float:
    """A curve that falls and shakes."""
    return math.exp(-step / (60 + 20 * number)) + 0.05 * math.sin(step * (number + 1)) + 0.1

"""Train a classifier on a table: a CSV file with a header and a column called "label".

The input "data" is a dataset with that one file. Every other column is a feature and has to be of numbers.
"""

import os
from pathlib import Path

import joblib
import numpy as np
import pandas
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

import nacre

LABEL = "label"
TREES = 200
DEPTH = 12

folder = Path(os.environ["NACRE_INPUT_DATA"])
file = next(path for path in sorted(folder.rglob("*")) if path.suffix in (".csv", ".parquet"))
frame = pandas.read_parquet(file) if file.suffix == ".parquet" else pandas.read_csv(file)
if LABEL not in frame.columns:
    raise SystemExit(f"{file.name} has no column {LABEL!r}: it has {', '.join(frame.columns)}. Set LABEL.")
y = frame[LABEL].to_numpy()
x = frame.drop(columns=[LABEL]).to_numpy(dtype=np.float32)
x_training, x_validation, y_training, y_validation = train_test_split(x, y, test_size=0.15, random_state=0)
print(f"{len(x_training)} rows to train on, {len(x_validation)} to validate", flush=True)

nacre.log_params({"trees": TREES, "depth": DEPTH, "features": x.shape[1]})
model = RandomForestClassifier(max_depth=DEPTH, random_state=0, warm_start=True, n_jobs=-1)
for trees in range(20, TREES + 1, 20):
    model.set_params(n_estimators=trees)
    model.fit(x_training, y_training)
    accuracy = model.score(x_validation, y_validation)
    nacre.log_metric("val_accuracy", accuracy, step=trees)
    print(f"{trees} trees: validation accuracy {accuracy:.4f}", flush=True)

joblib.dump(model, Path(os.environ.get("NACRE_OUTPUT_DIR", ".")) / "model.joblib")

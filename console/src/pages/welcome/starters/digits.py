"""Recognise handwritten digits with a small neural network of scikit-learn.

The input "digits" is a dataset with one folder of images of 8 x 8 pixels per digit, as the sample dataset
has. Without it the digits that come with scikit-learn are used; every fifth is held out, and kept beside
the model.
"""

import copy
import os
from pathlib import Path

import joblib
import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import Normalizer

import nacre

EPOCHS = 60
LAYERS = (256, 128)
LEARNING_RATE = 4e-3
NOISE = 0.1
OUTPUT = Path(os.environ.get("NACRE_OUTPUT_DIR", "."))


def load():
    """Images as rows of 64 values from 0 to 1, and which digit each one is."""
    folder = os.environ.get("NACRE_INPUT_DIGITS")
    if folder:
        files = sorted(Path(folder).rglob("*.png"))
        images = [np.asarray(Image.open(file).convert("L"), dtype=np.float32) / 255 for file in files]
        return np.stack(images).reshape(len(files), -1), np.array([int(file.parent.name) for file in files])
    x, y = load_digits(return_X_y=True)
    x = (x / 16).astype(np.float32)
    held_out = np.arange(len(x)) % 5 == 4
    np.savez_compressed(OUTPUT / "digits-test.npz", x=x[held_out], y=y[held_out])
    return x[~held_out], y[~held_out]


def varied(x, rng):
    """The images, a quarter of them a pixel off, all with a little noise: nobody draws as the others do."""
    images = np.pad(x.reshape(-1, 8, 8), ((0, 0), (1, 1), (1, 1)))
    offsets = np.where(rng.random((len(x), 1)) < 0.75, 1, rng.integers(0, 3, (len(x), 2)))
    moved = [
        image[down : down + 8, right : right + 8]
        for image, (down, right) in zip(images, offsets, strict=True)
    ]
    noise = rng.normal(0, NOISE, x.shape)
    return np.clip(np.stack(moved).reshape(x.shape) + noise, 0, 1).astype(np.float32)


rng = np.random.default_rng(0)
x, y = load()
scale = Normalizer().fit(x)  # each image by its length: whether ink is 1, 16 or 255 makes no difference
order = rng.permutation(len(x))
validation, training = order[: len(x) // 8], order[len(x) // 8 :]
print(f"{len(training)} images to train on, {len(validation)} to validate", flush=True)

nacre.log_params({"epochs": EPOCHS, "layers": LAYERS, "learning_rate": LEARNING_RATE, "noise": NOISE})
model = MLPClassifier(LAYERS, learning_rate_init=LEARNING_RATE, batch_size=64, random_state=0)
x_validation = scale.transform(x[validation])
best, best_loss = model, float("inf")
for epoch in range(EPOCHS):
    model.partial_fit(scale.transform(varied(x[training], rng)), y[training], classes=np.arange(10))
    val_loss = log_loss(y[validation], model.predict_proba(x_validation), labels=np.arange(10))
    val_accuracy = model.score(x_validation, y[validation])
    nacre.log_metrics({"loss": model.loss_, "val_loss": val_loss, "val_accuracy": val_accuracy}, step=epoch)
    print(f"epoch {epoch + 1}: loss {model.loss_:.4f}, validation accuracy {val_accuracy:.4f}", flush=True)
    if val_loss < best_loss:
        best, best_loss = copy.deepcopy(model), val_loss

joblib.dump(make_pipeline(scale, best), OUTPUT / "model.joblib")

"""Digits by Keras: `keras.distribution` over the processes, and `fit` as everywhere."""

import hashlib
import os
import sys
import tempfile

os.environ.setdefault("KERAS_BACKEND", "jax")  # the one with several processes

import keras
import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import nacre

keras.distribution.initialize()
keras.utils.set_random_seed(0)
keras.distribution.set_distribution(keras.distribution.DataParallel(auto_shard_dataset=False))
rank, processes = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])

images, labels = load_digits(return_X_y=True)
images = (images / 16).astype("float32")
x, x_test, y, y_test = train_test_split(images, labels, test_size=450, random_state=0, stratify=labels)
share = slice(rank, len(x) // 64 * 64, processes)

model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64, "relu"), keras.layers.Dense(10)])
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(keras.optimizers.Adam(3e-3), loss)
model.fit(x[share], y[share], batch_size=64 // processes, epochs=12, shuffle=False, verbose=2)

weights = [np.asarray(variable.value.addressable_data(0)) for variable in model.weights]
digest = hashlib.sha256(b"".join(value.tobytes() for value in weights)).hexdigest()
hidden = np.maximum(x_test @ weights[0] + weights[1], 0)
accuracy = float(np.mean((hidden @ weights[2] + weights[3]).argmax(1) == y_test))
sys.stdout.write(f"process {rank} of {processes}: accuracy {accuracy:.3f}, weights {digest}\n")
if rank == 0:  # the losses are captured from `fit`
    nacre.log_metric("accuracy", accuracy)
folder = os.environ["NACRE_OUTPUT_DIR"] if rank == 0 else tempfile.mkdtemp()
model.save(folder + "/model.keras")  # all processes take part in it

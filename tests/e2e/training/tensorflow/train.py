"""Digits by MultiWorkerMirroredStrategy: every worker takes its share of each batch.

The steps are written out: `fit` of Keras 3 does not work with this strategy (keras-team/keras#20585).
"""

import hashlib
import json
import os
import sys

import keras
import numpy as np
import tensorflow as tf
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import nacre

strategy = tf.distribute.MultiWorkerMirroredStrategy()  # before anything else of TensorFlow
workers = strategy.num_replicas_in_sync
rank = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
keras.utils.set_random_seed(0)

images, labels = load_digits(return_X_y=True)
images = (images / 16).astype("float32")
x, x_test, y, y_test = train_test_split(images, labels, test_size=450, random_state=0, stratify=labels)
data = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x), seed=0).batch(64, drop_remainder=True)
options = tf.data.Options()
options.experimental_distribute.auto_shard_policy = tf.data.experimental.AutoShardPolicy.DATA
batches = strategy.experimental_distribute_dataset(data.with_options(options))

with strategy.scope():
    model = keras.Sequential([keras.Input((64,)), keras.layers.Dense(64, "relu"), keras.layers.Dense(10)])
    optimizer = keras.optimizers.Adam(3e-3)
    optimizer.build(model.trainable_variables)


def learn(inputs, targets):
    with tf.GradientTape() as tape:
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets, model(inputs, training=True))
        loss = tf.nn.compute_average_loss(losses, global_batch_size=64)
    slopes = tape.gradient(loss, model.trainable_variables)
    optimizer.apply_gradients(zip(slopes, model.trainable_variables, strict=True))
    return loss


@tf.function
def step(inputs, targets):
    return strategy.reduce("SUM", strategy.run(learn, (inputs, targets)), axis=None)


for epoch in range(12):
    for inputs, targets in batches:
        loss = step(inputs, targets)
    if rank == 0:
        nacre.log_metric("loss", loss, step=epoch)

accuracy = float(np.mean(model(x_test).numpy().argmax(1) == y_test))
digest = hashlib.sha256(b"".join(value.tobytes() for value in model.get_weights())).hexdigest()
sys.stdout.write(f"process {rank} of {workers}: accuracy {accuracy:.3f}, weights {digest}\n")
if rank == 0:
    nacre.log_metric("accuracy", accuracy)
    model.save(os.environ["NACRE_OUTPUT_DIR"] + "/model.keras")

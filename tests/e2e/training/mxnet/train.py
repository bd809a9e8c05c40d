"""Digits by Gluon over a KVStore: every worker takes its share of each batch, the server adds them up."""

import hashlib
import os
import sys

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import nacre

store = mx.kv.create("dist_sync")
workers = store.num_workers
rank = int(os.environ["RANK"])  # `store.rank` may be another order of the same workers
mx.random.seed(0)

images, labels = load_digits(return_X_y=True)
images = (images / 16).astype(np.float32)
x, x_test, y, y_test = train_test_split(images, labels, test_size=450, random_state=0, stratify=labels)

net = gluon.nn.HybridSequential()
net.add(gluon.nn.Dense(64, activation="relu", in_units=64), gluon.nn.Dense(10, in_units=64))
net.initialize(mx.init.Xavier())
trainer = gluon.Trainer(net.collect_params(), "adam", {"learning_rate": 3e-3}, kvstore=store)
criterion = gluon.loss.SoftmaxCrossEntropyLoss()
random = np.random.RandomState(0)
for epoch in range(12):
    for batch in random.permutation(len(x))[: len(x) // 64 * 64].reshape(-1, workers, 64 // workers):
        inputs, targets = mx.nd.array(x[batch[store.rank]]), mx.nd.array(y[batch[store.rank]])
        with autograd.record():
            loss = criterion(net(inputs), targets)
        loss.backward()
        trainer.step(64)
    if rank == 0:
        nacre.log_metric("loss", loss.mean().asscalar(), step=epoch)

accuracy = float(np.mean(net(mx.nd.array(x_test)).asnumpy().argmax(1) == y_test))
values = [value.data().asnumpy().tobytes() for value in net.collect_params().values()]
digest = hashlib.sha256(b"".join(values)).hexdigest()
sys.stdout.write(f"process {rank} of {workers}: accuracy {accuracy:.3f}, weights {digest}\n")
if rank == 0:
    nacre.log_metric("accuracy", accuracy)
    net.save_parameters(os.environ["NACRE_OUTPUT_DIR"] + "/model.params")

"""Digits by JAX: one program over the devices of all processes, each feeds its share of a batch."""

import hashlib
import os
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

import nacre

jax.distributed.initialize()
rank, processes = jax.process_index(), jax.process_count()
mesh = Mesh(jax.devices(), "data")
everywhere, shared_out = NamedSharding(mesh, PartitionSpec()), NamedSharding(mesh, PartitionSpec("data"))

images, labels = load_digits(return_X_y=True)
images = (images / 16).astype(np.float32)
x, x_test, y, y_test = train_test_split(images, labels, test_size=450, random_state=0, stratify=labels)


def predict(net, inputs):
    return jax.nn.relu(inputs @ net["w1"] + net["b1"]) @ net["w2"] + net["b2"]


def loss_of(net, inputs, targets):
    return optax.softmax_cross_entropy_with_integer_labels(predict(net, inputs), targets).mean()


@jax.jit
def step(net, state, inputs, targets):
    loss, slopes = jax.value_and_grad(loss_of)(net, inputs, targets)
    changes, state = optimizer.update(slopes, state)
    return optax.apply_updates(net, changes), state, loss


random = np.random.default_rng(0)
net = {
    "w1": random.normal(0, 0.15, (64, 64)),
    "b1": np.zeros(64),
    "w2": random.normal(0, 0.15, (64, 10)),
    "b2": np.zeros(10),
}
net = jax.device_put({name: jnp.float32(value) for name, value in net.items()}, everywhere)
optimizer = optax.adam(3e-3)
state = jax.jit(optimizer.init)(net)
for epoch in range(12):
    for batch in random.permutation(len(x))[: len(x) // 64 * 64].reshape(-1, processes, 64 // processes):
        inputs = jax.make_array_from_process_local_data(shared_out, x[batch[rank]])
        targets = jax.make_array_from_process_local_data(shared_out, y[batch[rank]])
        net, state, loss = step(net, state, inputs, targets)
    if rank == 0:
        nacre.log_metric("loss", float(loss), step=epoch)

net = {name: np.asarray(value.addressable_data(0)) for name, value in net.items()}
accuracy = float(np.mean(np.asarray(predict(net, x_test)).argmax(1) == y_test))
digest = hashlib.sha256(b"".join(net[name].tobytes() for name in sorted(net))).hexdigest()
sys.stdout.write(f"process {rank} of {processes}: accuracy {accuracy:.3f}, weights {digest}\n")
if rank == 0:
    nacre.log_metric("accuracy", accuracy)
    np.savez(os.environ["NACRE_OUTPUT_DIR"] + "/model.npz", **net)
multihost_utils.sync_global_devices("the end")

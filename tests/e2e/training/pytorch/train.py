"""Digits by DistributedDataParallel: every process takes its share of each batch."""

import hashlib
import os
import sys
import time

import torch
import torch.distributed as dist
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn.parallel import DistributedDataParallel
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler

import nacre

dist.init_process_group("gloo")
rank = dist.get_rank()
torch.manual_seed(0)
torch.set_num_threads(1)

images, labels = load_digits(return_X_y=True)
x, x_test, y, y_test = train_test_split(images / 16, labels, test_size=450, random_state=0, stratify=labels)
data = TensorDataset(torch.tensor(x, dtype=torch.float32), torch.tensor(y))
sampler = DistributedSampler(data, seed=0)
batches = DataLoader(data, batch_size=32, sampler=sampler)

net = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
model = DistributedDataParallel(net)
optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
for epoch in range(12):
    sampler.set_epoch(epoch)
    for inputs, targets in batches:
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(inputs), targets)
        loss.backward()
        optimizer.step()
    total = loss.detach().clone()
    dist.all_reduce(total)
    if rank == 0:
        nacre.log_metric("loss", total / dist.get_world_size(), step=epoch)

with torch.no_grad():
    found = net(torch.tensor(x_test, dtype=torch.float32)).argmax(1)
accuracy = float((found == torch.tensor(y_test)).float().mean())
values = [value.numpy().tobytes() for value in net.state_dict().values()]
digest = hashlib.sha256(b"".join(values)).hexdigest()
sys.stdout.write(f"process {rank} of {dist.get_world_size()}: accuracy {accuracy:.3f}, weights {digest}\n")
if rank == 0:
    nacre.log_metric("accuracy", accuracy)
    torch.save(net.state_dict(), os.environ["NACRE_OUTPUT_DIR"] + "/model.pt")
dist.destroy_process_group()
time.sleep(0.5)  # gloo's threads let go of the last tensors: pytorch/pytorch#190489

"""Train a small convolutional network on images: one folder per class, all images of one size.

The input "data" is a dataset such as cats/1.jpg, cats/2.jpg, dogs/1.jpg. Evaluation and the endpoint take
images of the size of those, with values from 0 to 1.
"""

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

import nacre

EPOCHS = 15
BATCH = 32
LEARNING_RATE = 1e-3
SUFFIXES = {".png", ".jpg", ".jpeg", ".bmp", ".webp"}


def load(folder):
    """Images [n, channels, height, width] from 0 to 1, labels [n], and the names of the classes."""
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    names = sorted({path.parent.name for path in files})
    pixels = [np.asarray(Image.open(path), dtype=np.float32) / 255 for path in files]
    shapes = {image.shape for image in pixels}
    if len(shapes) != 1:
        raise SystemExit(f"the images differ in size or colours ({sorted(shapes)}): bring them to one")
    x = np.stack(pixels)
    x = x[:, None] if x.ndim == 3 else x.transpose(0, 3, 1, 2)
    y = np.array([names.index(path.parent.name) for path in files])
    return torch.from_numpy(np.ascontiguousarray(x)), torch.from_numpy(y), names


def network(channels, classes):
    """Three convolutions, then the mean over the image: height and width may be any from 8 on."""
    layers = []
    for before, after in ((channels, 32), (32, 64), (64, 128)):
        layers += [nn.Conv2d(before, after, 3, padding=1), nn.BatchNorm2d(after), nn.ReLU()]
        layers += [nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, classes))


torch.manual_seed(0)
x, y, names = load(Path(os.environ["NACRE_INPUT_DATA"]))
order = torch.randperm(len(x))
validation, training = order[: max(1, len(x) // 8)], order[max(1, len(x) // 8) :]
print(f"{len(names)} classes: {', '.join(names)}")
print(f"{len(training)} images to train on, {len(validation)} to validate", flush=True)

device = "cuda" if torch.cuda.is_available() else "cpu"
model = network(x.shape[1], len(names)).to(device)
optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE)
nacre.log_params({"epochs": EPOCHS, "batch": BATCH, "learning_rate": LEARNING_RATE, "classes": len(names)})
for epoch in range(EPOCHS):
    model.train()
    total = 0.0
    for batch in training[torch.randperm(len(training))].split(BATCH):
        if len(batch) == 1:
            continue  # a mean and a spread over one image is none
        loss = nn.functional.cross_entropy(model(x[batch].to(device)), y[batch].to(device))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(batch)
    model.eval()
    with torch.no_grad():
        called = torch.cat([model(x[b].to(device)).argmax(1).cpu() for b in validation.split(BATCH)])
    accuracy = (called == y[validation]).float().mean().item()
    nacre.log_metrics({"loss": total / len(training), "val_accuracy": accuracy}, step=epoch)
    print(f"epoch {epoch + 1}: loss {total / len(training):.4f}, accuracy {accuracy:.4f}", flush=True)

nacre.log_model(model.cpu().eval(), "model.pt", example=x[:2])

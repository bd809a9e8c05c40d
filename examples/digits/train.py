"""A small CNN on handwritten digits: plain PyTorch, with three lines of Nacre.

Run it on Nacre:   nacre run train.py --environment pytorch --data digits -- --epochs 12
Or without:        python train.py --data FOLDER
"""

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from torch import nn

import nacre


class DigitsCNN(nn.Module):
    """Two convolutions and two linear layers, for 8 × 8 grey images."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(64 * 4 * 4, 128),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(128, 10),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


def load(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """Images [n, 1, 8, 8] in 0…1, and labels [n]."""
    with np.load(folder / "digits.npz") as arrays:
        return torch.from_numpy(arrays["x"]).float().unsqueeze(1), torch.from_numpy(arrays["y"]).long()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("NACRE_INPUT_DIGITS", "data")))
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--batch-size", type=int, default=64)
    args = parser.parse_args()

    torch.manual_seed(0)
    x, y = load(args.data)
    order = torch.randperm(len(x))
    held_out = len(x) // 6
    validation, training = order[:held_out], order[held_out:]

    model = DigitsCNN()
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
    nacre.log_params({"epochs": args.epochs, "lr": args.lr, "batch_size": args.batch_size})
    print(f"{len(training)} images to train on, {len(validation)} to validate", flush=True)

    for epoch in range(args.epochs):
        model.train()
        total = 0.0
        for batch in training[torch.randperm(len(training))].split(args.batch_size):
            loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.item() * len(batch)
        model.eval()
        with torch.no_grad():
            accuracy = (model(x[validation]).argmax(1) == y[validation]).float().mean().item()
        nacre.log_metrics({"loss": total / len(training), "val_accuracy": accuracy}, step=epoch)
        print(f"epoch {epoch + 1}: loss {total / len(training):.4f}, validation accuracy {accuracy:.4f}")

    output = Path(os.environ.get("NACRE_OUTPUT_DIR", "."))
    torch.save(model, output / "model.pt")


if __name__ == "__main__":
    main()

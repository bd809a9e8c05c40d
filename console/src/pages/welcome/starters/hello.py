"""The smallest job that has a curve: prints, logs a metric, and keeps a file."""

import os
import time
from pathlib import Path

import nacre

nacre.log_param("greeting", "hello")
for step in range(20):
    nacre.log_metric("loss", 1 / (1 + step), step=step)
    print(f"step {step}", flush=True)
    time.sleep(0.2)

Path(os.environ["NACRE_OUTPUT_DIR"], "note.txt").write_text("whatever is in $NACRE_OUTPUT_DIR is kept\n")

"""The launcher: a small standard-library program that starts one workload and owns it to its end.

``python -m nacre.launcher FOLDER [--adopt]``. The folder is described in ``nacre.schema.launch``; how
the parts work together in ``docs/explanation/launcher.md``. Nothing here may import pydantic or httpx:
the time from submit to the user's first instruction counts.
"""

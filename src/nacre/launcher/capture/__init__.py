"""Capture: what frameworks report becomes the run's params and metrics, without a line in the program.

``sitecustomize.py`` stands on the work's ``PYTHONPATH`` and calls ``start.py``, which puts an import hook
(``hook.py``) in front of the normal finders. When a framework is imported, its module here changes the one
place of it where values pass by. Everything here runs inside the user's program: standard library and
``nacre.sdk`` only, Python 3.8, never an exception, never a framework imported that the program did not.
"""

"""Where the API is for work with a network of its own, known to the bridge and to who starts it."""

PORT = 7373
NO_NAMESPACE, NO_LISTENER = 3, 4
"""The bridge's exit codes: the sandbox's network cannot be entered; the port in it cannot be had."""

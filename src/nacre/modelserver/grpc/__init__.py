"""gRPC on the inference port: the Open Inference Protocol and TensorFlow Serving's API.

Nothing of it is imported before the first client that speaks HTTP/2 is there (:mod:`.gate`).
"""

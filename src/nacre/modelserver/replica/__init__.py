"""The program that runs a model in its own environment and answers the model server: a replica.

``python -m nacre.modelserver.replica --model PATH --socket PATH``. Standard library, numpy and the model's
framework, Python 3.8 and later; of Nacre only the frames and ``nacre.workloads.definitions``.
"""

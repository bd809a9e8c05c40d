"""Programs that Nacre itself runs as jobs, inside environments: convert a model, evaluate one.

They import the standard library, numpy and one framework, never the server side.
"""

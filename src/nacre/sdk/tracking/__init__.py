"""Beneath ``nacre.sdk.track``: runs in users' programs, on Python 3.8 and later, with no dependency."""

"""What can be replaced. Each port has a public conformance suite in ``nacre.testing``."""

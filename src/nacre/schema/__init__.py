"""Wire types: what the API, the SDK, the CLI and the console speak, written once."""

"""Blobs in files. Names and steps: docs/formats/depot.md."""

"""The commit log: numbered records in files, durable, for any number of threads and processes.

It knows nothing of what records say. Grammar: docs/formats/commit-log.md.
"""

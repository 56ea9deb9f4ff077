"""Value files, and the value log over them. Grammar: docs/formats/value-log.md."""

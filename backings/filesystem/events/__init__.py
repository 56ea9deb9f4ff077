"""Events in files: the segment log, and seed 000's tree. Grammar: docs/formats/events.md."""

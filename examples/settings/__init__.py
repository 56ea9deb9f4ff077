"""An application's settings in YAML, comments kept: ``python -m examples.settings``."""

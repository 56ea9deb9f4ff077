"""Programs on real data: ``python -m examples.caniuse`` and ``python -m examples.settings``."""

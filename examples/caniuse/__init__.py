"""Real, hand-kept JSON files as typed objects: ``python -m examples.caniuse [FOLDER]``."""

"""The contracts, run on every maker of them (``makers.py``)."""

"""Ours and others, side by side: the same work on the same data, in turn, in one run.

``python -m benchmarks`` prints the tables, and with ``--write`` keeps them in RESULTS.md. Each
module named after a work measures one family of them; ``harness`` runs them, ``targets`` judges,
``report`` writes.
"""

"""The contract of Depot, on every maker."""

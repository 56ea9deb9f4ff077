"""Stores that are watched."""

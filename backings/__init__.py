"""Makers of the contracts: everything that touches a medium.

Imported as ``objstore.backings``; the folder lies at the top of the repository, the import name
does not.
"""

if __name__ != "objstore.backings":
    raise ImportError(f"import objstore.backings, not {__name__}")

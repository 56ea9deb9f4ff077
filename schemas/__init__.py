"""JSON Schemas of every JSON format that objstore writes, and of its own schema vocabulary.

Imported as ``objstore.schemas``; the folder lies at the top of the repository, the import name
does not.
"""

from __future__ import annotations

if __name__ != "objstore.schemas":
    raise ImportError(f"import objstore.schemas, not {__name__}")

"""objstore: typed, validated, transactional Python objects over directories of files."""

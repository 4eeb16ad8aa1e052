"""The pinned versions of the official CLIs: for each a package.json and npm's lock file with all hashes."""

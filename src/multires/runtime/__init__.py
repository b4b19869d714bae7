"""Where and how work runs: execution, storage, downloads, and the digest of the package's code."""

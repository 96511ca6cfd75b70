"""Models as files: loading, adapters, exports and digests."""

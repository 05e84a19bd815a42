"""Times of hacli beside its peers: ``python -m benchmarks`` prints one Markdown table."""

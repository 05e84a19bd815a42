"""One verb per module: observe, ask the domain, act through ports, prove, return a value."""

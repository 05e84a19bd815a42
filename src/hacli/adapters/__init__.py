"""One outside system per module: call it, parse its answer, translate its errors."""

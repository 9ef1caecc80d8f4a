"""What is measured, how, and what stands beside it. Run with `python -m benchmarks latency|trace|idle`."""

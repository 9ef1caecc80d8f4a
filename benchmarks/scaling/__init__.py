"""What Selfheal costs against the size of the fleet: `python -m benchmarks.scale`."""

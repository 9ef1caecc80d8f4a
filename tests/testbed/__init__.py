"""The testbed: real engines, Redis, PostgreSQL and Chromium, started privately for the tests and stopped after them."""

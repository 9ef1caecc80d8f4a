"""Bringing containers under supervision: from Compose files, tables and engines. See docs/registration.md."""

"""The imperative shell: one module a stage. Each reads, calls `core`, and writes in one transaction.

dispatch → check → diagnose → restart → verify
"""

"""What `manage.py up` does before anything runs: each step works, or says in one sentence why it cannot."""

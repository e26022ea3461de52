"""The shipped workflows, written down in Python: `python -m devtools.templates` makes example_workflows/ of them."""

"""What `predict.py` can do: one module a task, one function each, one file in `conf/task/`."""

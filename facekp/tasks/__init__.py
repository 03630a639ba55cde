"""The tasks of `train.py` and `predict.py`: one verb per module, one file each in `conf/task/`."""

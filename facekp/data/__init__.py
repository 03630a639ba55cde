"""Files in: one reader a format, the data set and its cache, a data module for each data set."""

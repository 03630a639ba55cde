"""What a run or a sweep came to, as one page that opens anywhere."""

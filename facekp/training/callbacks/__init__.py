"""What happens beside training: progress, records, pictures."""

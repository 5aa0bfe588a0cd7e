"""What every package uses: errors, input checks, files, progress, workers."""

"""What all packages use: errors, input checks, files, locks, memory, progress, resuming, workers."""

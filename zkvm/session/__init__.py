"""One run from program to receipt, and what surrounds it: threads, memory, time, predictions, profiles."""

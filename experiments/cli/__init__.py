"""From the words of the command line to a job and its options."""

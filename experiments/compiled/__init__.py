"""What the kernels compile to, for GPUs that are not there: registers, spills, instructions per element."""

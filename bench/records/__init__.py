"""What was seen: records of jobs, the environment they ran in, and the store that keeps them."""

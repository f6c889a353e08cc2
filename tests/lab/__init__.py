"""Real parts for tests and benchmarks: Kafka, Redis, our programs, and an independent recomputation of the totals."""

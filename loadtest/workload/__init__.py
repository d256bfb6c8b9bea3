"""What is asked for and when: workloads, their requests, arrivals. Pure."""

"""Docker Swarm as a target: what is written for `docker stack deploy`, and whether a Swarm would take it."""

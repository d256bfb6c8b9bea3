"""Starting at boot: a systemd unit for plain processes; containers are started again by Docker."""

# Stands in for caddy:2.11.7: the same version from PyPI's package, which is Caddy's own program.
FROM fullbatch-offline/debian:bookworm
RUN --mount=type=bind,from=caddy,target=/caddy \
    install -m 0755 /caddy/caddy /usr/bin/caddy \
    && printf '#!/bin/sh\nexec python3 -c "import socket, sys; socket.create_connection((sys.argv[2], int(sys.argv[3])), 3)" "$@"\n' > /usr/bin/nc \
    && chmod 0755 /usr/bin/nc
ENV XDG_CONFIG_HOME=/config XDG_DATA_HOME=/data
WORKDIR /srv
CMD ["caddy", "run", "--config", "/etc/caddy/Caddyfile", "--adapter", "caddyfile"]

# Stands in for python:3.11-slim-bookworm: `python`, `pip`, `venv` and Python's headers where the public image has them.
FROM fullbatch-offline/debian:bookworm
# The host's trust store: a network that re-signs TLS would otherwise break `pip install` in every build.
COPY --from=trust ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
RUN rm -f /usr/lib/python3.*/EXTERNALLY-MANAGED \
    && for name in python python3 python3.11; do ln -s /usr/bin/python3.11 /usr/local/bin/$name; done \
    && for name in pip pip3; do ln -s /usr/bin/pip3 /usr/local/bin/$name; done
# Debian's Python.h looks for this below /usr/include, where a compiler for a stated target does not.
RUN mkdir -p /usr/include/python3.11/$(uname -m)-linux-gnu \
    && ln -s /usr/include/$(uname -m)-linux-gnu/python3.11 /usr/include/python3.11/$(uname -m)-linux-gnu/python3.11
ENV LANG=C.UTF-8
CMD ["python3"]

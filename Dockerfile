# syntax=docker/dockerfile:1

# The image: a static binary, the authorities that it trusts, and nothing else.
#
#     docker build --build-arg VERSION=… --build-arg REVISION=… .
#
# compiles it. What was compiled before is taken instead with `--build-context root=FOLDER`, which holds a root file system
# for each architecture, as `release/root` makes it: see `make image`.

FROM rust:1.95.0-slim-bookworm AS compile
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build
COPY . .
ARG REVISION=
ARG TARGETARCH
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/target,id=target-${TARGETARCH} \
    CARGO_TARGET_DIR=/target EVENTMESH_BUILD_REVISION="${REVISION}" release/binary "$(uname -m)-unknown-linux-gnu" >/binary \
    && release/root "$(cat /binary)" "/out/${TARGETARCH}"

FROM scratch AS root
COPY --from=compile /out/ /

FROM scratch
ARG TARGETARCH
COPY --from=root /${TARGETARCH}/ /
# By number, so that Kubernetes sees that it is not root.
USER 65532:65532
EXPOSE 8080 8081
ENTRYPOINT ["/eventmesh-catalog"]
CMD ["serve", "--listen=0.0.0.0:8080", "--admin-listen=0.0.0.0:8081", "--shutdown-delay=15s"]
ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.title="eventmesh-catalog" \
    org.opencontainers.image.description="The event catalog of a Knative cluster or repository: who sends which events, who consumes them." \
    org.opencontainers.image.licenses="Apache-2.0" \
    org.opencontainers.image.source="https://github.com/eventmesh-catalog/eventmesh-catalog" \
    org.opencontainers.image.version="${VERSION}" \
    org.opencontainers.image.revision="${REVISION}"

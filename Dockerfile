# syntax=docker/dockerfile:1.7
# The cloud form of the service: live and recorded audio go to providers, no embedded engine.
# `--target simulator` is the Deepgram simulator, for docker-compose.yml and load tests.

FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
# Told by whoever builds; Render tells it by itself. /health shows it.
ARG GIT_COMMIT=
ARG RENDER_GIT_COMMIT=
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    GIT_COMMIT="${GIT_COMMIT:-$RENDER_GIT_COMMIT}" \
    cargo build --release --locked --no-default-features --bin audio-transcription-api && \
    cp target/release/audio-transcription-api /usr/local/bin/

FROM build AS build-simulator
RUN --mount=type=cache,target=/usr/local/cargo/registry,sharing=locked \
    --mount=type=cache,target=/src/target,sharing=locked \
    cargo build --release --locked --package testkit --bin deepgram-simulator && \
    cp target/release/deepgram-simulator /usr/local/bin/

FROM debian:bookworm-slim AS simulator
COPY --from=build-simulator /usr/local/bin/deepgram-simulator /usr/local/bin/
USER 65532:65532
EXPOSE 8089
CMD ["deepgram-simulator", "--host", "0.0.0.0"]

FROM debian:bookworm-slim AS service
# hadolint ignore=DL3008
RUN apt-get update && \
    apt-get install -y --no-install-recommends ca-certificates && \
    rm -rf /var/lib/apt/lists/*
COPY --from=build /usr/local/bin/audio-transcription-api /usr/local/bin/
USER 65532:65532
EXPOSE 5000 9090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["audio-transcription-api", "healthcheck"]
CMD ["audio-transcription-api", "serve"]

# The gatekeeper as an image: built on Debian, shipped as one binary on Debian slim, run by a user without rights.
FROM rust:1.95-bookworm AS build
# librdkafka, SQLite and the TLS libraries are built from source.
RUN apt-get update && apt-get install -y --no-install-recommends cmake g++ make perl && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN cargo build --release --locked --bin gatekeeper

FROM debian:bookworm-slim
# Which authorities are trusted when a model provider is called.
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --create-home --home-dir /var/lib/gatekeeper gatekeeper
COPY --from=build /src/target/release/gatekeeper /usr/local/bin/gatekeeper
USER gatekeeper
WORKDIR /var/lib/gatekeeper
# Where the embedded log and the SQLite ledger lie unless settings say otherwise.
VOLUME /var/lib/gatekeeper
ENTRYPOINT ["gatekeeper"]
CMD ["--profile", "production", "serve"]

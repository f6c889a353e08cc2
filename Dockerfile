# One image with the three programs: what image/root.py puts together, and nothing else; no shell, no package manager.
#   docker build --build-arg REVISION="$(git rev-parse HEAD)" --build-arg SOURCE_DATE_EPOCH="$(git log -1 --format=%ct)" -t citytotals .
# `./dev image` does that, or, without Docker, makes the same files into the same kind of image.
ARG DEBIAN=debian:trixie-slim
FROM ${DEBIAN} AS build
COPY image/packages /tmp/packages
RUN export DEBIAN_FRONTEND=noninteractive && apt-get update && apt-get upgrade -y \
    && xargs apt-get install -y --no-install-recommends < /tmp/packages
ARG SOURCE_DATE_EPOCH=0
ARG PIP_INDEX_URL
ARG PIP_NO_INDEX
ARG PIP_FIND_LINKS
COPY . /src
RUN SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH} python3 /src/image/root.py /src /image \
    && find /image -exec touch --no-dereference --date=@0 {} +

FROM scratch
COPY --from=build /image /
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="citytotals" \
      org.opencontainers.image.description="Live totals of a city's mergers, headcount and visits" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
ENV PATH=/usr/bin:/bin
USER 65532:65532

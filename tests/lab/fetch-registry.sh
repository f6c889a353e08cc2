#!/bin/sh
# fetch-registry.sh DIR: unpack the schema registry for tests (Apicurio Registry, 109 MB, from Maven Central) into DIR.
# Tests find it by CITYTOTALS_REGISTRY_DIR. Does nothing when it is there.
set -eu
[ $# -eq 1 ] || { echo "usage: fetch-registry.sh DIR" >&2; exit 2; }
version=3.0.9
[ -e "$1/apicurio-registry-app-$version-runner.jar" ] && exit 0
rm -rf "$1.part"
mkdir -p "$1.part"
(
  cd "$1.part" # Maven leaves things where it runs
  mvn -q dependency:copy -Dartifact="io.apicurio:apicurio-registry-app:$version:tar.gz:all" -DoutputDirectory=download
  tar -xzf "download/apicurio-registry-app-$version-all.tar.gz" "apicurio-registry-app-$version-runner.jar" lib
  rm -rf download
)
rm -rf "$1"
mv "$1.part" "$1"

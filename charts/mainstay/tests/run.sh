#!/bin/bash
# Lints the chart and renders it with the values in valid/ and invalid/. Needs Helm and nothing else; seconds.
#
#   tests/run.sh [helm] [kustomize]
#
# In valid/, `# has:` and `# lacks:` name a line of what is rendered, `# secrets:` kind and namespace of a role that reads Secrets. In invalid/, `# says:` names a part of Helm's complaint.
set -euo pipefail
export HELM=${1:-helm}
kustomize=${2:-}
here=$(cd "$(dirname "$0")" && pwd)
chart=$(dirname "$here")
checkout=$(cd "$chart/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

fail() {
  echo "FAILED $1: $2"
  failed=1
}

# All values of one comment in a file.
said() {
  sed -n "s/^# $1: //p" "$2"
}

# Kind and namespace of every object that speaks of Secrets as of a resource.
secret_readers() {
  awk '/^---/ {kind = namespace = ""} $1 == "kind:" && !kind {kind = $2} /^  namespace:/ {namespace = $2}
       /resources: .*secrets/ {print kind (namespace ? " " namespace : "")}' "$1"
}

"$HELM" lint "$chart" --strict > "$work/lint" 2>&1 || fail lint "$(cat "$work/lint")"

# The values of the lab are those that the stories install with.
for values in "$here"/valid/*.yaml "$chart"/examples/*.yaml "$checkout/e2e/lab/values.yaml"; do
  name=$(basename "$values")
  if ! "$HELM" template mainstay "$chart" --namespace mainstay-system --values "$values" > "$work/out" 2> "$work/error"; then
    fail "$name" "$(cat "$work/error")"
    continue
  fi
  "$HELM" lint "$chart" --strict --values "$values" > "$work/lint" 2>&1 || fail "$name" "$(cat "$work/lint")"
  while read -r line; do
    grep -qF -- "$line" "$work/out" || fail "$name" "what is rendered has no: $line"
  done < <(said has "$values")
  while read -r line; do
    ! grep -qF -- "$line" "$work/out" || fail "$name" "what is rendered has: $line"
  done < <(said lacks "$values")
  readers=$(said secrets "$values")
  [ "$(secret_readers "$work/out")" = "${readers:-ClusterRole}" ] || fail "$name" "Secrets are read by: $(secret_readers "$work/out")"
done

"$HELM" template mainstay "$chart" --values "$here/valid/digests.yaml" | grep '^ *image: ' > "$work/images"
! grep -v '@sha256:' "$work/images" || fail digests.yaml "an image has no digest"

for values in "$here"/invalid/*.yaml; do
  name=$(basename "$values")
  if "$HELM" template mainstay "$chart" --values "$values" > "$work/out" 2> "$work/error"; then
    fail "$name" "it is accepted"
    continue
  fi
  while read -r words; do
    grep -qF -- "$words" "$work/error" || fail "$name" "Helm does not say: $words"$'\n'"$(cat "$work/error")"
  done < <(said says "$values")
done

# That alerts and dashboard ask for what the operator says is a unit test: operator/src/bin/docgen/metrics.rs.
if command -v promtool > /dev/null; then
  promtool test rules "$here/alerts.yaml" > "$work/promtool" 2>&1 || fail alerts.yaml "$(cat "$work/promtool")"
fi

"$checkout/charts/render.sh" "$work/plain" > /dev/null 2> "$work/error" || fail render.sh "$(cat "$work/error")"
if [ -n "$kustomize" ]; then
  "$kustomize" build "$work/plain" > "$work/built" || fail render.sh "kustomize does not take it"
  [ "$(grep -c '^kind: ' "$work/plain/install.yaml")" = "$(grep -c '^kind: ' "$work/built")" ] || fail render.sh "kustomize loses objects"
fi

[ "$failed" = 0 ] && echo "chart: all passed"
exit "$failed"

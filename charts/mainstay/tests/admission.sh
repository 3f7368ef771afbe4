#!/bin/bash
# Tries the admission policy against a real API server: which images are refused where, with ten thousand digests, and without the parameter.
# Makes two namespaces, a policy for them and, where the chart is not installed, the kind of its parameter, and removes all of it.
# Nothing that it asks for is run.
#
#   KUBECONFIG=… tests/admission.sh [helm] [kubectl]
set -euo pipefail
helm=${1:-helm}
kubectl=${2:-kubectl}
chart=$(cd "$(dirname "$0")/.." && pwd)
count=${COUNT:-10000}
space=admission-try              # where workloads are asked for
system=admission-try-system      # where the parameter lies
parameter=admission-try-mainstay-images
ours=registry.example/team
failed=0
made=

clean() {
  "$kubectl" delete validatingadmissionpolicybinding,validatingadmissionpolicy "$parameter" --ignore-not-found > /dev/null
  "$kubectl" delete namespace "$space" "$system" --ignore-not-found --wait > /dev/null
  if [ -n "$made" ]; then "$kubectl" delete -f "$chart/generated/allowedimages.yaml" > /dev/null; fi
}

# policy <mode> <onlyOurs>
policy() {
  "$helm" template admission-try "$chart" --namespace "$system" --show-only templates/admission.yaml \
    --set "buildNamespaces={builds},admission.mode=$1,admission.onlyOurs=$2,admission.prefixes={$ours}" \
    --set "admission.namespaceSelector.matchLabels.kubernetes\.io/metadata\.name=$space" 2> /dev/null |
    "$kubectl" apply -f - > /dev/null
}

# The parameter, with as many digests and the tag of each; every second tag is one of nix.
parameter() {
  awk -v name="$parameter" -v space="$system" -v count="$count" -v ours="$ours" 'BEGIN {
    for (i = 1; i <= count; i++) {
      key = sprintf("%02x", i % 256)
      lines[key] = lines[key] sprintf("    sha256:%064x\n    %s/cv:v1.0.%d-%07x%s\n", i, ours, i, i, i % 2 ? "" : "-nix")
    }
    printf "{apiVersion: mainstay.dev/v1alpha1, kind: AllowedImages, metadata: {name: %s, namespace: %s},\n", name, space
    print "spec: {images: {"
    for (key in lines) { gsub(/\n *$/, "", lines[key]); gsub(/\n */, "\\n", lines[key]); sub(/^ */, "", lines[key]); printf "\"%s\": \"%s\",\n", key, lines[key] }
    print "}}}"
  }'
}

# What becomes of an object, and what the server says: accepted, refused, warned, or invalid for another reason.
judge() {
  local said verdict=accepted
  said=$("$kubectl" create --dry-run=server --namespace "$space" -f - 2>&1) || verdict=invalid
  [[ $verdict != invalid || $said != *ValidatingAdmissionPolicy*"$parameter"* ]] || verdict=refused
  [[ $verdict != accepted || $said != *Warning:*"$parameter"* ]] || verdict=warned
  printf '%s\n%s\n' "$verdict" "$said"
}

# expect <verdict> <what it is> < object
expect() {
  local said
  said=$(judge)
  report "$1" "${said%%$'\n'*}" "$2" "$said"
}

report() {
  if [ "$1" = "$2" ]; then
    printf '  %-9s %s\n' "$2" "$3"
  else
    printf '  FAILED: %s is %s, not %s:\n%s\n' "$3" "$2" "$1" "$4"
    failed=1
  fi
}

containers() {
  echo "containers: [{name: a, image: '$1'}]"
}

pod() {
  echo "{apiVersion: v1, kind: Pod, metadata: {name: try}, spec: {$1}}"
}

template() {
  echo "selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {$(containers "$1")}}"
}

# places <image> <verdict>: every place that names an image.
places() {
  local image=$1 wanted=$2 job
  job="template: {spec: {restartPolicy: Never, $(containers "$image")}}"
  expect "$wanted" "Pod, container: $image" <<< "$(pod "$(containers "$image")")"
  expect "$wanted" "Pod, init container" <<< "$(pod "$(containers other.example/a:1), initContainers: [{name: b, image: '$image'}]")"
  expect "$wanted" "Pod, image volume" <<< "$(pod "$(containers other.example/a:1), volumes: [{name: v, image: {reference: '$image'}}]")"
  expect "$wanted" "Deployment" <<< "{apiVersion: apps/v1, kind: Deployment, metadata: {name: try}, spec: {$(template "$image")}}"
  expect "$wanted" "StatefulSet" <<< "{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: try}, spec: {serviceName: try, $(template "$image")}}"
  expect "$wanted" "DaemonSet" <<< "{apiVersion: apps/v1, kind: DaemonSet, metadata: {name: try}, spec: {$(template "$image")}}"
  expect "$wanted" "Job" <<< "{apiVersion: batch/v1, kind: Job, metadata: {name: try}, spec: {$job}}"
  expect "$wanted" "CronJob" <<< "{apiVersion: batch/v1, kind: CronJob, metadata: {name: try}, spec: {schedule: '0 0 * * *', jobTemplate: {spec: {$job}}}}"
}

# Whether a command is accepted or refused.
verdict() {
  if "$@" > /dev/null 2>&1; then echo accepted; else echo refused; fi
}

# A policy takes a moment to reach the server's cache: waits until an image has a verdict.
await() {
  for _ in $(seq 100); do
    [ "$(judge <<< "$(pod "$(containers "$2")")" | head -n 1)" != "$1" ] || return 0
    sleep 0.3
  done
  echo "the policy does not come into force: $2 is not $1"
  exit 1
}

# Milliseconds for a pod of three containers, over two hundred of them.
pace() {
  local begun i
  for i in $(seq 200); do
    printf -- '---\n{apiVersion: v1, kind: Pod, metadata: {name: try-%d}, spec: {containers: [' "$i"
    printf "{name: c%d, image: '$2'}, " 1 2 3
    echo ']}}'
  done > "$work/pods"
  begun=$(date +%s%N)
  "$kubectl" create --dry-run=server --namespace "$1" -f "$work/pods" > /dev/null
  awk -v nanoseconds=$(($(date +%s%N) - begun)) 'BEGIN { printf "%.1f ms a pod", nanoseconds / 200e6 }'
}

work=$(mktemp -d)
trap 'clean; rm -rf "$work"' EXIT
clean
if ! "$kubectl" get -f "$chart/generated/allowedimages.yaml" > /dev/null 2>&1; then
  made=yes
  "$kubectl" create -f "$chart/generated/allowedimages.yaml" > /dev/null
fi
"$kubectl" wait --for=condition=Established --timeout=30s -f "$chart/generated/allowedimages.yaml" > /dev/null
"$kubectl" create namespace "$space" > /dev/null
"$kubectl" create namespace "$system" > /dev/null
main=$ours/cv:v1.0.7-0000007
digest=sha256:$(printf %064x 7)
nobody=sha256:$(printf f%.0s $(seq 64))

# From before the policy: what runs must not be stuck because of it. Nothing runs here: no node has that label.
old="{apiVersion: v1, kind: Pod, metadata: {name: old}, spec: {nodeSelector: {no-such: node}, $(containers "$ours/cv:v1-branch")}}"
until "$kubectl" get serviceaccount default --namespace "$space" > /dev/null 2>&1; do sleep 0.3; done
"$kubectl" create --namespace "$space" -f - <<< "$old" > /dev/null

echo "deny, with $count digests and as many tags:"
parameter > "$work/parameter"
"$kubectl" create -f "$work/parameter" > /dev/null
policy deny false
await refused "$ours/cv:v1-branch"
places "$main" accepted
places "$ours/cv:v1.0.7-1234567" refused
last="$ours/cv:v1.0.$count-$(printf %07x "$count")-nix"
for good in "$ours/cv@$digest" "$ours/cv:whatever@$digest" "$last" "$ours/cv@sha256:$(printf %064x "$count")" other.example/team/cv:1 cv; do
  expect accepted "$good" <<< "$(pod "$(containers "$good")")"
done
for bad in "$ours/cv@$nobody" "$main@$nobody" "$ours/cv" "$ours/cv:latest" "$ours/web:v1.0.7-0000007" "$ours/x/cv:v1.0.7-0000007" "$ours/-nix"; do
  expect refused "$bad" <<< "$(pod "$(containers "$bad")")"
done
many=$(for i in $(seq 30); do printf "{name: c%d, image: '%s'}, " "$i" "$ours/cv@$digest"; done)
expect accepted "a pod of 30 containers" <<< "$(pod "containers: [$many]")"

echo "objects from before the policy:"
report accepted "$(verdict "$kubectl" label pod old a=b --namespace "$space" --dry-run=server)" "a label on a pod with an image of a branch" ''
report refused "$(verdict "$kubectl" set image pod/old "a=$ours/cv:v2-branch" --namespace "$space" --dry-run=server)" "another image of a branch" ''
report accepted "$(verdict "$kubectl" set image pod/old "a=$main" --namespace "$space" --dry-run=server)" "an image from main" ''
for image in "$ours/cv:v2-branch" "$main"; do
  "$kubectl" get pod old --namespace "$space" -o json > "$work/old"
  sed "s|\"spec\": {|\"spec\": {\"ephemeralContainers\": [{\"name\": \"debug\", \"image\": \"$image\"}],|" "$work/old" > "$work/debug"
  wanted=$([ "$image" = "$main" ] && echo accepted || echo refused)
  report "$wanted" "$(verdict "$kubectl" replace --raw "/api/v1/namespaces/$space/pods/old/ephemeralcontainers?dryRun=All" -f "$work/debug")" "an ephemeral container: $image" ''
done

echo "pace: $(pace "$space" "$ours/cv@$digest") judged, $(pace "$system" "$ours/cv@$digest") not judged"
echo "size: $("$kubectl" get allowedimages "$parameter" --namespace "$system" -o json --show-managed-fields | wc -c) bytes of JSON"
"$kubectl" get validatingadmissionpolicy "$parameter" -o jsonpath='{.status.typeChecking}' | sed 's/^{}$//; s/^./type check: &/'

echo "deny, only ours:"
policy deny true
await refused other.example/team/cv:1
places other.example/team/cv:1 refused
expect accepted "$main" <<< "$(pod "$(containers "$main")")"

echo "deny, without the parameter:"
"$kubectl" delete allowedimages "$parameter" --namespace "$system" > /dev/null
await refused "$main"
expect refused "$main" <<< "$(pod "$(containers "$main")")"
expect refused other.example/team/cv:1 <<< "$(pod "$(containers other.example/team/cv:1)")"
report accepted "$(verdict "$kubectl" create --dry-run=server -f "$work/parameter")" "the parameter itself can be made" ''

echo "warn:"
policy warn false
await accepted "$main"
expect accepted "anything, without the parameter" <<< "$(pod "$(containers "$ours/cv:v1-branch")")"
"$kubectl" create -f "$work/parameter" > /dev/null
await warned "$ours/cv:v1-branch"
expect warned "an image of a branch" <<< "$(pod "$(containers "$ours/cv:v1-branch")")"
expect accepted "$main" <<< "$(pod "$(containers "$main")")"

echo "deny again, after the policy was removed and its parameter changed:"
"$kubectl" delete validatingadmissionpolicybinding,validatingadmissionpolicy "$parameter" > /dev/null
await accepted "$ours/cv:v1-branch"
"$kubectl" patch allowedimages "$parameter" --namespace "$system" --type=merge \
  -p "{\"spec\": {\"images\": {\"07\": \"$ours/cv:v2.0.0-0000107\"}}}" > /dev/null
policy deny false
await refused "$ours/cv:v1-branch"
expect refused "what is allowed no more" <<< "$(pod "$(containers "$main")")"
expect accepted "what is allowed now" <<< "$(pod "$(containers "$ours/cv:v2.0.0-0000107")")"

[ "$failed" = 0 ] && echo "admission: all passed"
exit "$failed"

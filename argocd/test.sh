#!/bin/bash
# Runs the scripts of argocd/lua on the objects in testdata as Argo CD would, with its own program and no cluster.
# ARGOCD and KUSTOMIZE name the programs.
set -euo pipefail
cd "$(dirname "$0")"
argocd=${ARGOCD:-argocd}
kustomize=${KUSTOMIZE:-kustomize}
for program in "$argocd" "$kustomize"; do
  command -v "$program" > /dev/null || { echo "there is no program $program: run it by make argocd" >&2; exit 1; }
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# Nothing of the user's own Argo CD or cluster is looked at.
export HOME=$work KUBECONFIG=$work/none
passed=0 failed=0

case_is() { # name, expected, got
  if [ "$2" = "$3" ]; then
    echo "ok    $1"
    passed=$((passed + 1))
  else
    echo "FAIL  $1"
    diff -U1 <(echo "$2") <(echo "$3") | sed '1,3d; s/^/      /' | head -20 || true
    failed=$((failed + 1))
  fi
}

settings() { # command, arguments
  { "$argocd" admin settings "$@" --argocd-cm-path component/argocd-cm.yaml 2>&1 || true; } | grep -v '^{"level":"info"'
}

# The test files have Argo CD's layout; what is read of them stands alone on its line.
health_cases() {
  awk '$1 == "status:" {status = $2}
       $1 == "message:" {sub(/^ *message: "/, ""); sub(/"$/, ""); gsub(/\\"/, "\""); message = $0}
       $1 == "inputPath:" {print $2 "\t" status "\t" message}' lua/health_test.yaml
}

discovery_cases() {
  awk '/^actionTests:/ {exit}
       $2 == "inputPath:" {if (path) print path "\t" all; path = $3; all = ""}
       $2 == "name:" {name = $3}
       $1 == "disabled:" {all = all name "=" $2 " "}
       END {print path "\t" all}' lua/actions/action_test.yaml
}

action_cases() {
  awk '/^actionTests:/ {on = 1}
       $2 == "action:" {action = $3}
       on && $1 == "inputPath:" {path = $2}
       $1 == "expectedOutputPath:" {print action "\t" path "\t" $2}' lua/actions/action_test.yaml
}

echo "==> what is generated is as the scripts are"
./generate.sh "$work/generated"
for file in component/argocd-cm.yaml argo-helm-values.yaml; do
  case_is "$file" "$(cat "$work/generated/$file")" "$(cat "$file")"
done
case_is "Argo CD accepts it" "✅ resource-overrides" "$(settings validate --group resource-overrides | head -1)"

echo "==> the component adds to argocd-cm and takes nothing away"
mkdir "$work/argo-cd"
printf '%s\n' 'apiVersion: v1' 'kind: ConfigMap' 'metadata: {name: argocd-cm, namespace: argocd}' 'data: {url: https://argocd.example}' \
  > "$work/argo-cd/argocd-cm.yaml"
printf '%s\n' 'resources: [argocd-cm.yaml]' "components: [$(realpath --relative-to="$work/argo-cd" component)]" \
  > "$work/argo-cd/kustomization.yaml"
built=$("$kustomize" build "$work/argo-cd" 2>&1) || true
case_is "argocd-cm" "1 url, 8 customizations" \
  "$(grep -c '^  url: https://argocd.example$' <<< "$built") url, $(grep -c '^  resource\.customizations\.' <<< "$built") customizations"

echo "==> health"
case_is "every object has a case" "$(find lua/testdata -name '*.yaml' | wc -l)" "$(health_cases | wc -l)"
while IFS=$'\t' read -r path status message; do
  case_is "$status  $(basename "$path" .yaml)" "$(printf 'STATUS: %s\nMESSAGE: %b' "$status" "$message")" "$(settings resource-overrides health "lua/$path")"
done < <(health_cases)

echo "==> which actions there are"
while IFS=$'\t' read -r path wanted; do
  got=$(settings resource-overrides list-actions "lua/actions/$path" | awk 'NR > 1 {printf "%s=%s ", $1, $2}')
  case_is "$(basename "$path" .yaml)" "$wanted" "$got"
done < <(discovery_cases)

echo "==> what they do"
while IFS=$'\t' read -r action path expected; do
  # The object as it is afterwards, instead of a difference. The time of a click is no constant.
  got=$(KUBECTL_EXTERNAL_DIFF="sh -c 'cat \"\$1\"'" settings resource-overrides run-action "lua/actions/$path" "$action" |
    sed -E '1,2d; s/(mainstay.dev\/[a-z]+-at: )"20[0-9T:-]+Z"/\1"0001-01-01T00:00:00Z"/')
  case_is "$action  $(basename "$path" .yaml)" "$(cat "lua/actions/$expected")" "$got"
done < <(action_cases)

echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]

#!/bin/bash
# Writes what Argo CD reads from the scripts in argocd/lua: a kustomize component, and values for the chart argo-cd.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here}

# Kinds, and the actions that each has.
kinds='SourceRepository reconcile suspend resume
ContainerImage reconcile rebuild suspend resume
ImageBuild reconcile
ManifestPin reconcile resume-holds suspend resume'

script() { # file, columns
  sed "s/^\(.\)/$(printf '%*s' "$2" '')\1/" "$here/lua/$1"
}

customizations() { # columns
  local margin kind actions action
  margin=$(printf '%*s' "$1" '')
  while read -r kind actions; do
    echo "${margin}resource.customizations.health.mainstay.dev_$kind: |"
    script health.lua $(($1 + 2))
    echo "${margin}resource.customizations.actions.mainstay.dev_$kind: |"
    echo "$margin  discovery.lua: |"
    script actions/discovery.lua $(($1 + 4))
    echo "$margin  definitions:"
    for action in $actions; do
      echo "$margin  - name: $action"
      echo "$margin    action.lua: |"
      script "actions/$action/action.lua" $(($1 + 6))
    done
  done <<< "$kinds"
}

mkdir -p "$out/component"
{
  echo '# Written by argocd/generate.sh from argocd/lua. Do not edit.'
  printf '%s\n' 'apiVersion: v1' 'kind: ConfigMap' 'metadata:' '  name: argocd-cm' 'data:'
  customizations 2
} > "$out/component/argocd-cm.yaml"
{
  echo '# Written by argocd/generate.sh from argocd/lua. Do not edit. Values for the Helm chart argo-cd of argo-helm.'
  printf '%s\n' 'configs:' '  cm:'
  customizations 4
} > "$out/argo-helm-values.yaml"

#!/bin/sh
# Renders the chart to plain YAML, for those who use no Helm: install.yaml, and a kustomization that takes it as its base.
#
#   charts/render.sh <folder> [options of `helm template`]
#   charts/render.sh out --set image.repository=registry.example/team/mainstay
#
# Give the image here: it also stands in the operator's configuration, where kustomize's `images` does not reach.
# With `--set crds.install=false` it is what can be deleted without deleting any object of ours.
# Environment: HELM (default: helm), NAMESPACE (default: mainstay-system).
set -eu
if [ $# -lt 1 ]; then
  sed -n '2,/^set/s/^# \{0,1\}//p' "$0" >&2
  exit 2
fi
folder=$1
shift
namespace=${NAMESPACE:-mainstay-system}
mkdir -p "$folder"
{
  printf 'apiVersion: v1\nkind: Namespace\nmetadata:\n  name: %s\n' "$namespace"
  "${HELM:-helm}" template mainstay "$(dirname "$0")/mainstay" --namespace "$namespace" --skip-tests "$@"
} > "$folder/install.yaml.new"
mv "$folder/install.yaml.new" "$folder/install.yaml"
cat > "$folder/kustomization.yaml" <<END
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [install.yaml]
END
echo "wrote $folder/install.yaml and $folder/kustomization.yaml"

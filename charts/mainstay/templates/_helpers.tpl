{{- define "mainstay.name" -}}
{{- if contains "mainstay" .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-mainstay" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "mainstay.serviceAccount" -}}
{{- default (include "mainstay.name" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- define "mainstay.selector" -}}
app.kubernetes.io/name: mainstay
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{/* What every object carries, without what selects the operator's pod. */}}
{{- define "mainstay.origin" -}}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "mainstay.labels" -}}
{{ include "mainstay.selector" . }}
{{ include "mainstay.origin" . }}
{{- end -}}

{{- define "mainstay.image" -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- with .Values.image.digest }}@{{ . }}{{ end -}}
{{- end -}}

{{/* The namespaces where builds run, as JSON. */}}
{{- define "mainstay.buildNamespaces" -}}
{{- $watched := .Values.watchNamespaces }}
{{- range .Values.buildNamespaces }}
{{- if and $watched (not (has . $watched)) }}
{{- fail (printf "buildNamespaces has %s, which is not in watchNamespaces: the operator would not look there" .) }}
{{- end }}
{{- end }}
{{- default $watched .Values.buildNamespaces | toJson -}}
{{- end -}}

{{/* The operator's configuration file; engines without an image are left out. */}}
{{- define "mainstay.config" -}}
watchNamespaces: {{ toJson .Values.watchNamespaces }}
interval: {{ .Values.interval }}
resync: {{ .Values.resync }}
batchWindow: {{ .Values.batchWindow }}
callDeadline: {{ .Values.callDeadline }}
steps:
  image: {{ include "mainstay.image" . }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  {{- with .Values.steps.resources }}
  resources: {{- toYaml . | nindent 4 }}
  {{- end }}
workspace:
  {{- with .Values.workspace.sizeLimit }}
  sizeLimit: {{ . }}
  {{- end }}
  {{- with .Values.workspace.medium }}
  medium: {{ . }}
  {{- end }}
engines:
  {{- range $name, $engine := .Values.engines }}
  {{- if $engine.image }}
  {{ $name }}: {{- toYaml (include "mainstay.set" $engine | fromYaml) | nindent 4 }}
  {{- end }}
  {{- end }}
{{- if has .Values.admission.mode (list "warn" "deny") }}
allowedImages:
  namespace: {{ .Release.Namespace }}
  name: {{ include "mainstay.name" . }}-images
  from: {{ include "mainstay.buildNamespaces" . }}
{{- end }}
{{- if .Values.webhook.enabled }}
webhook:
  url: {{ default "null" .Values.webhook.url }}
{{- end }}
plainHTTPRegistries: {{- toYaml .Values.plainHTTPRegistries | nindent 2 }}
registryMirrors: {{- toYaml .Values.registryMirrors | nindent 2 }}
proxy: {{- include "mainstay.set" .Values.proxy | nindent 2 }}
{{- with trim .Values.caBundle }}
caBundle: {{ toYaml . | nindent 2 | trim }}
{{- end }}
buildEnvironment: {{- toYaml .Values.buildEnvironment | nindent 2 }}
imagePullSecrets: {{- toYaml .Values.imagePullSecrets | nindent 2 }}
{{- end -}}

{{/* A map without what is set to nothing, of which the operator has an opinion of its own. */}}
{{- define "mainstay.set" -}}
{{- $set := dict }}
{{- range $key, $value := . }}
{{- if $value }}{{ $_ := set $set $key $value }}{{ end }}
{{- end }}
{{- toYaml $set }}
{{- end -}}

{{/* Proxies as programs look for them: some know the names in small letters only, some those in capitals. */}}
{{- define "mainstay.proxies" -}}
{{- range $name, $value := dict "http_proxy" .http "https_proxy" .https "no_proxy" (join "," .noProxy) }}
{{- if $value }}
- {name: {{ $name }}, value: {{ $value | quote }}}
- {name: {{ upper $name }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}
{{- end -}}

{{/*
Egress to everywhere but the addresses where clouds tell a node's secrets, and those in `deny`. DNS passes: clouds and node caches answer it
at such addresses.
*/}}
{{- define "mainstay.egress" -}}
{{- $v4 := list "169.254.0.0/16" "168.63.129.16/32" "100.100.100.200/32" }}
{{- $v6 := list "fe80::/10" "fd00:ec2::/32" "fd00:c1::/32" "fd20:ce::/32" }}
{{- range .deny }}
{{- if contains ":" . }}{{ $v6 = append $v6 . }}{{ else }}{{ $v4 = append $v4 . }}{{ end }}
{{- end -}}
- ports:
    - {protocol: UDP, port: 53}
    - {protocol: TCP, port: 53}
- to:
    - ipBlock: {cidr: 0.0.0.0/0, except: {{ toJson $v4 }}}
    - ipBlock: {cidr: "::/0", except: {{ toJson $v6 }}}
{{- end -}}
